//! `cargo xtask rehearse`: makes an alarm of the running stack ring by a fault as it can happen on AWS, and repairs it.
//!
//! `local/observation.py` evaluates the alarms. Each fault touches this stack's resources and processes only. It is undone
//! at the end, also after Ctrl-C; a repair can be repeated and doesn't depend on how far the fault was made. What a killed
//! rehearsal leaves is repaired by the next `rehearse` or `up`, from its [`FaultRecord`].

use std::convert::Infallible;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::companions;
use crate::environment::Environment;
use crate::fault_record::{Before, FaultRecord, Queue};
use crate::function_processes;
use crate::local_aws::{Alarm, LocalAws};
use crate::prerequisites;
use crate::process;
use crate::progress::{Progress, duration};
use crate::stack::{ACCESS_KEY_ID, ENVIRONMENT, REGION, SECRET_ACCESS_KEY, Stack};
use crate::status::{Running, Status};
use crate::workspace::{INFRASTRUCTURE, Workspace};

/// How much faster time passes for alarms. A minute lasts a second.
const SPEED: &str = "60";

/// Within this time an alarm must ring, and end after the repair. The pipe gives up after an hour, which is a minute here.
const RING: Duration = Duration::from_secs(180);
const END: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(250);

/// Within this time after the repair each product is created: a message that failed is hidden for a minute.
const CREATED: Duration = Duration::from_secs(70);

/// The name of the policy and the statement that refuse something, so that a repair finds them.
const REFUSAL: &str = "Rehearsal";

/// What a rehearsal's message says, so that a repair deletes only those.
const POISON: &str = "not JSON: a rehearsal";

/// How long a message is hidden after a failed attempt, in place of a minute; and for the rehearsal of the lag, whose
/// threshold is 30 s.
const QUICK_RETRY: &str = "1";
const LATE_RETRY: &str = "35";
/// How long writes fail in the rehearsal of the lag.
const LAG: Duration = Duration::from_secs(25);

