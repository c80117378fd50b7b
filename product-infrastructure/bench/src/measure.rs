//! The measurements themselves: fresh processes, one at a time, round by round.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};

use crate::backend::{Backend, Behaviour, Tls};
use crate::cpu_share::CpuShare;
use crate::metric::{Metric, Samples};
use crate::program::{Cores, Cpu, Program, last_words};
use crate::runtime_api::{Invocation, RuntimeApi};
use crate::statistics::quantile;
use crate::subject::Subject;

/// Calls before the warm ones are counted: memory is allocated and connections are opened in them.
const WARMING: usize = 50;
/// Warm calls that are counted in each round. Their quantiles are the round's samples.
const WARM: usize = 500;
/// What a call to AWS takes at least, in batches: as long as DynamoDB and S3 take inside a region.
pub const ROUND_TRIP: Duration = Duration::from_millis(4);
/// Batches of each size in a round; their median is the round's sample.
const BATCHES: usize = 5;

/// Where everything is measured.
#[derive(Debug)]
pub struct Bench {
    pub cores: Option<Cores>,
    pub tls: Tls,
    /// Or why there is none.
    pub share: Result<CpuShare, String>,
}

/// A program that has requested its first event, with its backend.
struct Started {
    program: Program,
    api: RuntimeApi,
    backend: Backend,
    init: Duration,
}

impl Bench {
    /// Makes a call that isn't measured: it checks the program's response before the measurement begins, and has the backend make
    /// the responses that the program asks for.
    pub fn prepare(&self, subject: &Subject) -> Result<()> {
        let started = self.start(subject, false, Duration::ZERO)?;
        started.one(subject).map(drop).map_err(|error| anyhow!("{error:#}. {}", last_words(&subject.launch)))
    }

    /// Takes one sample of everything.
    pub fn round(&self, subject: &Subject, samples: &mut Samples) -> Result<()> {
        // The program's own output explains more than the error.
        self.sample(subject, samples).map_err(|error| anyhow!("{error:#}. {}", last_words(&subject.launch)))
    }

    fn sample(&self, subject: &Subject, samples: &mut Samples) -> Result<()> {
        self.over_tls(subject, samples)?;
        if let Ok(share) = &self.share {
            self.with_share(subject, share, samples)?;
        }
        self.over_plain_http(subject, samples)?;
        self.batches(subject, samples)?;
        if let Some(bytes) = subject.zip_bytes {
            samples.add(Metric::ZipBytes, bytes as f64);
        }
        Ok(())
    }

    fn start(&self, subject: &Subject, over_tls: bool, delay: Duration) -> Result<Started> {
        let behaviour = Behaviour { delay, has_products: subject.has_products };
        let backend = Backend::start(over_tls.then_some(&self.tls), behaviour)?;
        let api = RuntimeApi::start()?;
        let program = Program::start(&subject.launch, self.cores, api.address(), &backend.url(), &self.tls)?;
        let ready = api.first_next()?;
        let init = ready.saturating_duration_since(program.started);
        Ok(Started { program, api, backend, init })
    }

    fn over_tls(&self, subject: &Subject, samples: &mut Samples) -> Result<()> {
        let started = self.start(subject, true, Duration::ZERO)?;
        samples.add(Metric::InitMs, milliseconds(started.init));
        let before = started.program.cpu()?;
        samples.add(Metric::InitCpuMs, milliseconds(before.used));
        samples.add(Metric::FirstCallMs, milliseconds(started.one(subject)?));
        samples.add(Metric::FirstCallCpuMs, milliseconds(started.program.cpu()?.since(before).used));
        // Without a call to AWS nothing goes over TLS.
        if subject.calls_aws {
            let warm = started.warm(subject)?;
            samples.add(Metric::WarmTlsP50Us, warm.p50);
            samples.add(Metric::WarmTlsP99Us, warm.p99);
            samples.add(Metric::WarmTlsCpuUs, warm.cpu);
            samples.add(Metric::RssMb, started.program.peak_memory()? as f64 / 1e6);
        }
        Ok(())
    }

