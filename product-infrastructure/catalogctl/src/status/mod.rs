//! `catalogctl status`: whether somebody should look at an environment, and at what.

pub mod alarms;
pub mod functions;
pub mod queues;

use anyhow::Result;
use clap::Args;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::aws_json::{Request, Service, call};
use crate::exit_status::ExitStatus;
use crate::keys::client::Client;
use crate::keys::deployed;
use crate::output;
use crate::progress::Progress;
use crate::table_text::table;
use crate::target::{System, Target};
use crate::timestamp;
use alarms::Alarms;
use functions::{Function, Mapping, Release};
use queues::Queue;

/// Show the state of an environment: active alarms, queues, pipe, consumers, versions, releases and API keys
///
/// Nothing is changed. A part that can't be read is reported, and the others are shown.
///
/// Exit codes: 0 nothing needs attention; 1 the command failed; 2 something needs attention: an active alarm, a message in a
/// dead-letter queue or one that waits for more than 300 s, a pipe or consumer that is stopped, a live version that isn't the
/// last proven release, no enabled API key, or a part that couldn't be read.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Print the output as JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub system: System,
}

/// Age of a queue's oldest message that needs attention (`oldest_message_alarm_seconds` in terraform/variables.tf).
const MAX_AGE_SECONDS: u64 = 300;

/// The state of an environment. A part that couldn't be read is absent, and `attention` has the reason.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub system: String,
    pub checked_at: String,
    /// What somebody should look at; empty if all is well.
    pub attention: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alarms: Option<Alarms>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queues: Option<Vec<Queue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pipe: Option<Pipe>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mappings: Option<Vec<Mapping>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub functions: Option<Vec<Function>>,
    /// The last apply of the shared infrastructure; absent if none is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub infrastructure: Option<Release>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<Vec<Key>>,
}

/// The pipe from the table's stream to the events topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pipe {
    pub name: String,
    /// EventBridge's word, such as `RUNNING` or `STOPPED`.
    pub state: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// An API key, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    pub client: Client,
    pub generation: u32,
    pub id: String,
    pub enabled: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age_days: Option<i64>,
}

/// Reads the state and prints it.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let step = progress.step("read the state");
    let report = read(target).await?;
    step.done(format!("{} findings", report.attention.len()));
    if arguments.json {
        output::print_json(&report)?;
    } else {
        output::print(&text(&report))?;
    }
    Ok(if report.attention.is_empty() { ExitStatus::Success } else { ExitStatus::NeedsAttention })
}

/// Reads all parts at once. Fails only when no part can be read.
pub async fn read(target: &Target) -> Result<Report> {
    let (alarms, queues, ages, pipe, mappings, functions, releases, keys) = tokio::join!(
        alarms::read(target),
        queues::read(target),
        queues::ages(target),
        pipe(target),
        functions::mappings(target),
        functions::read(target),
        functions::releases(target),
        keys(target),
    );
    let mut unread = Unread::default();
    let alarms = unread.unless(alarms);
    let mut queues = unread.unless(queues);
    let ages = unread.unless(ages).unwrap_or_default();
    let pipe = unread.unless(pipe);
    let mappings = unread.unless(mappings);
    let mut functions = unread.unless(functions);
    let releases = unread.unless(releases).unwrap_or_default();
    let keys = unread.unless(keys);
    if unread.parts == unread.errors.len() {
        return Err(unread.errors.swap_remove(0));
    }
    for queue in queues.iter_mut().flatten() {
        queue.oldest_seconds = ages.get(&queue.name).copied();
    }
    let release =
        |repository: &str| releases.iter().find(|(of, _)| of == repository).map(|(_, release)| release.clone());
    for function in functions.iter_mut().flatten() {
        function.last_release = release(function.repository);
    }
    let mut report = Report {
        system: target.name.clone(),
        checked_at: timestamp::of_seconds(OffsetDateTime::now_utc().unix_timestamp()),
        attention: unread.errors.iter().map(|error| format!("{error:#}")).collect(),
        alarms,
        queues,
        pipe,
        mappings,
        functions,
        infrastructure: release("product-infrastructure"),
        keys,
    };
    let findings = findings(&report);
    report.attention.splice(0..0, findings);
    Ok(report)
}

/// The parts that couldn't be read.
#[derive(Default)]
struct Unread {
    parts: usize,
    errors: Vec<anyhow::Error>,
}

impl Unread {
    fn unless<T>(&mut self, part: Result<T>) -> Option<T> {
        self.parts += 1;
        part.map_err(|error| self.errors.push(error)).ok()
    }
}

/// DescribePipe, as far as it is read here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Description {
    current_state: String,
    #[serde(default)]
    state_reason: String,
}

async fn pipe(target: &Target) -> Result<Pipe> {
    let name = format!("bbws-product-events-{}", target.environment);
    let request = Request::Path(format!("/v1/pipes/{name}"));
    let found: Description =
        call(&target.config, Service::Pipes, request, "pipes:DescribePipe", format!("pipe {name}")).await?;
    Ok(Pipe { name, state: found.current_state, reason: found.state_reason })
}

async fn keys(target: &Target) -> Result<Vec<Key>> {
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let keys = deployed::keys(target).await?.into_iter().map(|key| Key {
        client: key.client,
        generation: key.generation,
        id: key.id,
        enabled: key.enabled,
        age_days: key.created_at.map(|seconds| (now - seconds) / (24 * 60 * 60)),
    });
    Ok(keys.collect())
}

