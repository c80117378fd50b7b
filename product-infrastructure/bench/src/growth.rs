//! `cargo xtask bench growth`: the cost of a call as the catalogue grows, and of a batch as the backlog grows.
//!
//! A release build of a function talks to a real engine ([`Engine`]) with a growing number of products. Its CPU time is the
//! kernel's count for its process; the engine's time is the time that [`Backend`] waits for the engine. The rest of a call's
//! duration is the function's own time, including the benchmark's HTTP.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};

use crate::backend::{Backend, Behaviour, Tls};
use crate::engine::{Engine, PRICES, product_id};
use crate::events::{Call, product, request};
use crate::growth_plot;
use crate::items;
use crate::program::{Cores, Cpu, Program, last_words};
use crate::progress::{Meter, Progress};
use crate::report::{BUSY_PERCENT, Machine};
use crate::runtime_api::RuntimeApi;
use crate::subject::{self, Subject};
use crate::tree::Tree;

const CATALOGUES: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];
const BACKLOGS: [usize; 3] = [1_000, 10_000, 100_000];
/// Samples at each size; the lowest is reported. Each is the mean of [`CALLS`] calls.
const SAMPLES: usize = 7;
const CALLS: usize = 100;
/// Batches of ten messages in each sample.
const BATCHES: usize = 20;
const BATCH: usize = 10;
/// The functions that are measured.
const FUNCTIONS: [&str; 5] = ["list-products", "get-product", "create-product", "product-creator", "audit-logger"];
/// The factor up to which a figure is reported as flat: figures differ by as much between runs.
const FLAT: f64 = 1.25;

/// Measure the cost of calls as the catalogue grows from 1,000 to 1,000,000 products, and of batches as the backlog grows
///
/// The engine's time is reported separately: DynamoDB's doesn't grow with a table, but that of the engine used here may.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Print the output as JSON (default: Markdown)
    #[arg(long)]
    pub json: bool,
    /// Folder to draw a figure for each call to
    #[arg(long, value_name = "DIR")]
    pub svg_dir: Option<PathBuf>,
    /// Maximum number of products; a million need 4 GB of disk for a few minutes
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1_000..=1_000_000))]
    pub largest: u64,
}

/// The measurements at one size. Durations are those of the lowest sample, in microseconds per call or batch: the work is the
/// same in each sample, and other processes can only add to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Point {
    /// Number of products in the table, or of processed messages.
    pub size: usize,
    pub wall_us: f64,
    /// Without the engine's time.
    pub own_us: f64,
    pub cpu_us: f64,
    pub engine_us: f64,
    pub engine_calls: f64,
    pub peak_rss_mb: f64,
    /// Percentage of the time in which the function waited for its core.
    pub waited_percent: f64,
}

/// One call, or one batch, at all sizes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    pub name: &'static str,
    /// The growing quantity.
    pub of: &'static str,
    /// The unit of the figures: a call or a batch.
    pub per: &'static str,
    pub points: Vec<Point>,
}

/// The growth of a figure from the first size to the last.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Growth {
    pub factor: f64,
    pub flat: bool,
}

impl Series {
    /// From the first size to the last; `None` with fewer than two sizes, or of nothing.
    pub fn growth(&self, figure: impl Fn(&Point) -> f64) -> Option<Growth> {
        let [first, .., last] = &self.points[..] else { return None };
        let factor = figure(last) / figure(first);
        factor.is_finite().then_some(Growth { factor, flat: factor <= FLAT })
    }

    /// A sentence on whether the function or the engine grows.
    pub fn verdict(&self) -> String {
        let (Some(cpu), Some(memory)) = (self.growth(|point| point.cpu_us), self.growth(|point| point.peak_rss_mb))
        else {
            return format!("{}: growth needs at least two sizes.", self.name);
        };
        let says = |growth: Growth| if growth.flat { "does not grow" } else { "**grows**" };
        let mut text = format!(
            "{}: the function {} (CPU × {:.2}), its memory {} (× {:.2})",
            self.name,
            says(cpu),
            cpu.factor,
            says(memory),
            memory.factor
        );
        if let Some(engine) = self.growth(|point| point.engine_us) {
            let says = if engine.flat { "does not grow either" } else { "grows: that is the engine, not the function" };
            let _ = write!(text, "; the engine {says} (× {:.2})", engine.factor);
        }
        text.push('.');
        text
    }
}