/// What fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// A function's role may not use DynamoDB.
    RefusedTable(&'static str),
    /// The same of product-creator for a time, so that changes are applied late.
    LateCommits,
    /// The function's processes are stopped, for most of the time or until they are killed.
    SlowFunction(&'static str),
    CrashingFunction(&'static str),
    /// The function's event source mapping is disabled.
    StoppedConsumer(&'static str),
    /// A message that the consumer can't read; later a second one.
    PoisonMessage(Queue),
    PoisonMessages(Queue),
    /// The pipe's role may not publish.
    RefusedTopic,
    /// The same until the pipe gives up one change, or one and then others.
    LostPositions,
    StoppedPipe,
    /// The audit bucket refuses every object.
    RefusedObjects,
    /// The audit queue refuses the topic's messages.
    RefusedDelivery,
}

/// What clients do meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Calls {
    None,
    /// This number of clients list products.
    Reads(usize),
    /// A product is created this often.
    Changes(Duration),
}

/// The rehearsal of one alarm.
#[derive(Debug)]
pub struct Rehearsal {
    /// The alarm without prefix and environment.
    name: &'static str,
    /// The alarm's whole name but for the environment, which `{}` stands for.
    alarm: &'static str,
    /// The page in `docs/runbooks`.
    page: &'static str,
    /// The fault, as a reader of the list sees it.
    shown: &'static str,
    fault: Fault,
    calls: Calls,
}

const CHANGES: Calls = Calls::Changes(Duration::from_millis(400));

/// Every alarm that can be rehearsed. Those on errors and duration are the same for each function.
pub const ALL: [Rehearsal; 18] = [
    Rehearsal {
        name: "api-5xx",
        alarm: "bbws-product-api-5xx-{}",
        page: "api-5xx",
        shown: "list-products' role may not read the table",
        fault: Fault::RefusedTable("list-products"),
        calls: Calls::Reads(3),
    },
    Rehearsal {
        name: "change-dlq-depth",
        alarm: "bbws-product-change-dlq-depth-{}",
        page: "change-dlq-depth",
        shown: "a message in the change queue can't be read",
        fault: Fault::PoisonMessage(Queue::Change),
        calls: Calls::None,
    },
    Rehearsal {
        name: "change-dlq-growing",
        alarm: "bbws-product-change-dlq-growing-{}",
        page: "change-dlq-depth",
        shown: "two messages in the change queue can't be read, one later than the other",
        fault: Fault::PoisonMessages(Queue::Change),
        calls: Calls::None,
    },
    Rehearsal {
        name: "change-oldest-message",
        alarm: "bbws-product-change-oldest-message-{}",
        page: "change-oldest-message",
        shown: "product-creator's event source mapping is disabled",
        fault: Fault::StoppedConsumer("product-creator"),
        calls: CHANGES,
    },
    Rehearsal {
        name: "events-dlq-depth",
        alarm: "bbws-product-events-dlq-depth-{}",
        page: "events-dlq-depth",
        shown: "the pipe's role may not publish, until the pipe gives up",
        fault: Fault::LostPositions,
        calls: Calls::Changes(Duration::from_secs(90)),
    },
    Rehearsal {
        name: "events-dlq-growing",
        alarm: "bbws-product-events-dlq-growing-{}",
        page: "events-dlq-depth",
        shown: "the same, for several changes",
        fault: Fault::LostPositions,
        calls: Calls::Changes(Duration::from_secs(8)),
    },
    Rehearsal {
        name: "events-pipe-failed",
        alarm: "bbws-product-events-pipe-failed-{}",
        page: "events-pipe-failed",
        shown: "the pipe's role may not publish",
        fault: Fault::RefusedTopic,
        calls: CHANGES,
    },
    Rehearsal {
        name: "events-pipe-silent",
        alarm: "bbws-product-events-pipe-silent-{}",
        page: "events-pipe-silent",
        shown: "the pipe is stopped",
        fault: Fault::StoppedPipe,
        calls: CHANGES,
    },
    Rehearsal {
        name: "function-errors",
        alarm: "bbws-list-products-{}-errors",
        page: "function-errors",
        shown: "list-products crashes in each invocation",
        fault: Fault::CrashingFunction("list-products"),
        calls: Calls::Reads(8),
    },
    Rehearsal {
        name: "function-duration-p95",
        alarm: "bbws-list-products-{}-duration-p95",
        page: "function-duration-p95",
        shown: "list-products gets no processor most of the time",
        fault: Fault::SlowFunction("list-products"),
        calls: Calls::Reads(12),
    },
    Rehearsal {
        name: "product-creator-batch-item-failures",
        alarm: "bbws-product-creator-{}-batch-item-failures",
        page: "batch-item-failures",
        shown: "product-creator's role may not use the table",
        fault: Fault::RefusedTable("product-creator"),
        calls: CHANGES,
    },
    Rehearsal {
        name: "audit-logger-batch-item-failures",
        alarm: "bbws-audit-logger-{}-batch-item-failures",
        page: "batch-item-failures",
        shown: "the audit bucket refuses objects",
        fault: Fault::RefusedObjects,
        calls: CHANGES,
    },
    Rehearsal {
        name: "change-lag",
        alarm: "bbws-product-creator-{}-change-lag",
        page: "change-lag",
        shown: "product-creator's role may not use the table for 25 s, and commits follow after 35 s",
        fault: Fault::LateCommits,
        calls: CHANGES,
    },
    Rehearsal {
        name: "audit-dlq-depth",
        alarm: "bbws-product-audit-dlq-depth-{}",
        page: "audit-dlq-depth",
        shown: "a message in the audit queue can't be read",
        fault: Fault::PoisonMessage(Queue::Audit),
        calls: Calls::None,
    },
    Rehearsal {
        name: "audit-dlq-growing",
        alarm: "bbws-product-audit-dlq-growing-{}",
        page: "audit-dlq-depth",
        shown: "two messages in the audit queue can't be read, one later than the other",
        fault: Fault::PoisonMessages(Queue::Audit),
        calls: Calls::None,
    },
    Rehearsal {
        name: "audit-oldest-message",
        alarm: "bbws-product-audit-oldest-message-{}",
        page: "audit-oldest-message",
        shown: "audit-logger's event source mapping is disabled",
        fault: Fault::StoppedConsumer("audit-logger"),
        calls: CHANGES,
    },
    Rehearsal {
        name: "events-delivery-failed",
        alarm: "bbws-product-events-delivery-failed-{}",
        page: "events-delivery-failed",
        shown: "the audit queue refuses the topic's messages",
        fault: Fault::RefusedDelivery,
        calls: CHANGES,
    },
    Rehearsal {
        name: "product-creator-errors",
        alarm: "bbws-product-creator-{}-errors",
        page: "function-errors",
        shown: "product-creator crashes in each invocation",
        fault: Fault::CrashingFunction("product-creator"),
        calls: Calls::Changes(Duration::from_millis(100)),
    },
];

/// The alarms' pages that have no rehearsal, with the reason.
pub const NOT_HERE: [(&str, &str); 3] = [
    ("index-throttled", "the local DynamoDB has no limit of throughput, so it never throttles"),
    ("audit-broken", "a workflow on GitHub publishes its metric"),
    ("audit-unverified", "a workflow on GitHub publishes its metric"),
];

impl Rehearsal {
    fn alarm(&self) -> String {
        self.alarm.replace("{}", ENVIRONMENT)
    }

    fn runbook(&self) -> PathBuf {
        Path::new(INFRASTRUCTURE).join("docs/runbooks").join(self.page).with_extension("md")
    }
}

/// The alarms with their faults, for people.
pub fn list() -> String {
    let width = ALL.iter().map(|rehearsal| rehearsal.name.len()).max().unwrap_or_default();
    let rows = ALL.iter().map(|rehearsal| (rehearsal.name, rehearsal.shown.to_owned()));
    let not_here = NOT_HERE.iter().map(|(name, reason)| (*name, format!("not on a local stack: {reason}")));
    rows.chain(not_here).map(|(name, text)| format!("{name:width$}  {text}")).collect::<Vec<_>>().join("\n")
}

/// The rehearsals of these names, which may be whole alarm names.
pub fn named(names: &[String]) -> Result<Vec<&'static Rehearsal>> {
    let one = |name: &String| {
        if let Some((_, reason)) = NOT_HERE.iter().find(|(page, _)| name.contains(page)) {
            bail!("{name} can't be rehearsed: {reason}");
        }
        let found = ALL.iter().find(|rehearsal| rehearsal.name == name || rehearsal.alarm() == *name);
        found.with_context(|| format!("unknown alarm {name:?}; `cargo xtask rehearse --list` lists them"))
    };
    names.iter().map(one).collect()
}

/// The first command in an alarm's description: between the first pair of backticks after "First command".
pub fn first_command(description: &str) -> Option<&str> {
    description.split_once("First command: `")?.1.split_once('`').map(|(command, _)| command)
}

/// Rehearses alarms one after the other. With `hold`, each fault stays until the user interrupts.
pub async fn run(
    workspace: &Workspace,
    stack: &Stack,
    rehearsals: &[&Rehearsal],
    hold: bool,
    progress: &Progress,
) -> Result<ExitCode> {
    let Some(running) = Status::of(stack)?.running else {
        bail!("the stack isn't running. Start it with `cargo xtask up --detach{}`", stack.option());
    };
    let _lock = stack.lock()?;
    let left = FaultRecord::find(stack)?;
    let mut faults: Vec<Fault> = rehearsals.iter().map(|rehearsal| rehearsal.fault).collect();
    if let Some(left) = &left {
        faults.push(rehearsal_of(left)?.fault);
    }
    let stage = Stage::of(workspace, stack, running, &faults, progress).await?;
    if let Some(left) = left {
        stage.repair_left(left, progress).await?;
    }
    let clock = Clock::faster(stack)?;
    for rehearsal in rehearsals {
        let outcome = stage.rehearse(rehearsal, hold, progress).await;
        let what = || format!("failed to rehearse {}", rehearsal.name);
        outcome.with_context(what)?;
    }
    drop(clock);
    Ok(ExitCode::SUCCESS)
}

/// Repairs the fault of a rehearsal that was killed on a running stack, if there is one. The caller holds the stack's lock, so
/// no rehearsal is under way.
pub async fn repair_left(workspace: &Workspace, stack: &Stack, progress: &Progress) -> Result<()> {
    // Time passes as on AWS again, also if a rehearsal was killed after its repair.
    drop(Clock(stack.alarm_speed()));
    let (Some(left), Some(running)) = (FaultRecord::find(stack)?, Status::of(stack)?.running) else { return Ok(()) };
    let faults = [rehearsal_of(&left)?.fault];
    let stage = Stage::of(workspace, stack, running, &faults, progress).await?;
    stage.repair_left(left, progress).await
}

/// The rehearsal that made a recorded fault.
fn rehearsal_of(record: &FaultRecord) -> Result<&'static Rehearsal> {
    let name = &record.before().rehearsal;
    let found = ALL.iter().find(|rehearsal| rehearsal.name == name);
    found.with_context(|| format!("unknown rehearsal {name:?} in the stack's record of a fault"))
}

