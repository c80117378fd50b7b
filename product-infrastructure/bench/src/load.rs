//! `cargo xtask bench load`: a mix of calls on the running local stack, and the outcome of every accepted change.
//!
//! The load is made here and not by a generator from crates.io. `oha` and `drill` send requests that are fixed beforehand and
//! keep no answer, but each accepted change is to be looked for afterwards, and the next call of a client depends on what
//! was accepted before; `rlt` puts all calls into one histogram; `goose` could do both, but rounds durations and brings a
//! second HTTP client. What is needed of a generator is this file's [`client`]: a closed loop, and a list of durations.
//!
//! The functions' share is the kernel's count of their processes' time. The emulator's `REPORT` lines don't
//! measure it: they hold whole milliseconds of its own clock, with its handling of the event and of the response.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt::Write;
use std::fs;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use reqwest::{Method, StatusCode, Url};
use serde::Serialize;
use serde_json::{Value, json};

use crate::local_stack::{Accepted, LocalStack, Verification};
use crate::progress::Progress;
use crate::statistics::quantile;

/// Time within which accepted changes must be applied and recorded after the last call.
const PATIENCE: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_secs(1);
/// Time before an accepted product is read for the first time.
const SETTLING: Duration = Duration::from_secs(1);
/// Products that each client creates before the measurement.
const SEEDS: usize = 5;
/// Number of error messages to keep.
const KEPT: usize = 5;

/// Make all calls on the running local stack concurrently, then look for every accepted change
///
/// 60 % get, 20 % list, 10 % create, 7 % update, 3 % delete. Stops by itself and calls only this machine.
#[derive(Debug, Args)]
pub struct Arguments {
    /// Duration in seconds
    #[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub seconds: u64,
    /// Number of concurrent clients; each waits for a response before its next call
    #[arg(long, default_value_t = 8, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub clients: u8,
    /// Count failed calls without failing: something disturbs the stack meanwhile. Lost changes still fail
    #[arg(long)]
    pub tolerate_errors: bool,
    /// Print the output as JSON (default: Markdown)
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Operation {
    Get,
    List,
    Create,
    Update,
    Delete,
}

impl Operation {
    const ALL: [Self; 5] = [Self::Get, Self::List, Self::Create, Self::Update, Self::Delete];

    /// By a number below 100.
    fn of(number: u64) -> Self {
        match number {
            0..60 => Self::Get,
            60..80 => Self::List,
            80..90 => Self::Create,
            90..97 => Self::Update,
            _ => Self::Delete,
        }
    }

    fn success(self) -> StatusCode {
        match self {
            Self::Get | Self::List => StatusCode::OK,
            Self::Create | Self::Update => StatusCode::ACCEPTED,
            Self::Delete => StatusCode::NO_CONTENT,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Create => "create",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }
}

/// The figures of one kind of call.
#[derive(Debug, Default)]
struct Calls {
    milliseconds: Vec<f64>,
    statuses: BTreeMap<u16, u64>,
    /// Responses 429 and 503.
    turned_away: u64,
    /// Reads of a product that wasn't applied yet: expected 404 responses.
    not_yet: u64,
    errors: u64,
}

#[derive(Debug, Default)]
struct Tally {
    calls: BTreeMap<Operation, Calls>,
    accepted: Vec<Accepted>,
    errors: Vec<String>,
}

impl Tally {
    fn merge(&mut self, other: Self) {
        for (operation, calls) in other.calls {
            let sum = self.calls.entry(operation).or_default();
            sum.milliseconds.extend(calls.milliseconds);
            for (status, count) in calls.statuses {
                *sum.statuses.entry(status).or_default() += count;
            }
            sum.turned_away += calls.turned_away;
            sum.not_yet += calls.not_yet;
            sum.errors += calls.errors;
        }
        self.accepted.extend(other.accepted);
        self.errors.extend(other.errors);
        self.errors.truncate(KEPT);
    }