/// The result of a run.
#[derive(Debug, Serialize)]
pub struct Report {
    pub machine: Machine,
    pub series: Vec<Series>,
    pub verdicts: Vec<String>,
}

impl Report {
    pub fn markdown(&self) -> String {
        let mut text = String::from("What a call costs as the catalogue grows, and a batch as the backlog does.\n\n");
        let _ = writeln!(text, "{}\n", self.machine.text());
        for series in &self.series {
            let _ = writeln!(
                text,
                "| {}, by {} | {}, µs | without the engine, µs | CPU, µs | engine, µs | calls to AWS | peak RSS, MB |\n\
                 |---:|---:|---:|---:|---:|---:|---:|",
                series.name, series.of, series.per
            );
            for point in &series.points {
                let _ = writeln!(
                    text,
                    "| {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.1} | {:.1} |",
                    point.size,
                    point.wall_us,
                    point.own_us,
                    point.cpu_us,
                    point.engine_us,
                    point.engine_calls,
                    point.peak_rss_mb
                );
            }
            text.push('\n');
        }
        for verdict in &self.verdicts {
            let _ = writeln!(text, "- {verdict}");
        }
        let points = self.series.iter().flat_map(|series| &series.points);
        let waited = points.map(|point| point.waited_percent).fold(0.0, f64::max);
        if waited > BUSY_PERCENT {
            let _ = writeln!(
                text,
                "\nThe machine was busy: a function waited up to {waited:.0} % of its time for its core. A figure that \
                 grows or shrinks may be others' work; measure again on a quiet machine before believing it."
            );
        }
        text
    }
}

/// Builds, measures and reports.
pub async fn run(tree: &Tree, arguments: &Arguments, progress: &Progress) -> Result<ExitCode> {
    let folder = tempfile::tempdir().context("failed to create a temporary directory")?;
    let subjects = subject::prepare(tree, &FUNCTIONS, folder.path(), progress)?;
    let requests = Requests::read(tree)?;
    let largest = usize::try_from(arguments.largest)?;
    let step = progress.step("measure");
    let meter = step.meter();
    // A separate thread, because it is pinned to one core with every thread that it starts, including the engine's.
    let measuring = std::thread::spawn(move || measure(&subjects, &requests, largest, &meter));
    let report = tokio::task::spawn_blocking(move || measuring.join())
        .await?
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
    step.done("");
    if let Some(folder) = &arguments.svg_dir {
        std::fs::create_dir_all(folder).with_context(|| format!("failed to create {}", folder.display()))?;
        for series in &report.series {
            let name = series.name.replace(", ", "-").replace(' ', "-");
            growth_plot::write(series, &folder.join(format!("growth-{name}.svg")))?;
        }
    }
    progress.print(&if arguments.json {
        serde_json::to_string_pretty(&report)?
    } else {
        report.markdown().trim_end().to_owned()
    });
    Ok(ExitCode::SUCCESS)
}

/// The requests that calls are made from.
#[derive(Debug)]
struct Requests {
    get: Value,
    list: Value,
    create: Value,
}

impl Requests {
    fn read(tree: &Tree) -> Result<Self> {
        let event = |function: &str, body: Option<&Value>| -> Result<Value> {
            Ok(serde_json::from_str(&request(tree, function, body)?)?)
        };
        Ok(Self {
            get: event("get-product", None)?,
            list: event("list-products", None)?,
            create: event("create-product", Some(&product(tree)?))?,
        })
    }

