//! `catalogctl logs`: a function's log lines, as they were logged.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::aws::CallError;
use crate::aws_json::{Request, Service, call};
use crate::exit_status::ExitStatus;
use crate::output;
use crate::progress::Progress;
use crate::target::{System, Target};

/// Show the log lines of a function, of the API (its access log) or of the events pipe
///
/// Lines are printed as they were logged, oldest first; those of the functions are JSON, so `jq` reads them. --filter takes a
/// CloudWatch Logs filter pattern: '"ID"' for lines that contain an ID, '{ $.level = "ERROR" }' for errors.
///
/// Exit codes: 0 the lines were printed, also if there are none; 1 the command failed; 130 interrupted, which ends --follow.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Function, api for the access log of the API, or events-pipe for the pipe's errors
    pub function: Log,
    /// Age of the oldest line, such as 90s, 15m, 2h or 7d
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = humantime::parse_duration)]
    pub since: Duration,
    /// Wait for new lines until interrupted
    #[arg(long)]
    pub follow: bool,
    /// Show only lines that match this CloudWatch Logs filter pattern
    #[arg(long, value_name = "PATTERN")]
    pub filter: Option<String>,
    /// Print each line as a JSON object with its time and log stream
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub system: System,
}

/// A log of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Log {
    Api,
    EventsPipe,
    ListProducts,
    GetProduct,
    CreateProduct,
    UpdateProduct,
    DeleteProduct,
    ProductCreator,
    AuditLogger,
}

impl Log {
    /// As on the command line: the function's repository, or `api`.
    pub fn name(self) -> String {
        self.to_possible_value().expect("no log is hidden").get_name().to_owned()
    }

    /// The log group in an environment.
    pub fn group(self, environment: &str) -> String {
        match self {
            Self::Api => format!("/aws/apigateway/bbws-product-api-{environment}"),
            Self::EventsPipe => format!("/aws/vendedlogs/pipes/bbws-product-events-{environment}"),
            _ => format!("/aws/lambda/bbws-{}-{environment}", self.name()),
        }
    }
}

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Line {
    /// Absent in the local stack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<String>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    pub log_stream_name: String,
    pub message: String,
}

impl Line {
    /// What tells the line from others, also when it is read again.
    pub fn identity(&self) -> String {
        let Self { event_id, timestamp, log_stream_name, message } = self;
        event_id.clone().unwrap_or_else(|| format!("{timestamp} {log_stream_name} {message}"))
    }
}

/// A page of FilterLogEvents, as far as it is read here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Page {
    #[serde(default)]
    pub events: Vec<Line>,
    pub next_token: Option<String>,
}

/// Time between two looks for new lines. CloudWatch Logs allows 5 or more FilterLogEvents calls a second and account.
const POLL: Duration = Duration::from_secs(2);
/// Lines of one log stream can arrive later than newer ones of another: each look goes back this far.
const OVERLAP_MILLIS: i64 = 30_000;

/// Prints the lines.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let group = arguments.function.group(&target.environment);
    let now = OffsetDateTime::now_utc().unix_timestamp() * 1_000;
    let since = i64::try_from(arguments.since.as_millis()).unwrap_or(now);
    let mut start = (now - since).max(0);
    // Lines that were printed and that the next look finds again, with their times.
    let mut printed: BTreeMap<String, i64> = BTreeMap::new();
    let mut count = 0;
    loop {
        let mut token = None;
        loop {
            let search = Search { group: &group, start, end: None, filter: arguments.filter.as_deref() };
            let page = page(target, &search, token).await?;
            for line in page.events {
                if printed.insert(line.identity(), line.timestamp).is_none() {
                    print(&line, arguments.json)?;
                    count += 1;
                }
            }
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
        if !arguments.follow {
            break;
        }
        if let Some(newest) = printed.values().max() {
            start = start.max(newest - OVERLAP_MILLIS);
        }
        printed.retain(|_, timestamp| *timestamp >= start);
        tokio::time::sleep(POLL).await;
    }
    if count == 0 {
        progress.say(format!("No lines found in {group}."));
    }
    Ok(ExitStatus::Success)
}

/// What to read of a log.
#[derive(Debug, Clone, Copy)]
pub struct Search<'a> {
    pub group: &'a str,
    /// Milliseconds since 1970.
    pub start: i64,
    /// Milliseconds since 1970, not included; `None` is now.
    pub end: Option<i64>,
    /// CloudWatch Logs filter pattern.
    pub filter: Option<&'a str>,
}

/// The lines of one page. A page can be empty and have another one after it.
pub async fn page(target: &Target, search: &Search<'_>, token: Option<String>) -> Result<Page, CallError> {
    let Search { group, start, end, filter } = search;
    let mut input = json!({"logGroupName": group, "startTime": start});
    let further = [
        ("endTime", end.map(Value::from)),
        ("filterPattern", filter.map(Value::from)),
        ("nextToken", token.map(Value::from)),
    ];
    for (name, value) in further {
        if let Some(value) = value {
            input[name] = value;
        }
    }
    let request = Request::Operation("FilterLogEvents", input);
    call(&target.config, Service::Logs, request, "logs:FilterLogEvents", format!("log group {group}")).await
}

fn print(line: &Line, as_json: bool) -> Result<()> {
    if as_json {
        let json = serde_json::to_string(line).expect("a line has string keys and serialises");
        output::print(&json)?;
    } else {
        output::print(line.message.trim_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_groups_are_those_of_terraform() {
        assert_eq!(Log::GetProduct.group("prod"), "/aws/lambda/bbws-get-product-prod");
        let (api, events) = (include_str!("../../terraform/api.tf"), include_str!("../../terraform/events.tf"));
        for (log, terraform) in [(Log::Api, api), (Log::EventsPipe, events)] {
            let group = log.group("${var.environment}");
            assert!(terraform.contains(&format!("\"{group}\"")), "{group}");
        }
    }
}