    fn error(&mut self, operation: Operation, message: String) {
        self.calls.entry(operation).or_default().errors += 1;
        if self.errors.len() < KEPT {
            self.errors.push(format!("{}: {message}", operation.name()));
        }
    }
}

/// Where the calls go.
#[derive(Debug)]
struct Api {
    http: reqwest::Client,
    products: String,
    key: String,
}

/// The relevant part of a response.
struct Answer {
    status: StatusCode,
    event: Option<String>,
    body: Vec<u8>,
}

impl Api {
    fn new(url: &str, key: String) -> Result<Self> {
        loopback(url)?;
        // A redirect could lead elsewhere.
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(60))
            .build()
            .context("failed to create an HTTP client")?;
        Ok(Self { http, products: format!("{}/products", url.trim_end_matches('/')), key })
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let mut request = self.http.request(method, format!("{}{path}", self.products)).header("x-api-key", &self.key);
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let answer = request.send().await?;
        let event = answer.headers().get("x-event-id").and_then(|id| id.to_str().ok()).map(str::to_owned);
        Ok(Answer { status: answer.status(), event, body: answer.bytes().await?.to_vec() })
    }
}

/// Rejects any other machine, because this is a load test.
fn loopback(url: &str) -> Result<()> {
    let parsed = Url::parse(url).with_context(|| format!("invalid URL {url}"))?;
    let host = parsed.host_str().unwrap_or_default();
    let own = host == "localhost"
        || host.ends_with(".localhost")
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if own { Ok(()) } else { bail!("{url} is not on this machine; load is put on the local stack only") }
}

/// Pseudo-random numbers, the same in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit.max(1)
    }
}

fn product(number: u64) -> Value {
    json!({
        "name": format!("Desk lamp {number}"),
        "price": format!("{}.{:02}", number % 900 + 1, number % 100),
        "currency": "EUR",
        "description": "A lamp for the desk, with an arm that stays where it is put.",
        "tags": ["desk", "lamp"],
    })
}

/// A client's products.
#[derive(Default)]
struct Products {
    /// Products that were read.
    known: Vec<String>,
    /// Products that were accepted, and when.
    pending: VecDeque<(String, Instant)>,
}

/// One client: makes calls until the time is over. It reads and changes only its own products, so that the expected responses
/// don't depend on other clients.
async fn client(api: Arc<Api>, number: u64, end: Instant) -> Tally {
    let (mut dice, mut products, mut tally) =
        (Dice(0x9e37_79b9_7f4a_7c15 ^ (number + 1)), Products::default(), Tally::default());
    for _ in 0..SEEDS {
        step(&api, Operation::Create, &mut dice, &mut products, &mut tally).await;
    }
    while Instant::now() < end {
        let mut operation = Operation::of(dice.below(100));
        // Nothing that could be changed or read is there yet.
        if products.known.is_empty() && !matches!(operation, Operation::List | Operation::Create) {
            operation = Operation::Get;
            if products.pending.is_empty() {
                operation = Operation::Create;
            }
        }
        step(&api, operation, &mut dice, &mut products, &mut tally).await;
    }
    tally
}

