//! `catalogctl trace`: a request, a change or a product's last changes on their way through the system, in the order of time.
//!
//! [`search`] reads the logs, [`record`] the journal, the audit bucket and, for what isn't there, the dead-letter queues.

mod record;
pub mod search;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::exit_status::ExitStatus;
use crate::keys::register::Register;
use crate::logs::Log;
use crate::output;
use crate::products_table::Table;
use crate::progress::Progress;
use crate::table_text::table;
use crate::target::{Resources, Target};
use crate::timestamp;
use audit_log::ids::{EventId, ProductId};
use search::{Logs, Window};

/// Follow a request, a change or a product through the system, in the order of time
///
/// Reads the access log, the functions' logs, the table's journal and the audit bucket. For a change that isn't recorded there,
/// it looks into the dead-letter queue, whose messages are invisible to others for a moment. Nothing is changed.
///
/// A request ID is the header X-Request-Id of a response; an event ID names a change. A product, by its ID or by the SKU of an
/// active product, is followed through its newest changes. What should be there and isn't is listed with its likely cause and
/// the next command.
///
/// Logs are read from a minute before a change to five minutes after its audit object was written; if the ID has no time, for
/// the time of --since. At most 5 requests per second are sent to CloudWatch Logs, and 300 in all.
///
/// Exit codes: 0 each change has its journal entry and its audit object; 1 the command failed, or nothing was found; 2 something
/// is missing.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Request ID, event ID, product ID or SKU
    pub id: String,
    /// Age of the oldest log line to read for a request or a product, such as 6h or 7d; logs are kept for 90 days
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = humantime::parse_duration)]
    pub since: Duration,
    /// Maximum number of changes to follow, newest first
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=50))]
    pub changes: u8,
    /// Print the output as JSON, with all fields of the log lines
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub resources: Resources,
}

/// What became of an ID.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    id: String,
    kind: Kind,
    changes: Vec<Change>,
    /// The names of the clients in changes and steps, by API key ID.
    clients: BTreeMap<String, String>,
    /// Oldest first.
    steps: Vec<Step>,
    missing: Vec<Missing>,
    /// Logs that were read and have no line about it.
    logs_without_lines: Vec<String>,
}

/// What an ID names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    Request,
    Change,
    Product,
    Sku,
}

/// A change, as far as it is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    event_id: EventId,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_id: Option<ProductId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    /// Type, actor, outcome, reason and version, as the audit record has them; empty if the change isn't recorded.
    #[serde(flatten)]
    record: BTreeMap<&'static str, Value>,
}

impl Change {
    fn new(event_id: EventId) -> Self {
        Self { event_id, product_id: None, request_id: None, record: BTreeMap::new() }
    }

    /// The ID of the API key that it was requested with.
    fn api_key_id(&self) -> Option<&str> {
        self.record.get("actor")?["apiKeyId"].as_str()
    }

    fn text(&self, clients: &BTreeMap<String, String>) -> String {
        let part =
            |name: &str| self.record.get(name).map(|value| value.as_str().map_or(value.to_string(), str::to_owned));
        let outcome = ["outcome", "reason"].into_iter().filter_map(part).collect::<Vec<_>>().join(" ");
        let product = self.product_id.map_or_else(|| "an unknown product".to_owned(), |id| format!("product {id}"));
        let version = part("version").map(|version| format!(", version {version}")).unwrap_or_default();
        let outcome = if outcome.is_empty() { "not recorded" } else { &outcome };
        let requested = match self.api_key_id().map(|key| (key, clients.get(key))) {
            Some((key, Some(client))) => format!(", requested by {client} ({key})"),
            Some((key, None)) => format!(", requested by {key}"),
            None => String::new(),
        };
        format!(
            "Change {}: {} of {product}: {outcome}{version}{requested}",
            self.event_id,
            part("type").as_deref().unwrap_or("change")
        )
    }
}

/// Something that happened.
#[derive(Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// RFC 3339.
    time: String,
    #[serde(skip)]
    millis: i64,
    /// A log, `journal`, `audit bucket`, or a dead-letter queue.
    source: String,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<EventId>,
    /// The fields of a log line.
    #[serde(skip_serializing_if = "Map::is_empty")]
    fields: Map<String, Value>,
}

impl Step {
    fn api_key_id(&self) -> Option<&str> {
        // The access log writes a hyphen for what there isn't.
        self.fields.get("apiKeyId")?.as_str().filter(|key| !matches!(*key, "" | "-"))
    }

    fn new(millis: i64, source: impl Into<String>, what: impl Into<String>, event_id: Option<EventId>) -> Self {
        let (source, what) = (source.into(), what.into());
        Self { time: timestamp::of_millis(millis), millis, source, what, event_id, fields: Map::new() }
    }
}

