//! Searches the logs for IDs, at a bounded cost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Result;
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{Missing, Step};
use crate::aws::{CallError, Cause};
use crate::logs::{self, Line, Log, Search};
use crate::progress::Meter;
use crate::rate::Rate;
use crate::target::Target;
use audit_log::ids::{EventId, ProductId};
use audit_log::record;

/// FilterLogEvents calls per second; CloudWatch Logs allows 5 or more in each Region.
const REQUESTS_PER_SECOND: u32 = 5;
/// Calls of one trace: a minute. A call reads up to 1 MB of a log.
const MAX_REQUESTS: usize = 300;

impl Log {
    /// Those that have lines about a request.
    pub const OF_REQUESTS: [Self; 6] = [
        Self::Api,
        Self::ListProducts,
        Self::GetProduct,
        Self::CreateProduct,
        Self::UpdateProduct,
        Self::DeleteProduct,
    ];
    /// Those of the functions that accept changes.
    const OF_WRITERS: [Self; 3] = [Self::CreateProduct, Self::UpdateProduct, Self::DeleteProduct];
    /// Those that have lines about a change, but for the access log, which doesn't know it.
    pub const OF_CHANGES: [Self; 5] =
        [Self::CreateProduct, Self::UpdateProduct, Self::DeleteProduct, Self::ProductCreator, Self::AuditLogger];
}

/// A span of time in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub start: i64,
    /// `None` is now.
    pub end: Option<i64>,
}

impl Window {
    /// From that long ago until now.
    pub fn of_last(age: Duration) -> Self {
        Self { start: now().saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)).max(0), end: None }
    }
}

/// Milliseconds since 1970.
pub fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp() * 1_000
}

/// A line of a log.
struct Found {
    line: Line,
    /// Empty if it isn't JSON.
    fields: Map<String, Value>,
}

impl Found {
    fn new(line: Line) -> Self {
        let fields = serde_json::from_str(&line.message).unwrap_or_default();
        Self { line, fields }
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.fields.get(name)?.as_str()
    }

    fn event(&self) -> Option<EventId> {
        self.text("eventId").and_then(EventId::parse)
    }

    /// When the function wrote it, in milliseconds since 1970; CloudWatch Logs receives it later. For other lines, that time.
    fn millis(&self) -> i64 {
        let own = self.text("timestamp").and_then(record::millis).and_then(|millis| i64::try_from(millis).ok());
        own.unwrap_or(self.line.timestamp)
    }
}

/// The logs of a system, and the lines that were found in them.
pub struct Logs<'a> {
    target: &'a Target,
    meter: Meter,
    rate: Rate,
    requests: usize,
    max_requests: usize,
    /// By time, log and identity, so that each is there once.
    lines: BTreeMap<(i64, Log, String), Found>,
    read: BTreeSet<Log>,
    unread: BTreeSet<Log>,
}

impl<'a> Logs<'a> {
    pub fn new(target: &'a Target, meter: Meter) -> Self {
        Self::limited(target, meter, REQUESTS_PER_SECOND, MAX_REQUESTS)
    }

    /// With other limits: requests per second, and in all.
    pub fn limited(target: &'a Target, meter: Meter, requests_per_second: u32, max_requests: usize) -> Self {
        Self {
            target,
            meter,
            rate: Rate::per_second(requests_per_second),
            requests: 0,
            max_requests,
            lines: BTreeMap::new(),
            read: BTreeSet::new(),
            unread: BTreeSet::new(),
        }
    }

    /// Keeps the lines that have one of the IDs, and returns the changes that they name.
    pub async fn search(&mut self, logs: &[Log], window: Window, ids: &[&str]) -> Result<BTreeSet<EventId>> {
        let mut events = BTreeSet::new();
        for log in logs {
            self.read.insert(*log);
            for found in self.lines_of(*log, window, ids).await? {
                events.extend(found.event());
                self.lines.insert((found.millis(), *log, found.line.identity()), found);
            }
        }
        Ok(events)
    }

    /// The changes of a product that were accepted. Their lines aren't kept, because the product may have had more changes than
    /// are followed.
    pub async fn events_of(&mut self, product: ProductId, window: Window) -> Result<BTreeSet<EventId>> {
        let mut events = BTreeSet::new();
        for log in Log::OF_WRITERS {
            let lines = self.lines_of(log, window, &[&product.to_string()]).await?;
            events.extend(lines.iter().filter_map(Found::event));
        }
        Ok(events)
    }