async fn step(api: &Api, operation: Operation, dice: &mut Dice, products: &mut Products, tally: &mut Tally) {
    let pick = usize::try_from(dice.below(products.known.len() as u64)).unwrap_or_default();
    let known = products.known.get(pick).cloned().unwrap_or_default();
    // From time to time, read an accepted product.
    let due = products.pending.front().is_some_and(|(_, since)| since.elapsed() > SETTLING);
    let probe = if operation == Operation::Get && (known.is_empty() || (due && dice.below(4) == 0)) {
        products.pending.pop_front()
    } else {
        None
    };
    let id = probe.as_ref().map_or(known, |(id, _)| id.clone());
    if probe.as_ref().is_some_and(|(_, since)| since.elapsed() <= SETTLING) {
        tokio::time::sleep(SETTLING / 10).await;
    }
    let one = format!("/{id}");
    let started = Instant::now();
    let answer = match operation {
        Operation::Get => api.call(Method::GET, &one, None).await,
        Operation::List => api.call(Method::GET, "?currency=EUR&minPrice=10", None).await,
        Operation::Create => api.call(Method::POST, "", Some(&product(dice.below(1_000_000)))).await,
        Operation::Update => api.call(Method::PUT, &one, Some(&product(dice.below(1_000_000)))).await,
        Operation::Delete => api.call(Method::DELETE, &one, None).await,
    };
    let elapsed = started.elapsed().as_secs_f64() * 1e3;
    let answer = match answer {
        Ok(answer) => answer,
        Err(error) => {
            products.pending.extend(probe);
            return tally.error(operation, format!("{error:#}"));
        }
    };
    let calls = tally.calls.entry(operation).or_default();
    calls.milliseconds.push(elapsed);
    *calls.statuses.entry(answer.status.as_u16()).or_default() += 1;
    if answer.status == operation.success() {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let member = |name: &str| body[name].as_str().map(str::to_owned);
        let change = |product_id: Option<String>, event_id: Option<String>| Accepted {
            product_id: product_id.unwrap_or_default(),
            event_id: event_id.unwrap_or_default(),
        };
        match operation {
            Operation::Get => products.known.extend(probe.map(|(id, _)| id)),
            Operation::List => {}
            Operation::Create => {
                products.pending.extend(member("productId").map(|id| (id, Instant::now())));
                tally.accepted.push(change(member("productId"), member("eventId")));
            }
            Operation::Update => tally.accepted.push(change(Some(id), member("eventId"))),
            Operation::Delete => {
                products.known.swap_remove(pick);
                tally.accepted.push(change(Some(id), answer.event));
            }
        }
        return;
    }
    if matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        calls.turned_away += 1;
    } else if probe.is_some() && answer.status == StatusCode::NOT_FOUND {
        calls.not_yet += 1;
    } else {
        let text = String::from_utf8_lossy(&answer.body).chars().take(300).collect::<String>();
        tally.error(operation, format!("{}: {text}", answer.status));
    }
    products.pending.extend(probe);
}

/// A process's memory and CPU time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
struct Usage {
    rss_mb: f64,
    cpu_seconds: f64,
    processes: u32,
}

/// The emulator and each function, whose processes are its descendants.
fn usage(emulator: u32) -> BTreeMap<String, Usage> {
    let mut processes = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end between the two.
        if let Some(read) = fs::read_to_string(entry.path().join("stat")).ok().as_deref().and_then(stat) {
            processes.insert(pid, read);
        }
    }
    let page = rustix::param::page_size() as f64;
    let tick = rustix::param::clock_ticks_per_second() as f64;
    let mut found: BTreeMap<String, Usage> = BTreeMap::new();
    for (pid, (_, ticks, pages)) in &processes {
        let mut above = *pid;
        while above != emulator && above > 1 {
            above = processes.get(&above).map_or(0, |(parent, ..)| *parent);
        }
        if above != emulator {
            continue;
        }
        let name = if *pid == emulator { "emulator".to_owned() } else { function(*pid) };
        let sum = found.entry(name).or_default();
        sum.rss_mb += *pages as f64 * page / 1e6;
        sum.cpu_seconds += *ticks as f64 / tick;
        sum.processes += 1;
    }
    found
}

/// Parent, ticks on a processor, resident pages: fields 4, 14 + 15 and 24 of `/proc/PID/stat`.
fn stat(text: &str) -> Option<(u32, u64, u64)> {
    let (_, after_name) = text.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    Some((u32::try_from(number(1)?).ok()?, number(11)? + number(12)?, number(21)?))
}

fn function(pid: u32) -> String {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    let mut variables = environment.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    let name = variables.find_map(|variable| variable.strip_prefix("AWS_LAMBDA_FUNCTION_NAME=").map(str::to_owned));
    name.unwrap_or_else(|| "other processes of the emulator".to_owned())
}