/// Something that should be there and isn't.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Missing {
    what: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    event_id: Option<EventId>,
    /// The likely cause.
    why: String,
    /// The next command.
    next: String,
}

/// Traces and prints the result.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let trace = trace(target, arguments, progress).await?;
    if arguments.json {
        output::print_json(&trace)?;
    } else {
        output::print(&text(&trace))?;
    }
    Ok(if trace.missing.is_empty() { ExitStatus::Success } else { ExitStatus::NeedsAttention })
}

async fn trace(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<Trace> {
    let step = progress.step(format!("trace {}", arguments.id));
    let (mut logs, window) = (Logs::new(target, step.meter()), Window::of_last(arguments.since));
    let (kind, events) = resolve(target, &mut logs, arguments, window).await?;
    let (mut changes, mut steps, mut missing) = (Vec::new(), Vec::new(), Vec::new());
    for event in newest(events, usize::from(arguments.changes)) {
        let found = record::follow(target, &mut logs, event, progress).await?;
        changes.push(found.change);
        steps.extend(found.steps);
        missing.extend(found.missing);
    }
    steps.extend(logs.steps());
    if steps.is_empty() {
        bail!(
            "nothing found about {}: no log line since {}, no journal entry, no audit object and no message in a dead-letter \
             queue. Check the ID and --env; --since reads older log lines",
            arguments.id,
            timestamp::of_millis(window.start)
        );
    }
    // Stable: what happened in the same millisecond stays in the order of the way through the system.
    steps.sort_by_key(|step| step.millis);
    missing.extend(unnamed_change(&steps, &changes));
    missing.extend(logs.unread());
    let clients = clients(target, &changes, &steps, progress).await;
    step.done(format!("{} steps, {} requests to CloudWatch Logs", steps.len(), logs.requests()));
    let logs_without_lines = logs.without_lines();
    Ok(Trace { id: arguments.id.clone(), kind, changes, clients, steps, missing, logs_without_lines })
}

/// The clients of the keys in changes and steps. Without them the trace has the keys' IDs, so a failure is only reported.
async fn clients(target: &Target, changes: &[Change], steps: &[Step], progress: &Progress) -> BTreeMap<String, String> {
    let of_changes = changes.iter().filter_map(Change::api_key_id);
    let keys: BTreeSet<&str> = of_changes.chain(steps.iter().filter_map(Step::api_key_id)).collect();
    match Register::read_keys(&target.audit_bucket(), &keys).await {
        Ok(register) => {
            keys.iter().filter_map(|key| Some(((*key).to_owned(), register.client(key)?.to_owned()))).collect()
        }
        Err(error) => {
            progress.say(format!("  clients are shown by their key IDs: {error:#}"));
            BTreeMap::new()
        }
    }
}

/// What the ID names, and the changes that it stands for.
async fn resolve(
    target: &Target,
    logs: &mut Logs<'_>,
    arguments: &Arguments,
    window: Window,
) -> Result<(Kind, BTreeSet<EventId>)> {
    let (table, id) = (target.products(), arguments.id.trim());
    let lower_case = id.to_ascii_lowercase();
    if let Some(event) = EventId::parse(&lower_case) {
        return Ok((Kind::Change, BTreeSet::from([event])));
    }
    if let Some(uuid) = ProductId::parse(&lower_case) {
        let known = recorded(&table, uuid).await?;
        if known.is_empty() {
            // A request, or a product whose creation isn't recorded.
            let found = logs.search(&Log::OF_REQUESTS, window, &[&lower_case]).await?;
            let names_product = logs.name_product(uuid);
            return Ok((if names_product { Kind::Product } else { Kind::Request }, found));
        }
        return Ok((Kind::Product, with_accepted(logs, uuid, known, window).await?));
    }
    let Some(claim) = table.claim(id).await? else {
        bail!(
            "{id} isn't a UUID, and no active product has it as its SKU. `catalogctl audit history --sku` also finds products \
             that were deleted or had the SKU before"
        );
    };
    let known = recorded(&table, claim.product).await?;
    Ok((Kind::Sku, with_accepted(logs, claim.product, known, window).await?))
}

/// The changes of a product that the table knows.
async fn recorded(table: &Table, product: ProductId) -> Result<BTreeSet<EventId>> {
    let (facts, entries) = table.product(product, None).await?;
    Ok(entries.into_iter().map(|(event, _)| event).chain(facts.map(|facts| facts.last_event)).collect())
}

/// Adds the changes that were accepted and aren't recorded: only the logs know them.
async fn with_accepted(
    logs: &mut Logs<'_>,
    product: ProductId,
    known: BTreeSet<EventId>,
    window: Window,
) -> Result<BTreeSet<EventId>> {
    let accepted = logs.events_of(product, window).await?;
    Ok(known.union(&accepted).copied().collect())
}

/// The newest changes, oldest first.
fn newest(events: BTreeSet<EventId>, limit: usize) -> impl Iterator<Item = EventId> {
    let skipped = events.len().saturating_sub(limit);
    events.into_iter().skip(skipped)
}

/// A write that the API accepted, and whose change no line names.
fn unnamed_change(steps: &[Step], changes: &[Change]) -> Option<Missing> {
    if !changes.is_empty() {
        return None;
    }
    let accepted = steps.iter().find(|step| {
        let field = |name: &str| step.fields.get(name).and_then(Value::as_str).unwrap_or_default();
        step.source == Log::Api.name() && field("httpMethod") != "GET" && matches!(field("status"), "202" | "204")
    })?;
    Some(Missing {
        what: "LOG_LINE",
        event_id: None,
        why: format!("the request was accepted at {}, and no function's line names its change", accepted.time),
        next: "catalogctl status".to_owned(),
    })
}

fn text(trace: &Trace) -> String {
    let mut text = trace.changes.iter().map(|change| format!("{}\n", change.text(&trace.clients))).collect::<String>();
    if !text.is_empty() {
        text.push('\n');
    }
    let several = trace.changes.len() > 1;
    let row = |step: &Step| {
        let event = step.event_id.filter(|_| several).map(|event| format!(" eventId={event}")).unwrap_or_default();
        let client = step.api_key_id().and_then(|key| trace.clients.get(key));
        let client = client.map(|client| format!(" client={client}")).unwrap_or_default();
        [step.time.clone(), step.source.clone(), format!("{}{client}{event}", step.what)]
    };
    text.push_str(&table(["time (UTC)", "source", "what"], &trace.steps.iter().map(row).collect::<Vec<_>>()));
    for Missing { what, event_id, why, next } in &trace.missing {
        let event = event_id.map(|event| format!(" of change {event}")).unwrap_or_default();
        text.push_str(&format!("\nMISSING  {what}{event}: {why}.\n  Next: {next}\n"));
    }
    let nothing = match trace.logs_without_lines.as_slice() {
        [] => "\nEach log that was read has lines about it.".to_owned(),
        logs => format!("\nNo lines in: {}", logs.join(", ")),
    };
    text.push_str(&nothing);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(number: u32) -> EventId {
        EventId::parse(&format!("019c13ec-9e00-728a-83f3-9200000000{number:02}")).unwrap()
    }

    #[test]
    fn follows_the_newest_changes() {
        let events = BTreeSet::from([1, 2, 3].map(event));
        assert_eq!(newest(events.clone(), 2).collect::<Vec<_>>(), [event(2), event(3)]);
        assert_eq!(newest(events, 5).count(), 3);
    }

    #[test]
    fn reports_accepted_request_without_change() {
        let access = |method: &str, status: &str| {
            let fields = json!({"httpMethod": method, "status": status}).as_object().unwrap().clone();
            vec![Step { fields, ..Step::new(0, "api", "", None) }]
        };
        assert!(unnamed_change(&access("POST", "202"), &[]).is_some());
        assert!(unnamed_change(&access("POST", "400"), &[]).is_none());
        assert!(unnamed_change(&access("GET", "204"), &[]).is_none());
        assert!(unnamed_change(&access("POST", "202"), &[Change::new(event(1))]).is_none());
    }

    #[test]
    fn text_says_what_happened_and_what_is_missing() {
        let mut change = Change::new(event(1));
        change.product_id = ProductId::parse("3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03");
        change.record.extend([("type", json!("UPDATE")), ("outcome", json!("APPLIED")), ("version", json!(2))]);
        let mut trace = Trace {
            id: event(1).to_string(),
            kind: Kind::Change,
            changes: vec![change],
            clients: BTreeMap::new(),
            steps: vec![Step::new(1_769_860_800_000, "journal", "change recorded", Some(event(1)))],
            missing: vec![Missing {
                what: "AUDIT_OBJECT",
                event_id: Some(event(1)),
                why: "because".to_owned(),
                next: "catalogctl status".to_owned(),
            }],
            logs_without_lines: vec!["api".to_owned()],
        };
        assert_eq!(
            text(&trace),
            "Change 019c13ec-9e00-728a-83f3-920000000001: UPDATE of product 3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03: APPLIED, \
             version 2\n\n\
             time (UTC)            source   what\n\
             2026-01-31T12:00:00Z  journal  change recorded\n\n\
             MISSING  AUDIT_OBJECT of change 019c13ec-9e00-728a-83f3-920000000001: because.\n  Next: catalogctl status\n\n\
             No lines in: api"
        );
        trace.changes.push(Change::new(event(2)));
        assert!(text(&trace).contains("change recorded eventId=019c13ec-9e00-728a-83f3-920000000001\n"));
        assert!(text(&trace).contains("change of an unknown product: not recorded\n"));
    }
}