    async fn lines_of(&mut self, log: Log, window: Window, ids: &[&str]) -> Result<Vec<Found>> {
        // Each ID is a UUID: nothing has to be escaped.
        let filter = ids.iter().map(|id| format!("?\"{id}\"")).collect::<Vec<_>>().join(" ");
        let group = log.group(&self.target.environment);
        let search = Search { group: &group, start: window.start, end: window.end, filter: Some(&filter) };
        let (mut lines, mut token) = (Vec::new(), None);
        self.meter.now(log.name());
        loop {
            if self.requests >= self.max_requests {
                self.unread.insert(log);
                return Ok(lines);
            }
            self.rate.wait(1).await;
            self.requests += 1;
            let page = match logs::page(self.target, &search, token).await {
                // A function that isn't deployed has no log.
                Err(CallError { cause: Cause::NotFound, .. }) => return Ok(lines),
                page => page?,
            };
            lines.extend(page.events.into_iter().map(Found::new));
            token = page.next_token;
            if token.is_none() {
                return Ok(lines);
            }
        }
    }

    /// The value of a field in the lines of a change.
    pub fn field(&self, change: EventId, name: &str) -> Option<String> {
        let mut lines = self.lines.values().filter(|found| found.event() == Some(change));
        lines.find_map(|found| found.text(name).map(str::to_owned))
    }

    /// Whether a line is about this product.
    pub fn name_product(&self, product: ProductId) -> bool {
        self.lines.values().any(|found| found.text("productId").and_then(ProductId::parse) == Some(product))
    }

    /// The lines in the order of time.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::with_capacity(self.lines.len());
        for ((millis, log, _), found) in &self.lines {
            let Found { line, fields } = found;
            let what = if fields.is_empty() { line.message.trim_end().to_owned() } else { describe(*log, fields) };
            steps.push(Step { fields: fields.clone(), ..Step::new(*millis, log.name(), what, found.event()) });
        }
        steps
    }

    pub fn requests(&self) -> usize {
        self.requests
    }

    /// The logs that were read and have no line.
    pub fn without_lines(&self) -> Vec<String> {
        let has_lines = |log: &Log| self.lines.keys().any(|(_, found, _)| found == log);
        self.read.iter().filter(|log| !has_lines(log)).map(|log| log.name()).collect()
    }

    /// The logs that weren't read to their end.
    pub fn unread(&self) -> Option<Missing> {
        let logs: Vec<String> = self.unread.iter().map(|log| log.name()).collect();
        (!logs.is_empty()).then(|| Missing {
            what: "LOG_LINES",
            event_id: None,
            why: format!(
                "the search ended after {} requests; not read to the end: {}",
                self.max_requests,
                logs.join(", ")
            ),
            next: "repeat the command with a shorter --since".to_owned(),
        })
    }
}

/// Fields that are shown elsewhere, or say nothing about what happened.
const OMITTED: [&str; 12] = [
    "timestamp",
    "level",
    "target",
    "message",
    "xrayTraceId",
    "requestId",
    "requestTime",
    "eventId",
    "productId",
    "httpMethod",
    "resourcePath",
    "responseLength",
];

/// A line in a few words: its level if it is one to look at, its message, and its fields.
fn describe(log: Log, fields: &Map<String, Value>) -> String {
    let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
    let first = match log {
        Log::Api => ["httpMethod", "resourcePath"].map(text),
        _ => [text("level").filter(|level| matches!(level.as_str(), "ERROR" | "WARN")), text("message")],
    };
    let is_shown = |(name, value): &(&String, &Value)| {
        // The access log writes a hyphen for what there isn't.
        !OMITTED.contains(&name.as_str()) && !value.is_null() && value.as_str() != Some("-")
    };
    let others = fields.iter().filter(is_shown).map(|(name, value)| match value {
        Value::String(text) => format!("{name}={text}"),
        value => format!("{name}={value}"),
    });
    first.into_iter().flatten().chain(others).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn time_of_a_line_is_its_own() {
        let found = |message: &str| {
            let line =
                Line { event_id: None, timestamp: 1, log_stream_name: String::new(), message: message.to_owned() };
            Found::new(line).millis()
        };
        assert_eq!(found(r#"{"timestamp":"2026-01-31T12:00:00.001Z"}"#), 1_769_860_800_001);
        assert_eq!([found("START"), found(r#"{"timestamp":"now"}"#)], [1, 1]);
    }

    #[test]
    fn describes_lines_without_what_is_shown_elsewhere() {
        let line = |log, fields: Value| describe(log, fields.as_object().unwrap());
        let failed = json!({"level": "ERROR", "message": "request failed", "timestamp": "t", "status": 503, "requestId": "r",
            "error": "failed to send", "eventId": "e", "code": null});
        assert_eq!(line(Log::CreateProduct, failed), "ERROR request failed error=failed to send status=503");
        let access = json!({"httpMethod": "POST", "resourcePath": "/v1.0/products", "status": "202", "errorType": "-",
            "requestId": "r", "apiKeyId": "k"});
        assert_eq!(line(Log::Api, access), "POST /v1.0/products apiKeyId=k status=202");
    }
}