    /// A call of this kind. Calls of different numbers differ and are spread over the catalogue.
    fn call(&self, kind: Kind, number: usize, catalogue: usize) -> Arc<str> {
        let place = number * 7_919 % catalogue;
        let product_call = |resource: &str| {
            let mut event = self.get.clone();
            let (id, event_id) = (product_id(place), items::event_id(place));
            let path_parameters = [("productId", id.as_str()), ("eventId", event_id.as_str())];
            let used: Vec<_> = path_parameters.into_iter().filter(|(name, _)| resource.contains(name)).collect();
            Call { resource, path_parameters: &used, query: &[] }.apply(&mut event);
            event
        };
        let listing = |parameters: &[(&str, String)]| {
            let mut event = self.list.clone();
            let query: Vec<(&str, &str)> = parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
            Call { query: &query, ..Call::default() }.apply(&mut event);
            event
        };
        let event = match kind {
            Kind::Get => product_call("/{productId}"),
            Kind::Change => product_call("/{productId}/changes/{eventId}"),
            Kind::Changes => product_call("/{productId}/changes"),
            Kind::FirstPage => listing(&[]),
            Kind::MiddlePage => {
                let price = (number as u64 * 7_919) % (PRICES / 2);
                let price = format!("{}.{:02}", price / 100, price % 100);
                listing(&[("currency", "EUR".to_owned()), ("minPrice", price)])
            }
            Kind::ByName => listing(&[("name", items::name(place))]),
            Kind::ByPrefix => listing(&[("namePrefix", "Desk lamp".to_owned())]),
            Kind::Category => listing(&[("category", items::CATEGORY.to_owned())]),
            Kind::Sku => listing(&[("sku", items::sku(place))]),
            Kind::Ids => {
                let ids: Vec<String> = (0..20).map(|next| product_id((place + next) % catalogue)).collect();
                listing(&[("ids", ids.join(","))])
            }
            Kind::Feed => {
                let mut event = self.list.clone();
                Call { resource: "/changes", query: &[("limit", "20")], ..Call::default() }.apply(&mut event);
                event
            }
            Kind::Create => {
                let mut event = self.create.clone();
                // With it the table is asked, without it only the queue.
                let key = format!("growth-{catalogue}-{number}");
                event["headers"]["idempotency-key"] = json!(key);
                event["multiValueHeaders"]["idempotency-key"] = json!([key]);
                event
            }
        };
        event.to_string().into()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Get,
    Change,
    Changes,
    FirstPage,
    MiddlePage,
    Category,
    ByName,
    ByPrefix,
    Sku,
    Ids,
    Feed,
    Create,
}

impl Kind {
    const ALL: [Self; 12] = [
        Self::Get,
        Self::Change,
        Self::Changes,
        Self::FirstPage,
        Self::MiddlePage,
        Self::Category,
        Self::ByName,
        Self::ByPrefix,
        Self::Sku,
        Self::Ids,
        Self::Feed,
        Self::Create,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::Change => "get a change",
            Self::Changes => "get changes",
            Self::Category => "list, category",
            Self::ByPrefix => "list, by name prefix",
            Self::Sku => "list, by SKU",
            Self::Ids => "list, 20 by ID",
            Self::Feed => "feed, first page",
            Self::FirstPage => "list, first page",
            Self::MiddlePage => "list, from a price on",
            Self::ByName => "list, by name",
            Self::Create => "create, with an Idempotency-Key",
        }
    }

    fn function(self) -> &'static str {
        match self {
            Self::Get | Self::Change | Self::Changes => "get-product",
            Self::FirstPage
            | Self::MiddlePage
            | Self::Category
            | Self::ByName
            | Self::ByPrefix
            | Self::Sku
            | Self::Ids
            | Self::Feed => "list-products",
            Self::Create => "create-product",
        }
    }

    /// Fails on a wrong response: one that finds nothing is often quick, and must not be measured.
    fn check(self, body: &[u8]) -> Result<()> {
        let answer: Value = serde_json::from_slice(body).context("the answer is not JSON")?;
        let content: Value = serde_json::from_str(answer["body"].as_str().unwrap_or("null")).unwrap_or_default();
        let items = content["items"].as_array().map_or(0, Vec::len);
        let right = match self {
            Self::Get | Self::Change => answer["statusCode"] == 200,
            Self::FirstPage | Self::MiddlePage | Self::Category | Self::ByPrefix | Self::Ids | Self::Feed => {
                answer["statusCode"] == 200 && items == 20
            }
            Self::ByName | Self::Sku | Self::Changes => answer["statusCode"] == 200 && items == 1,
            Self::Create => answer["statusCode"] == 202,
        };
        if right { Ok(()) } else { bail!("unexpected response to {self:?}: {answer}") }
    }
}