    /// Lambda starts a function with a whole CPU and takes it away before the first event.
    fn with_share(&self, subject: &Subject, share: &CpuShare, samples: &mut Samples) -> Result<()> {
        let started = self.start(subject, true, Duration::ZERO)?;
        share.add(started.program.id()).context("failed to add the program to its control group")?;
        samples.add(Metric::FirstCall128MbMs, milliseconds(started.one(subject)?));
        Ok(())
    }

    fn over_plain_http(&self, subject: &Subject, samples: &mut Samples) -> Result<()> {
        let started = self.start(subject, false, Duration::ZERO)?;
        let warm = started.warm(subject)?;
        samples.add(Metric::WarmP50Us, warm.p50);
        samples.add(Metric::WarmP99Us, warm.p99);
        samples.add(Metric::WarmCpuUs, warm.cpu);
        samples.add(Metric::WaitedPercent, warm.waited);
        if !subject.calls_aws {
            samples.add(Metric::RssMb, started.program.peak_memory()? as f64 / 1e6);
        }
        Ok(())
    }

    fn batches(&self, subject: &Subject, samples: &mut Samples) -> Result<()> {
        let Some(messages) = &subject.messages else { return Ok(()) };
        let started = self.start(subject, true, ROUND_TRIP)?;
        let (ten, hundred) = (messages.batch(10)?, messages.batch(100)?);
        samples.add(Metric::Batch10FirstMs, milliseconds(started.batch(subject, &ten)?));
        // Opens the connections that the larger batch needs.
        started.batch(subject, &hundred)?;
        started.backend.take_calls();
        let sizes = [
            (ten, [Metric::Batch10Ms, Metric::Batch10Calls, Metric::Batch10AtOnce]),
            (hundred, [Metric::Batch100Ms, Metric::Batch100Calls, Metric::Batch100AtOnce]),
        ];
        for (batch, [wall, count, at_once]) in sizes {
            let mut walls = Vec::new();
            for _ in 0..BATCHES {
                walls.push(milliseconds(started.batch(subject, &batch)?));
            }
            let calls = started.backend.take_calls();
            samples.add(wall, median(walls)?);
            samples.add(count, calls.count as f64 / BATCHES as f64);
            samples.add(at_once, calls.at_once as f64);
        }
        Ok(())
    }
}

/// What many calls in a row come to, in microseconds.
struct Warm {
    p50: f64,
    p99: f64,
    cpu: f64,
    /// Of the time in which it could have run, in per cent.
    waited: f64,
}

impl Started {
    fn one(&self, subject: &Subject) -> Result<Duration> {
        self.batch(subject, &subject.event)
    }

    fn batch(&self, subject: &Subject, event: &Arc<str>) -> Result<Duration> {
        let answers = self.api.invoke([event.clone()])?;
        let [invocation] = &answers[..] else { bail!("{} answers to one event", answers.len()) };
        subject.answer.check(&invocation.body)?;
        Ok(invocation.duration())
    }

    fn warm(&self, subject: &Subject) -> Result<Warm> {
        let calls = |count| self.api.invoke(std::iter::repeat_n(subject.event.clone(), count));
        check_all(subject, &calls(WARMING)?)?;
        let before = self.program.cpu()?;
        let invocations = calls(WARM)?;
        let Cpu { used, waited } = self.program.cpu()?.since(before);
        check_all(subject, &invocations)?;
        let mut walls: Vec<f64> =
            invocations.iter().map(|invocation| invocation.duration().as_secs_f64() * 1e6).collect();
        walls.sort_unstable_by(f64::total_cmp);
        let (Some(p50), Some(p99)) = (quantile(&walls, 0.5), quantile(&walls, 0.99)) else { bail!("no calls") };
        let waited = waited.as_secs_f64() / (used + waited).as_secs_f64() * 100.0;
        Ok(Warm { p50, p99, cpu: used.as_secs_f64() * 1e6 / WARM as f64, waited })
    }
}

fn check_all(subject: &Subject, invocations: &[Invocation]) -> Result<()> {
    invocations.iter().try_for_each(|invocation| subject.answer.check(&invocation.body))
}

fn median(mut values: Vec<f64>) -> Result<f64> {
    values.sort_unstable_by(f64::total_cmp);
    quantile(&values, 0.5).context("nothing was measured")
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