#[derive(Debug, Serialize)]
struct OperationReport {
    operation: Operation,
    calls: usize,
    statuses: BTreeMap<u16, u64>,
    turned_away: u64,
    not_yet_applied: u64,
    errors: u64,
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

#[derive(Debug, Serialize)]
struct Memory {
    at: &'static str,
    usage: BTreeMap<String, Usage>,
}

#[derive(Debug, Serialize)]
struct Report {
    seconds: f64,
    clients: u8,
    calls_per_second: f64,
    operations: Vec<OperationReport>,
    errors: Vec<String>,
    accepted: usize,
    /// Events of accepted changes that the journal lacks.
    lost: Vec<String>,
    seconds_until_quiet: f64,
    queues_empty: bool,
    dead_letters: u64,
    audit: Verification,
    /// Empty when the stack was disturbed: other processes took the place of those that were measured.
    memory: Vec<Memory>,
    /// While the calls were made.
    emulator_cpu_seconds: f64,
    functions_cpu_seconds: f64,
    passed: bool,
}

impl Report {
    fn markdown(&self) -> String {
        let calls: usize = self.operations.iter().map(|operation| operation.calls).sum();
        let mut text = format!(
            "{calls} calls in {:.0} s by {} clients at a time: {:.1} a second.\n\n\
             | call | calls | statuses | 429, 503 | not yet applied | errors | p50, ms | p95, ms | p99, ms | longest, ms |\n\
             |---|---:|---|---:|---:|---:|---:|---:|---:|---:|\n",
            self.seconds, self.clients, self.calls_per_second
        );
        for operation in &self.operations {
            let statuses: Vec<String> =
                operation.statuses.iter().map(|(status, count)| format!("{status}: {count}")).collect();
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {} | {} | {:.1} | {:.1} | {:.1} | {:.1} |",
                operation.operation.name(),
                operation.calls,
                statuses.join(", "),
                operation.turned_away,
                operation.not_yet_applied,
                operation.errors,
                operation.p50_ms,
                operation.p95_ms,
                operation.p99_ms,
                operation.max_ms
            );
        }
        if self.memory.is_empty() {
            self.outcome(&mut text);
            return text;
        }
        text.push_str("\n| RSS, MB (processes) |");
        for memory in &self.memory {
            let _ = write!(text, " {} |", memory.at);
        }
        text.push_str("\n|---|");
        text.push_str(&"---:|".repeat(self.memory.len()));
        let names: std::collections::BTreeSet<&String> =
            self.memory.iter().flat_map(|memory| memory.usage.keys()).collect();
        for name in names {
            let _ = write!(text, "\n| {name} |");
            for memory in &self.memory {
                let usage = memory.usage.get(name).copied().unwrap_or_default();
                let _ = write!(text, " {:.1} ({}) |", usage.rss_mb, usage.processes);
            }
        }
        let cpu = self.emulator_cpu_seconds + self.functions_cpu_seconds;
        let _ = writeln!(
            text,
            "\n\nOf {cpu:.1} s on a processor, the emulator took {:.1} s ({:.0} %) and the functions {:.1} s: {:.2} ms for a \
             call of the API, all functions counted. Most of a client's waiting time is the emulator's queue, and says \
             nothing about AWS.",
            self.emulator_cpu_seconds,
            if cpu > 0.0 { self.emulator_cpu_seconds / cpu * 100.0 } else { 0.0 },
            self.functions_cpu_seconds,
            self.functions_cpu_seconds * 1e3 / calls.max(1) as f64
        );
        self.outcome(&mut text);
        text
    }

    /// What became of the changes.
    fn outcome(&self, text: &mut String) {
        for error in &self.errors {
            let _ = writeln!(text, "- error: {error}");
        }
        let _ = writeln!(
            text,
            "- accepted changes: {}; not in the journal {:.0} s after the last call: {}",
            self.accepted,
            self.seconds_until_quiet,
            self.lost.len()
        );
        let queues = if self.queues_empty { "empty" } else { "**not empty**" };
        let _ = writeln!(text, "- queues: {queues}; dead letters: {}", self.dead_letters);
        let _ = writeln!(
            text,
            "- audit verify: integrity {}, form {}, {} objects",
            self.audit.integrity, self.audit.form, self.audit.objects
        );
        let _ = writeln!(text, "- {}", if self.passed { "passed" } else { "**failed**" });
    }
}