/// A running program with its backend.
struct Asked {
    program: Program,
    api: RuntimeApi,
    backend: Backend,
}

impl Asked {
    fn start(subject: &Subject, backend: Backend, bench: &Bench) -> Result<Self> {
        let api = RuntimeApi::start()?;
        let program = Program::start(&subject.launch, bench.cores, api.address(), &backend.url(), &bench.tls)?;
        api.first_next()?;
        Ok(Self { program, api, backend })
    }

    /// The means of these calls.
    fn sample(&self, events: Vec<Arc<str>>, check: impl Fn(&[u8]) -> Result<()>) -> Result<Point> {
        let count = events.len() as f64;
        self.backend.take_calls();
        self.backend.take_engine_time();
        let before = self.program.cpu()?;
        let invocations = self.api.invoke(events)?;
        let Cpu { used: cpu, waited } = self.program.cpu()?.since(before);
        let engine = self.backend.take_engine_time();
        let mut wall = Duration::ZERO;
        for invocation in &invocations {
            check(&invocation.body)?;
            wall += invocation.duration();
        }
        let each = |duration: Duration| duration.as_secs_f64() * 1e6 / count;
        Ok(Point {
            size: 0,
            wall_us: each(wall),
            own_us: each(wall.saturating_sub(engine)),
            cpu_us: each(cpu),
            engine_us: each(engine),
            engine_calls: self.backend.take_calls().count as f64 / count,
            peak_rss_mb: self.program.peak_memory()? as f64 / 1e6,
            waited_percent: waited.as_secs_f64() / (cpu + waited).as_secs_f64() * 100.0,
        })
    }
}

/// The lowest of the samples, and the most memory.
fn point(size: usize, samples: &[Point]) -> Result<Point> {
    if samples.is_empty() {
        bail!("nothing was measured");
    }
    let lowest = |figure: fn(&Point) -> f64| samples.iter().map(figure).fold(f64::INFINITY, f64::min);
    let highest = |figure: fn(&Point) -> f64| samples.iter().map(figure).fold(0.0, f64::max);
    Ok(Point {
        size,
        wall_us: lowest(|point| point.wall_us),
        own_us: lowest(|point| point.own_us),
        cpu_us: lowest(|point| point.cpu_us),
        engine_us: lowest(|point| point.engine_us),
        engine_calls: lowest(|point| point.engine_calls),
        peak_rss_mb: highest(|point| point.peak_rss_mb),
        waited_percent: highest(|point| point.waited_percent),
    })
}

struct Bench {
    cores: Option<Cores>,
    tls: Tls,
}

fn measure(subjects: &[Subject], requests: &Requests, largest: usize, meter: &Meter) -> Result<Report> {
    let cores = Cores::choose();
    let machine = Machine::read(cores);
    if let Some(cores) = cores {
        cores.enter().context("failed to pin this thread to a core")?;
    }
    let bench = Bench { cores, tls: Tls::new()? };
    let subjects: BTreeMap<&str, &Subject> = subjects.iter().map(|subject| (subject.name, subject)).collect();
    let mut series = catalogue(&bench, &subjects, requests, largest, meter)?;
    series.push(creator(&bench, subjects["product-creator"], largest, meter)?);
    series.push(auditor(&bench, subjects["audit-logger"], largest, meter)?);
    let verdicts = series.iter().map(Series::verdict).collect();
    Ok(Report { machine, series, verdicts })
}