/// Makes time pass faster for the stack's alarms as long as it exists.
struct Clock(PathBuf);

impl Clock {
    fn faster(stack: &Stack) -> Result<Self> {
        let path = stack.alarm_speed();
        fs::write(&path, SPEED).with_context(|| format!("failed to write {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Clock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A running stack, and what a rehearsal needs to work on it.
struct Stage {
    stack: Stack,
    running: Running,
    aws: LocalAws,
    http: reqwest::Client,
    cli: PathBuf,
    catalogctl: Option<PathBuf>,
}

impl Stage {
    /// Gets ready to make and repair these faults.
    async fn of(
        workspace: &Workspace,
        stack: &Stack,
        running: Running,
        faults: &[Fault],
        progress: &Progress,
    ) -> Result<Self> {
        let python = prerequisites::python(&stack.log("prerequisites")).await?;
        let cli = Environment::aws_cli(workspace);
        cli.ensure(&python, stack, progress).await?;
        // Some repairs need it, and a repair can't wait for a build.
        let loses_records = faults.iter().any(|fault| matches!(fault, Fault::LostPositions | Fault::RefusedDelivery));
        let catalogctl =
            if loses_records { Some(companions::build(workspace, stack, "catalogctl", progress).await?) } else { None };
        Ok(Self {
            aws: LocalAws::at(&running.facts.endpoint_url)?,
            cli: cli.program("aws"),
            catalogctl,
            http: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build()?,
            running,
            stack: stack.clone(),
        })
    }

    async fn rehearse(&self, rehearsal: &Rehearsal, hold: bool, progress: &Progress) -> Result<()> {
        let name = rehearsal.alarm();
        self.expect_quiet(&name).await?;
        let record = FaultRecord::create(&self.stack, self.before(rehearsal).await?)?;
        let step = progress.step(format!("{name}: {}", rehearsal.shown));
        let started = Instant::now();
        let mut outcome = tokio::select! {
            error = self.keep_failing(rehearsal, &record) => error.map(|never| match never {}),
            rung = self.wait(&name, "ALARM", RING) => rung,
        };
        if let Ok(alarm) = &outcome {
            step.done(format!("ALARM after {}", duration(started.elapsed())));
            println!("\n{}\n", alarm.description);
            println!("  Runbook        {}", rehearsal.runbook().display());
            println!("  First command  {}\n", first_command(&alarm.description).unwrap_or("-"));
            if hold {
                progress.say("The fault stays until you press Ctrl-C.");
                tokio::select! {
                    error = self.keep_failing(rehearsal, &record) => outcome = error.map(|never| match never {}),
                    () = process::interruption() => {}
                }
            }
        } else {
            drop(step);
        }
        self.repair(rehearsal, record, "repair the fault", progress).await?;
        outcome?;
        if process::is_interrupted() {
            bail!("interrupted");
        }
        let step = progress.step("wait for the alarm's end");
        self.wait(&name, "OK", END).await?;
        step.done("");
        Ok(())
    }

    /// Repairs what a killed rehearsal has left.
    async fn repair_left(&self, record: FaultRecord, progress: &Progress) -> Result<()> {
        let rehearsal = rehearsal_of(&record)?;
        let shown = format!("repair the fault that the rehearsal of {} left: {}", rehearsal.name, rehearsal.shown);
        self.repair(rehearsal, record, &shown, progress).await
    }

    /// Repairs a fault, also after an interruption: not through `External`, which starts nothing then.
    async fn repair(&self, rehearsal: &Rehearsal, record: FaultRecord, shown: &str, progress: &Progress) -> Result<()> {
        let step = progress.step(shown);
        let repaired = async {
            self.undo(rehearsal.fault, &record).await?;
            self.delete_products(&record).await
        };
        if let Err(error) = repaired.await {
            let option = self.stack.option();
            let error = error.context(format!(
                "failed to repair the fault of {}; the next `cargo xtask{option} rehearse` or `up` repairs it",
                rehearsal.name
            ));
            drop(step);
            // The message of an interruption is all that is printed otherwise.
            if process::is_interrupted() {
                progress.say(format!("  ! {error:#}"));
            }
            return Err(error);
        }
        record.delete()?;
        step.done("");
        Ok(())
    }

    /// An alarm that rings before its fault would prove nothing.
    async fn expect_quiet(&self, name: &str) -> Result<()> {
        self.wait(name, "OK", END).await.with_context(|| format!("{name} must be OK before its fault"))?;
        Ok(())
    }

    async fn wait(&self, name: &str, state: &str, limit: Duration) -> Result<Alarm> {
        let started = Instant::now();
        loop {
            if process::is_interrupted() {
                bail!("interrupted");
            }
            let alarm = self.aws.alarm(name).await?.with_context(|| format!("the stack has no alarm {name}"))?;
            if alarm.state == state {
                return Ok(alarm);
            }
            if started.elapsed() > limit {
                bail!("{name} is {} after {}; expected {state}", alarm.state, duration(limit));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn before(&self, rehearsal: &Rehearsal) -> Result<Before> {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).context("the clock is before 1970")?.as_millis();
        let started = u64::try_from(started).context("the clock is too late")?;
        let visibility = [Queue::Change, Queue::Audit].map(|queue| async move {
            let names = ["--attribute-names", "VisibilityTimeout"];
            let found = self.queue(&["get-queue-attributes"], self.url(queue), &names).await?;
            let seconds = found["Attributes"]["VisibilityTimeout"].as_str().context("a queue without a timeout")?;
            Ok::<_, anyhow::Error>((queue, seconds.to_owned()))
        });
        let visibility = try_join_all(visibility).await?.try_into().ok().context("two queues")?;
        Ok(Before { rehearsal: rehearsal.name.to_owned(), started, visibility })
    }

    /// Makes the fault, and then the calls of clients, until it is dropped. A call before the fault would succeed, and the next
    /// can be long after.
    async fn keep_failing(&self, rehearsal: &Rehearsal, record: &FaultRecord) -> Result<Infallible> {
        self.make(rehearsal.fault).await?;
        let (never, _) = tokio::try_join!(self.go_on(rehearsal.fault), self.keep_calling(rehearsal.calls, record))?;
        Ok(never)
    }

    /// Makes a fault, or its first part.
    async fn make(&self, fault: Fault) -> Result<()> {
        match fault {
            Fault::RefusedTable(function) => self.refuse(&role(function), "dynamodb:*").await,
            Fault::LateCommits => {
                self.set_visibility(Queue::Change, LATE_RETRY).await?;
                self.refuse(&role("product-creator"), "dynamodb:*").await
            }
            Fault::StoppedConsumer(function) => self.set_consumer(function, false).await,
            Fault::PoisonMessage(queue) | Fault::PoisonMessages(queue) => self.poison(queue).await,
            Fault::RefusedTopic | Fault::LostPositions => {
                self.refuse(&role("product-events-pipe"), "sns:Publish").await
            }
            Fault::StoppedPipe => self.aws.stop_pipe().await,
            Fault::RefusedObjects => self.aws.refuse_objects(&self.running.facts.audit_bucket).await,
            Fault::RefusedDelivery => self.set_delivery(false).await,
            Fault::SlowFunction(_) | Fault::CrashingFunction(_) => Ok(()),
        }
    }

    /// What goes on while the fault lasts.
    async fn go_on(&self, fault: Fault) -> Result<Infallible> {
        let endpoint = &self.running.facts.endpoint_url;
        match fault {
            Fault::LateCommits => {
                tokio::time::sleep(LAG).await;
                self.allow(&role("product-creator")).await?;
            }
            Fault::SlowFunction(function) => loop {
                let name = role(function);
                function_processes::signal(endpoint, Some(&name), Signal::STOP);
                tokio::time::sleep(Duration::from_millis(450)).await;
                function_processes::signal(endpoint, Some(&name), Signal::CONT);
                tokio::time::sleep(Duration::from_millis(40)).await;
            },
            Fault::CrashingFunction(function) => loop {
                let name = role(function);
                function_processes::signal(endpoint, Some(&name), Signal::STOP);
                tokio::time::sleep(Duration::from_millis(150)).await;
                function_processes::signal(endpoint, Some(&name), Signal::KILL);
                tokio::time::sleep(Duration::from_millis(100)).await;
            },
            Fault::PoisonMessages(queue) => {
                self.wait(&dead_letter_alarm(queue), "ALARM", RING).await?;
                self.poison(queue).await?;
            }
            _ => {}
        }
        std::future::pending().await
    }

    /// Undoes a fault, however far it was made.
    async fn undo(&self, fault: Fault, record: &FaultRecord) -> Result<()> {
        let before = record.before();
        match fault {
            Fault::RefusedTable(function) => self.allow(&role(function)).await?,
            Fault::LateCommits => self.allow(&role("product-creator")).await?,
            Fault::SlowFunction(function) => {
                function_processes::signal(&self.running.facts.endpoint_url, Some(&role(function)), Signal::CONT);
            }
            // What is stopped would hang until its timeout; what is killed is started again.
            Fault::CrashingFunction(function) => {
                function_processes::signal(&self.running.facts.endpoint_url, Some(&role(function)), Signal::KILL);
            }
            Fault::StoppedConsumer(function) => self.set_consumer(function, true).await?,
            Fault::PoisonMessage(queue) | Fault::PoisonMessages(queue) => {
                let dead = |message: &Value| message["Body"] == POISON;
                self.delete(self.url(queue), dead).await?;
                self.delete(self.dead_letter_url(queue), dead).await?;
            }
            Fault::RefusedTopic => self.allow(&role("product-events-pipe")).await?,
            Fault::LostPositions => {
                self.allow(&role("product-events-pipe")).await?;
                // The records that the pipe gave up.
                // Without `--settle 0` they are too young: they are a minute old, not an hour as on AWS.
                self.catalogctl(&["audit", "repair", "--apply", "--settle", "0"]).await?;
                let late = |message: &Value| {
                    let sent = message["Attributes"]["SentTimestamp"].as_str().and_then(|sent| sent.parse().ok());
                    sent.is_some_and(|sent: u64| sent >= before.started)
                };
                self.delete(&self.running.facts.audit_dlq_url.replace("-audit-dlq-", "-events-dlq-"), late).await?;
            }
            Fault::StoppedPipe => self.aws.start_pipe().await?,
            Fault::RefusedObjects => self.aws.accept_objects(&self.running.facts.audit_bucket).await?,
            Fault::RefusedDelivery => {
                self.set_delivery(true).await?;
                self.catalogctl(&["dlq", "redrive", "audit", "--apply"]).await?;
            }
        }
        for (queue, seconds) in &before.visibility {
            self.set_visibility(*queue, seconds).await?;
        }
        Ok(())
    }

    /// Deletes the products that the calls have made. One whose creation failed at first doesn't exist before its next attempt.
    async fn delete_products(&self, record: &FaultRecord) -> Result<()> {
        let started = Instant::now();
        for product in record.products()? {
            let url = format!("{}/products/{product}", self.running.facts.api_url);
            loop {
                let request = self.http.delete(&url).header("x-api-key", &self.running.api_key);
                let status = request.send().await.context("the API didn't respond")?.status();
                if status != StatusCode::NOT_FOUND || started.elapsed() > CREATED {
                    break;
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    async fn keep_calling(&self, calls: Calls, record: &FaultRecord) -> Result<Infallible> {
        let url = format!("{}/products", self.running.facts.api_url);
        let key = &self.running.api_key;
        match calls {
            Calls::None => std::future::pending().await,
            Calls::Reads(clients) => {
                let client = async || {
                    loop {
                        // How a call ends is the alarm's business.
                        let _ = self.http.get(&url).header("x-api-key", key).send().await;
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                };
                try_join_all((0..clients).map(|_| client())).await.map(|mut never| never.remove(0))
            }
            Calls::Changes(interval) => loop {
                let product = json!({"name": "Rehearsal", "price": "1.00", "currency": "EUR"}).to_string();
                let request = self.http.post(&url).header("x-api-key", key).header("content-type", "application/json");
                let accepted = async { request.body(product).send().await?.text().await }.await;
                if let Ok(accepted) = accepted.map(|text| serde_json::from_str::<Value>(&text).unwrap_or_default())
                    && let Some(id) = accepted["productId"].as_str()
                {
                    record.add_product(id)?;
                }
                tokio::time::sleep(interval).await;
            },
        }
    }

    /// Refuses an action to a role with a policy of its own.
    async fn refuse(&self, role: &str, action: &str) -> Result<()> {
        let statement = json!({"Effect": "Deny", "Action": action, "Resource": "*"});
        let policy = json!({"Version": "2012-10-17", "Statement": [statement]}).to_string();
        let names = ["--role-name", role, "--policy-name", REFUSAL];
        self.ask(&[&["iam", "put-role-policy"], &names[..], &["--policy-document", &policy]].concat()).await?;
        Ok(())
    }

    /// Takes [`Self::refuse`] back.
    async fn allow(&self, role: &str) -> Result<()> {
        let listed = self.ask(&["iam", "list-role-policies", "--role-name", role]).await?;
        if listed["PolicyNames"].as_array().is_some_and(|names| names.iter().any(|name| name == REFUSAL)) {
            self.ask(&["iam", "delete-role-policy", "--role-name", role, "--policy-name", REFUSAL]).await?;
        }
        Ok(())
    }

    async fn set_consumer(&self, function: &str, enabled: bool) -> Result<()> {
        let name = format!("{}:live", role(function));
        let listed = self.ask(&["lambda", "list-event-source-mappings", "--function-name", &name]).await?;
        let id =
            listed["EventSourceMappings"][0]["UUID"].as_str().with_context(|| format!("{name} has no consumer"))?;
        let order = if enabled { "--enabled" } else { "--no-enabled" };
        self.ask(&["lambda", "update-event-source-mapping", "--uuid", id, order]).await?;
        Ok(())
    }

    /// Has the audit queue's policy refuse the topic, or not.
    async fn set_delivery(&self, allowed: bool) -> Result<()> {
        let url = &self.running.facts.audit_queue_url;
        let found = self.queue(&["get-queue-attributes"], url, &["--attribute-names", "Policy"]).await?;
        let policy = found["Attributes"]["Policy"].as_str().context("the audit queue has no policy")?;
        let mut policy: Value = serde_json::from_str(policy).context("the audit queue's policy isn't JSON")?;
        let statements = policy["Statement"].as_array_mut().context("the audit queue's policy has no statements")?;
        statements.retain(|statement| statement["Sid"] != REFUSAL);
        if !allowed {
            let topic = json!({"Service": "sns.amazonaws.com"});
            statements.push(json!({
                "Sid": REFUSAL, "Effect": "Deny", "Principal": topic, "Action": "sqs:SendMessage", "Resource": "*",
            }));
        }
        let attributes = json!({"Policy": policy.to_string()}).to_string();
        self.queue(&["set-queue-attributes"], url, &["--attributes", &attributes]).await?;
        Ok(())
    }

    async fn poison(&self, queue: Queue) -> Result<()> {
        self.set_visibility(queue, QUICK_RETRY).await?;
        self.queue(&["send-message"], self.url(queue), &["--message-body", POISON]).await?;
        Ok(())
    }

    async fn set_visibility(&self, queue: Queue, seconds: &str) -> Result<()> {
        let attributes = json!({"VisibilityTimeout": seconds}).to_string();
        self.queue(&["set-queue-attributes"], self.url(queue), &["--attributes", &attributes]).await?;
        Ok(())
    }

    /// Deletes the messages of a queue that are chosen.
    async fn delete(&self, url: &str, chosen: impl Fn(&Value) -> bool) -> Result<()> {
        loop {
            let options = ["--max-number-of-messages", "10", "--visibility-timeout", "5", "--attribute-names", "All"];
            let received = self.queue(&["receive-message"], url, &options).await?;
            let messages = received["Messages"].as_array().cloned().unwrap_or_default();
            let mut deleted = 0;
            for message in messages.iter().filter(|message| chosen(message)) {
                let handle = message["ReceiptHandle"].as_str().context("a message without a handle")?;
                self.queue(&["delete-message"], url, &["--receipt-handle", handle]).await?;
                deleted += 1;
            }
            if deleted == 0 {
                return Ok(());
            }
        }
    }

    fn url(&self, queue: Queue) -> &str {
        match queue {
            Queue::Change => &self.running.facts.change_queue_url,
            Queue::Audit => &self.running.facts.audit_queue_url,
        }
    }

    fn dead_letter_url(&self, queue: Queue) -> &str {
        match queue {
            Queue::Change => &self.running.facts.change_dlq_url,
            Queue::Audit => &self.running.facts.audit_dlq_url,
        }
    }

    async fn queue(&self, operation: &[&str], url: &str, options: &[&str]) -> Result<Value> {
        self.ask(&[&["sqs"], operation, &["--queue-url", url], options].concat()).await
    }

    /// A call of the AWS CLI; what it prints, or null.
    async fn ask(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new(&self.cli);
        command
            .args(["--output", "json", "--endpoint-url", &self.running.facts.endpoint_url])
            .args(arguments)
            .env("AWS_CONFIG_FILE", "/dev/null")
            .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
            .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
            .env("NO_PROXY", "*");
        let printed = output(&mut command, &format!("aws {}", arguments[..2].join(" "))).await?;
        if printed.trim().is_empty() { Ok(Value::Null) } else { Ok(serde_json::from_str(&printed)?) }
    }

    /// A command of `catalogctl` on this stack. 2 means that there was something to repair.
    async fn catalogctl(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(self.catalogctl.as_ref().context("catalogctl wasn't built")?);
        command.args(arguments).env_remove("CATALOGUE_ENV").env("CATALOGUE_LOCAL", self.stack.facts());
        output(&mut command, &format!("catalogctl {}", arguments.join(" "))).await.map(drop)
    }
}

/// Runs a program in a process group of its own, which Ctrl-C in the terminal doesn't reach. Returns its output.
async fn output(command: &mut Command, shown: &str) -> Result<String> {
    let command = command.stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    let ended = command.output().await.with_context(|| format!("failed to start `{shown}`"))?;
    if !matches!(ended.status.code(), Some(0 | 2)) || ended.stdout.is_empty() && ended.status.code() == Some(2) {
        bail!("`{shown}` failed ({}): {}", ended.status, String::from_utf8_lossy(&ended.stderr).trim());
    }
    String::from_utf8(ended.stdout).with_context(|| format!("the output of `{shown}` isn't UTF-8"))
}

/// The name of a function, and of its role, on a local stack.
fn role(function: &str) -> String {
    format!("bbws-{function}-{ENVIRONMENT}")
}

fn dead_letter_alarm(queue: Queue) -> String {
    let name = match queue {
        Queue::Change => "change",
        Queue::Audit => "audit",
    };
    format!("bbws-product-{name}-dlq-depth-{ENVIRONMENT}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// A page about something else than an alarm.
    const NO_ALARM: [&str; 2] = ["README", "table-lost"];

    #[test]
    fn every_runbook_is_rehearsed_or_has_a_reason() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbooks");
        let pages = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let pages = pages.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned());
        let known: BTreeSet<&str> = ALL
            .iter()
            .map(|rehearsal| rehearsal.page)
            .chain(NOT_HERE.iter().map(|(page, _)| *page))
            .chain(NO_ALARM)
            .collect();
        assert_eq!(pages.collect::<BTreeSet<_>>(), known.into_iter().map(str::to_owned).collect());
    }

    #[test]
    fn finds_an_alarm_by_either_name() {
        let names = ["api-5xx", "bbws-list-products-dev-errors"].map(str::to_owned);
        let found: Vec<_> = named(&names).unwrap().iter().map(|rehearsal| rehearsal.name).collect();
        assert_eq!(found, ["api-5xx", "function-errors"]);
        for (name, reason) in [("api-4xx", "--list"), ("bbws-product-index-throttled-dev", "never throttles")] {
            assert!(named(&[name.to_owned()]).unwrap_err().to_string().contains(reason), "{name}");
        }
        assert_eq!(list().lines().count(), ALL.len() + NOT_HERE.len());
    }

    #[test]
    fn reads_the_first_command_of_a_description() {
        let description = "NOW: errors. First command: `catalogctl status --env dev`. Runbook: https://…/a.md";
        assert_eq!(first_command(description), Some("catalogctl status --env dev"));
        assert_eq!(first_command("NOW: errors."), None);
    }
}