/// Makes the calls, waits until every change is processed, and reports. Exit code 1 if a change was lost or a response was wrong.
pub async fn run(arguments: &Arguments, progress: &Progress) -> Result<ExitCode> {
    let stack = LocalStack::running()?;
    let api = Arc::new(Api::new(&stack.facts.api_url, stack.facts.api_key.clone())?);
    let emulator = stack.facts.pid;
    let answer = api.call(Method::GET, "", None).await.context("the API didn't respond")?;
    if answer.status != StatusCode::OK {
        bail!("a first list was answered with {}: {}", answer.status, String::from_utf8_lossy(&answer.body));
    }

    let step = progress.step(format!("{} clients for {} s", arguments.clients, arguments.seconds));
    let started = Instant::now();
    let end = started + Duration::from_secs(arguments.seconds);
    let usage = || usage(emulator);
    let mut memory = vec![Memory { at: "start", usage: usage() }];
    let clients: Vec<_> =
        (0..u64::from(arguments.clients)).map(|number| tokio::spawn(client(api.clone(), number, end))).collect();
    tokio::time::sleep_until((started + Duration::from_secs(arguments.seconds) / 2).into()).await;
    memory.push(Memory { at: "middle", usage: usage() });
    let mut tally = Tally::default();
    for client in clients {
        tally.merge(client.await?);
    }
    let seconds = started.elapsed().as_secs_f64();
    memory.push(Memory { at: "end", usage: usage() });
    step.done("");

    let step = progress.step("wait until all is applied and recorded");
    let facts = &stack.facts;
    let waiting = Instant::now();
    let pipeline = [&facts.change_queue_url, &facts.audit_queue_url];
    let (mut quiet, mut lost) = (0, Vec::new());
    let mut audit = None;
    while waiting.elapsed() < PATIENCE {
        tokio::time::sleep(POLL).await;
        quiet = if stack.messages(&pipeline).await? == 0 { quiet + 1 } else { 0 };
        // The stream's records are in no queue while the pipe has them: the audit tells when they have arrived.
        if quiet >= 3 {
            lost = stack.missing(&tally.accepted).await?;
            let verified = stack.verify_audit_log()?;
            let arrived = lost.is_empty() && verified.is_intact();
            audit = Some(verified);
            if arrived || quiet > 30 {
                break;
            }
        }
    }
    let seconds_until_quiet = waiting.elapsed().as_secs_f64();
    memory.push(Memory { at: "quiet", usage: usage() });
    step.done("");
    let audit = audit.unwrap_or_default();
    let dead_letters = stack.messages(&[&facts.change_dlq_url, &facts.audit_dlq_url]).await?;
    let cpu = |part: fn(&str) -> bool| cpu_between(&memory[0].usage, &memory[2].usage, part);
    let (emulator_cpu_seconds, functions_cpu_seconds) =
        (cpu(|name| !name.starts_with("bbws-")), cpu(|name| name.starts_with("bbws-")));
    if arguments.tolerate_errors {
        memory.clear();
    }
    let operations: Vec<OperationReport> = Operation::ALL
        .into_iter()
        .map(|operation| report(operation, tally.calls.remove(&operation).unwrap_or_default()))
        .collect();
    let calls: usize = operations.iter().map(|operation| operation.calls).sum();
    let errors: u64 = operations.iter().map(|operation| operation.errors).sum();
    let report = Report {
        seconds,
        clients: arguments.clients,
        calls_per_second: calls as f64 / seconds,
        passed: (errors == 0 || arguments.tolerate_errors)
            && !tally.accepted.is_empty()
            && lost.is_empty()
            && quiet > 0
            && dead_letters == 0
            && audit.is_intact(),
        operations,
        errors: tally.errors,
        accepted: tally.accepted.len(),
        lost,
        seconds_until_quiet,
        queues_empty: quiet > 0,
        dead_letters,
        audit,
        emulator_cpu_seconds,
        functions_cpu_seconds,
        memory,
    };
    progress.print(&if arguments.json {
        serde_json::to_string_pretty(&report)?
    } else {
        report.markdown().trim_end().to_owned()
    });
    Ok(if report.passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn report(operation: Operation, mut calls: Calls) -> OperationReport {
    calls.milliseconds.sort_unstable_by(f64::total_cmp);
    let part = |part: f64| quantile(&calls.milliseconds, part).unwrap_or_default();
    OperationReport {
        operation,
        calls: calls.milliseconds.len(),
        turned_away: calls.turned_away,
        not_yet_applied: calls.not_yet,
        errors: calls.errors,
        p50_ms: part(0.5),
        p95_ms: part(0.95),
        p99_ms: part(0.99),
        max_ms: part(1.0),
        statuses: calls.statuses,
    }
}

fn cpu_between(before: &BTreeMap<String, Usage>, after: &BTreeMap<String, Usage>, part: fn(&str) -> bool) -> f64 {
    let sum = |usage: &BTreeMap<String, Usage>| -> f64 {
        usage.iter().filter(|(name, _)| part(name)).map(|(_, usage)| usage.cpu_seconds).sum()
    };
    (sum(after) - sum(before)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn load_stays_on_this_machine() {
        for url in
            ["http://localhost:4650/x", "http://127.0.0.1:1", "http://[::1]:1", "http://a.execute-api.localhost:4566"]
        {
            assert!(loopback(url).is_ok(), "{url}");
        }
        for url in
            ["https://example.com", "http://10.0.0.1", "http://localhost.example.com", "no", "http://127.example.com"]
        {
            assert!(loopback(url).is_err(), "{url}");
        }
    }

    #[test]
    fn mix_has_the_stated_shares() {
        let count = |operation| (0..100).filter(|number| Operation::of(*number) == operation).count();
        assert_eq!(Operation::ALL.map(count), [60, 20, 10, 7, 3]);
        let mut dice = Dice(7);
        let gets = (0..10_000).filter(|_| Operation::of(dice.below(100)) == Operation::Get).count();
        assert!((5_700..6_300).contains(&gets), "{gets}");
    }

    #[test]
    fn processes_are_read_from_proc() {
        let text = "12 (a b) c) S 7 1 1 0 -1 4194304 100 0 0 0 30 12 0 0 20 0 4 0 99 1000000 250 18446744073709551615";
        assert_eq!(stat(text), Some((7, 42, 250)));
        assert_eq!(stat("12 (a) S 7"), None);
        let own = usage(std::process::id());
        assert!(own["emulator"].rss_mb > 0.0 && own["emulator"].processes == 1, "{own:?}");
    }

    #[test]
    fn summarises_applied_changes() {
        let mut tally = Tally::default();
        let calls = Calls {
            milliseconds: vec![3.0, 1.0, 2.0],
            statuses: [(200, 2), (429, 1)].into(),
            turned_away: 1,
            ..Calls::default()
        };
        tally.merge(Tally { calls: [(Operation::Get, calls)].into(), accepted: vec![], errors: vec![] });
        tally.error(Operation::Get, "500: broken".to_owned());
        let get = report(Operation::Get, tally.calls.remove(&Operation::Get).unwrap());
        assert_eq!((get.calls, get.p50_ms, get.max_ms, get.errors, get.turned_away), (3, 2.0, 3.0, 1, 1));
        let usage = |cpu_seconds| [("emulator".to_owned(), Usage { rss_mb: 100.0, cpu_seconds, processes: 1 })];
        let (before, after) = (usage(1.0).into(), usage(4.0).into());
        assert_eq!(cpu_between(&before, &after, |name| name == "emulator"), 3.0);
        let report = Report {
            seconds: 10.0,
            clients: 8,
            calls_per_second: 0.3,
            operations: vec![get],
            errors: tally.errors,
            accepted: 2,
            lost: vec!["id".to_owned()],
            seconds_until_quiet: 5.0,
            queues_empty: true,
            dead_letters: 0,
            audit: Verification { integrity: "INTACT".to_owned(), form: "OK".to_owned(), objects: 2 },
            memory: vec![Memory { at: "start", usage: before }, Memory { at: "end", usage: after }],
            emulator_cpu_seconds: 3.0,
            functions_cpu_seconds: 1.0,
            passed: false,
        };
        let text = report.markdown();
        let disturbed = Report { memory: vec![], ..report }.markdown();
        assert!(!disturbed.contains("RSS") && disturbed.contains("**failed**"), "{disturbed}");
        assert!(text.contains("| get | 3 | 200: 2, 429: 1 | 1 | 0 | 1 | 2.0 |"), "{text}");
        assert!(text.contains("| emulator | 100.0 (1) | 100.0 (1) |"), "{text}");
        assert!(text.contains("(75 %)") && text.contains("get: 500: broken") && text.contains("**failed**"), "{text}");
    }
}