fn sizes(all: &[usize], largest: usize) -> impl Iterator<Item = usize> {
    all.iter().copied().filter(move |size| *size <= largest)
}

fn now(meter: &Meter, message: String) -> Result<()> {
    meter.now(message);
    Ok(())
}

/// Calls of the API, with more and more products in the table.
fn catalogue(
    bench: &Bench,
    subjects: &BTreeMap<&str, &Subject>,
    requests: &Requests,
    largest: usize,
    meter: &Meter,
) -> Result<Vec<Series>> {
    let mut series = Kind::ALL.map(|kind| Series { name: kind.name(), of: "products", per: "call", points: vec![] });
    let mut engine = Engine::start()?;
    for size in sizes(&CATALOGUES, largest) {
        engine.fill(size, true, |count| meter.now(format!("{count} products")))?;
        for (kind, series) in Kind::ALL.into_iter().zip(&mut series) {
            now(meter, format!("{size} products: {}", kind.name()))?;
            let subject = subjects[kind.function()];
            let found = (|| {
                let asked = Asked::start(subject, Backend::before(engine.address())?, bench)?;
                let calls = |sample: usize| {
                    (sample * CALLS..(sample + 1) * CALLS).map(|number| requests.call(kind, number, size)).collect()
                };
                // The first are not counted: memory is allocated and connections are opened in them.
                asked.sample(calls(0), |body| kind.check(body))?;
                let samples = (1..=SAMPLES).map(|sample| asked.sample(calls(sample), |body| kind.check(body)));
                point(size, &samples.collect::<Result<Vec<_>>>()?)
            })();
            series.points.push(found.map_err(|error| failed(subject, &error))?);
        }
    }
    Ok(series.into())
}

/// Creations, ten at a time, into a table with more and more products and journal entries.
fn creator(bench: &Bench, subject: &Subject, largest: usize, meter: &Meter) -> Result<Series> {
    let messages = subject.messages.as_ref().context("product-creator has no messages")?;
    let mut engine = Engine::start()?;
    let (mut points, mut sent) = (Vec::new(), 0);
    for size in sizes(&BACKLOGS, largest) {
        engine.fill(size, true, |count| meter.now(format!("{count} products with their journal")))?;
        now(meter, format!("{size} changes applied: product-creator"))?;
        let found = (|| {
            let asked = Asked::start(subject, Backend::before(engine.address())?, bench)?;
            let mut sample = || {
                let batches = (0..BATCHES).map(|batch| messages.batch_from(sent + batch * BATCH, BATCH));
                let batches = batches.collect::<Result<Vec<_>>>()?;
                sent += BATCHES * BATCH;
                asked.sample(batches, |body| subject.answer.check(body))
            };
            sample()?;
            let samples = (0..SAMPLES).map(|_| sample()).collect::<Result<Vec<_>>>()?;
            point(size, &samples)
        })();
        points.push(found.map_err(|error| failed(subject, &error))?);
    }
    Ok(Series { name: "product-creator", of: "changes applied before", per: "batch of 10", points })
}

/// One process works through a backlog in batches of ten messages; measured at the end of each size.
fn auditor(bench: &Bench, subject: &Subject, largest: usize, meter: &Meter) -> Result<Series> {
    let messages = subject.messages.as_ref().context("audit-logger has no messages")?;
    let found = (|| {
        let asked = Asked::start(subject, Backend::start(None, Behaviour::default())?, bench)?;
        let (mut points, mut sent) = (Vec::new(), 0);
        for size in sizes(&BACKLOGS, largest) {
            let mut samples = Vec::new();
            while sent < size {
                let batches = BATCHES.min((size - sent).div_ceil(BATCH));
                let events = (0..batches).map(|batch| messages.batch_from(sent + batch * BATCH, BATCH));
                let events = events.collect::<Result<Vec<_>>>()?;
                sent += batches * BATCH;
                samples.push(asked.sample(events, |body| subject.answer.check(body))?);
                now(meter, format!("audit-logger: {sent} of {size} messages"))?;
            }
            // The first stretch is as short as this: its first call is not among them.
            let last = samples.len().saturating_sub(SAMPLES).max(1);
            points.push(point(size, samples.get(last..).unwrap_or_default())?);
        }
        Ok(points)
    })();
    let points = found.map_err(|error| failed(subject, &error))?;
    Ok(Series { name: "audit-logger", of: "messages worked off", per: "batch of 10", points })
}