/// What somebody should look at, the most urgent first.
fn findings(report: &Report) -> Vec<String> {
    let mut findings = Vec::new();
    if let Some(alarms) = &report.alarms {
        if alarms.total == 0 {
            findings.push("no alarms found: the infrastructure isn't deployed here".to_owned());
        }
        for alarm in &alarms.active {
            let since = alarm.since.as_ref().map(|since| format!(" since {since}")).unwrap_or_default();
            findings.push(format!("alarm {} has been active{since}: {}", alarm.name, alarm.description));
        }
    }
    for queue in report.queues.iter().flatten() {
        let messages = queue.visible + queue.in_flight;
        if queue.is_dead_letter_queue && messages > 0 {
            findings.push(format!("queue {} has messages: {messages}", queue.name));
        }
        if let Some(age) = queue.oldest_seconds.filter(|age| !queue.is_dead_letter_queue && *age > MAX_AGE_SECONDS) {
            findings.push(format!("the oldest message of queue {} has been waiting for {age} s", queue.name));
        }
    }
    if let Some(pipe) = report.pipe.as_ref().filter(|pipe| pipe.state != "RUNNING") {
        let reason = if pipe.reason.is_empty() { String::new() } else { format!(": {}", pipe.reason) };
        findings.push(format!("pipe {} is {}{reason}", pipe.name, pipe.state));
    }
    for mapping in report.mappings.iter().flatten().filter(|mapping| mapping.state != "Enabled") {
        findings.push(format!("the event source mapping of {} is {}", mapping.function, mapping.state));
    }
    for function in report.functions.iter().flatten() {
        let released = function.last_release.as_ref().and_then(|release| release.version.as_ref());
        match (&function.live_version, released) {
            (None, _) => findings.push(format!("function {} has no alias live", function.name)),
            (Some(live), Some(released)) if live != released => findings.push(format!(
                "function {} serves version {live}, but its last proven release is version {released}",
                function.name
            )),
            _ => {}
        }
    }
    if let Some(infrastructure) = report.infrastructure.as_ref().filter(|release| release.proven_at.is_none()) {
        findings.push(format!("the last apply of the infrastructure isn't proven: commit {}", infrastructure.commit));
    }
    if report.keys.as_ref().is_some_and(|keys| !keys.iter().any(|key| key.enabled)) {
        findings.push("no API key is enabled".to_owned());
    }
    findings
}

fn text(report: &Report) -> String {
    let unknown = || "-".to_owned();
    let mut text = match report.attention.as_slice() {
        [] => "OK: nothing needs attention.\n".to_owned(),
        findings => {
            let lines = findings.iter().map(|finding| format!("  - {finding}\n"));
            format!("Needs attention:\n{}", lines.collect::<String>())
        }
    };
    if let Some(Alarms { total, insufficient_data, active }) = &report.alarms {
        text.push_str(&format!(
            "\nAlarms: {total}, active: {}, without enough data: {insufficient_data}\n",
            active.len()
        ));
    }
    if let Some(queues) = &report.queues {
        let rows: Vec<_> = queues
            .iter()
            .map(|queue| {
                let age = queue.oldest_seconds.map_or_else(unknown, |seconds| format!("{seconds} s"));
                [queue.name.clone(), queue.visible.to_string(), queue.in_flight.to_string(), age]
            })
            .collect();
        text.push_str(&format!("\n{}", table(["Queue", "Visible", "In flight", "Oldest message"], &rows)));
    }
    if let Some(pipe) = &report.pipe {
        text.push_str(&format!("\nPipe {}: {}\n", pipe.name, pipe.state));
    }
    for mapping in report.mappings.iter().flatten() {
        text.push_str(&format!("Event source mapping of {}: {}\n", mapping.function, mapping.state));
    }
    if let Some(functions) = &report.functions {
        let rows: Vec<_> = functions
            .iter()
            .map(|function| {
                let release = function.last_release.as_ref();
                let part = |part: Option<&String>| part.cloned().unwrap_or_else(unknown);
                [
                    function.name.clone(),
                    part(function.live_version.as_ref()),
                    part(function.published_at.as_ref()),
                    part(release.and_then(|release| release.version.as_ref())),
                    part(release.map(|release| &release.commit)),
                ]
            })
            .collect();
        let head = ["Function", "Live version", "Published", "Last release", "Commit"];
        text.push_str(&format!("\n{}", table(head, &rows)));
    }
    if let Some(Release { commit, proven_at, .. }) = &report.infrastructure {
        let proven = proven_at.as_ref().map(|moment| format!(", proven {moment}")).unwrap_or_default();
        text.push_str(&format!("Infrastructure: commit {commit}{proven}\n"));
    }
    if let Some(keys) = &report.keys {
        let rows: Vec<_> = keys
            .iter()
            .map(|key| {
                let age = key.age_days.map_or_else(unknown, |days| format!("{days} days"));
                let state = if key.enabled { "enabled" } else { "disabled" };
                [key.client.to_string(), key.generation.to_string(), key.id.clone(), state.to_owned(), age]
            })
            .collect();
        text.push_str(&format!("\n{}", table(["Client", "Generation", "API key ID", "State", "Age"], &rows)));
    }
    text.truncate(text.trim_end().len());
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn age_that_needs_attention_is_that_of_the_alarm() {
        let variables = include_str!("../../../terraform/variables.tf");
        let variable = variables.split("variable \"oldest_message_alarm_seconds\"").nth(1).unwrap();
        let default = variable.lines().find_map(|line| line.trim().strip_prefix("default     = ")).unwrap();
        assert_eq!(default, MAX_AGE_SECONDS.to_string());
    }
}