/// Adds the program's own output to the error.
fn failed(subject: &Subject, error: &anyhow::Error) -> anyhow::Error {
    anyhow!("failed to measure {}: {error:#}. {}", subject.name, last_words(&subject.launch))
}

/// A series for tests.
#[cfg(test)]
pub fn example(cpu: [f64; 2], engine: [f64; 2]) -> Series {
    let point = |size, cpu_us, engine_us| Point {
        size,
        wall_us: cpu_us + engine_us,
        own_us: cpu_us,
        cpu_us,
        engine_us,
        engine_calls: 1.0,
        peak_rss_mb: 10.0,
        waited_percent: 40.0,
    };
    let points = vec![point(1_000, cpu[0], engine[0]), point(100_000, cpu[1], engine[1])];
    Series { name: "get", of: "products", per: "call", points }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verdict_names_subjects_that_grow() {
        let verdict = |cpu, engine| example(cpu, engine).verdict();
        let flat = verdict([200.0, 210.0], [100.0, 100.0]);
        assert_eq!(
            flat,
            "get: the function does not grow (CPU × 1.05), its memory does not grow (× 1.00); \
             the engine does not grow either (× 1.00)."
        );
        assert!(verdict([200.0, 400.0], [100.0, 100.0]).contains("the function **grows** (CPU × 2.00)"));
        let engine = verdict([200.0, 200.0], [100.0, 300.0]);
        assert!(engine.contains("the engine grows: that is the engine, not the function (× 3.00)"), "{engine}");
        // Where no engine answers, nothing is said of one.
        assert!(!verdict([200.0, 200.0], [0.0, 0.0]).contains("engine"));
    }

    #[test]
    fn takes_the_lowest_time_and_the_highest_memory() {
        let [one, two] = &example([200.0, 300.0], [90.0, 80.0]).points[..] else { panic!("two points") };
        let of_both = point(5, &[one.clone(), Point { peak_rss_mb: 12.0, ..two.clone() }]).unwrap();
        assert_eq!((of_both.cpu_us, of_both.engine_us, of_both.peak_rss_mb), (200.0, 80.0, 12.0));
        assert!(point(5, &[]).is_err());
    }

    #[test]
    fn sizes_end_at_the_given_limit() {
        assert_eq!(sizes(&CATALOGUES, 10_000).collect::<Vec<_>>(), [1_000, 10_000]);
        assert_eq!(sizes(&BACKLOGS, 1_000_000).count(), 3);
    }

    #[test]
    fn rejects_response_without_products() {
        assert!(Kind::Get.check(br#"{"statusCode":200}"#).is_ok());
        assert!(Kind::FirstPage.check(br#"{"statusCode":200,"body":"{\"items\":[]}"}"#).is_err());
        assert!(Kind::ByName.check(br#"{"statusCode":200,"body":"{\"items\":[{}]}"}"#).is_ok());
        assert!(Kind::Create.check(br#"{"statusCode":503}"#).is_err());
    }

    #[test]
    fn has_a_line_for_each_size() {
        let series = vec![example([200.0, 210.0], [100.0, 100.0])];
        let verdicts = series.iter().map(Series::verdict).collect();
        let report = Report { machine: Machine::read(None), series, verdicts };
        let text = report.markdown();
        assert!(text.contains("| get, by products | call, µs |") && text.contains("| 100000 | 310 | 210 |"), "{text}");
        assert!(text.contains("- get: the function does not grow"), "{text}");
        assert!(text.contains("waited up to 40 % of its time"), "{text}");
        assert_eq!(serde_json::to_value(&report).unwrap()["series"][0]["points"][1]["cpu_us"], 210.0);
    }
}
