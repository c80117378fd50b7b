//! `catalogctl audit repair`: writes audit records that are missing in the bucket.
//!
//! After an outage that is longer than the stream's retention (24 hours), the journal in the table still has the entries, for
//! 90 days. They are sent to audit-logger's queue in the pipe's format, so that the bucket keeps one writer, which compares
//! with existing objects.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use futures_util::TryStreamExt;
use serde::Serialize;

use super::verify::millis_ago;
use crate::audit_bucket::{Body, Bucket};
use crate::aws::CallContext;
use crate::exit_status::ExitStatus;
use crate::output;
use crate::products_table::{Table, document};
use crate::progress::Progress;
use crate::queue::Queue;
use crate::rate::Rate;
use crate::target::Target;
use audit_log::finding::{Fault, Finding};
use audit_log::ids::{EventId, ProductId};
use audit_log::json::stored;
use audit_log::product_item::journal_key;
use audit_log::record::check_entry;
use audit_log::stream_record::insertion;
use audit_log::table_item::entry;
use audit_log::verification::EntryFacts;
use audit_log::window::Window;

/// Time between two checks whether the objects exist.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// Write audit records that are missing in the bucket, from the table's journal (default: dry run)
///
/// For an outage of the pipe, the topic or audit-logger that was longer than the retention of the stream (24 hours) or of a
/// queue (4 days). The journal has the entries of the last 90 days. Changes made outside the API have no journal entry and
/// can't be repaired. Repeated runs are harmless: audit-logger compares with existing objects.
///
/// Exit codes: 0 no record is missing, or all were written; 1 the command failed; 2 records are missing.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Apply the changes (default: dry run)
    #[arg(long)]
    pub apply: bool,
    /// Maximum number of messages to send per second
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rate: u32,
    /// Seconds within which a recorded change's object may still be missing
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub settle: u64,
    /// Maximum seconds to wait for the objects
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub wait: u64,
    /// Print the output as JSON
    #[arg(long)]
    pub json: bool,
}

/// The result of a repair or of its dry run.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repaired {
    pub journal_entries: u64,
    /// Keys of the missing objects.
    pub missing: Vec<String>,
    /// Entries that product-creator can't have written; they aren't sent.
    pub invalid: Vec<Finding>,
    pub applied: bool,
    pub sent: u64,
    /// Keys of objects that were sent and don't exist yet.
    pub pending: Vec<String>,
    /// Number of changes recorded so recently that their objects need not exist yet.
    pub recent: u64,
}

/// Repairs and prints the result.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let repaired = repair(target, arguments, progress).await?;
    if arguments.json {
        output::print_json(&repaired)?;
    } else {
        output::print(&text(&repaired, arguments.settle))?;
    }
    let left = if repaired.applied { &repaired.pending } else { &repaired.missing };
    Ok(if left.is_empty() && repaired.invalid.is_empty() { ExitStatus::Success } else { ExitStatus::NeedsAttention })
}

/// Compares the table's journal with the bucket. With `--apply`, sends missing entries and waits for their objects.
pub async fn repair(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<Repaired> {
    let (table, bucket) = (target.products(), target.audit_bucket());
    let step = progress.step(format!("read the journal of table {}", table.name()));
    let facts = table.facts(&step.meter()).await?;
    step.done(format!("{} entries", facts.journal.len()));
    let mut repaired = Repaired { journal_entries: facts.journal.len() as u64, ..Repaired::default() };
    repaired.invalid = facts.findings.into_iter().filter(|finding| finding.object.contains(" EVENT#")).collect();

    let mut missing: BTreeMap<EventId, EntryFacts> = facts.journal.into_iter().collect();
    let step = progress.step(format!("list bucket {}", bucket.name()));
    remove_present(&bucket, &mut missing, &step).await?;
    let settled = millis_ago(Duration::from_secs(arguments.settle));
    let before = missing.len();
    missing.retain(|_, entry| entry.recorded_at <= settled);
    repaired.recent = (before - missing.len()) as u64;
    repaired.missing = missing.keys().map(|event| event.object_key()).collect();
    step.done(format!("{} missing", missing.len()));

    repaired.applied = arguments.apply;
    if missing.is_empty() {
        return Ok(repaired);
    }
    let due = send(target, arguments, &table, &missing, &mut repaired, progress).await?;
    if arguments.apply && !due.is_empty() {
        repaired.pending = wait(&bucket, due, Duration::from_secs(arguments.wait), progress).await?;
    }
    Ok(repaired)
}

/// Removes the entries whose objects exist.
async fn remove_present(
    bucket: &Bucket,
    missing: &mut BTreeMap<EventId, EntryFacts>,
    step: &crate::progress::Step,
) -> Result<()> {
    let (Some((first, _)), Some((last, _))) = (missing.first_key_value(), missing.last_key_value()) else {
        return Ok(());
    };
    let window = Window { from: Some(first.date()), to: Some(last.date()) };
    let meter = step.meter();
    let mut listed = std::pin::pin!(bucket.list(vec![window.keys("events")], meter.clone()));
    while let Some(listed) = listed.try_next().await? {
        meter.advance();
        let name = listed.key.rsplit('/').next().and_then(|name| name.strip_suffix(".json"));
        let event = name.and_then(EventId::parse).filter(|event| event.object_key() == listed.key);
        if let Some(event) = event.filter(|_| listed.versions > 0) {
            missing.remove(&event);
        }
    }
    Ok(())
}

/// The key and bytes of an object to be written.
type Expected = (String, Vec<u8>);

/// Sends the missing entries; in a dry run only checks them. Returns the objects to be written.
async fn send(
    target: &Target,
    arguments: &Arguments,
    table: &Table,
    missing: &BTreeMap<EventId, EntryFacts>,
    repaired: &mut Repaired,
    progress: &Progress,
) -> Result<Vec<Expected>> {
    let region = target.config.region().map_or("", |region| region.as_ref());
    let described = table.client().describe_table().table_name(table.name()).send().await;
    let described = described.call("dynamodb:DescribeTable", format!("table {}", table.name()))?.table;
    let stream = described.as_ref().and_then(|table| table.latest_stream_arn());
    let queue = Queue::new(target.sqs(), target.queue_url("audit").await?, target.queue_name("audit"));

    let action = if arguments.apply { "send the entries to" } else { "check the entries for" };
    let step = progress.step(format!("{action} {}", queue.name));
    let meter = step.meter();
    meter.length(missing.len() as u64);
    let mut rate = Rate::per_second(arguments.rate);
    let (mut due, mut bodies) = (Vec::new(), Vec::new());
    for (index, (event, facts)) in missing.iter().enumerate() {
        match message(table, *event, facts, region, stream).await? {
            Ok((object, body)) => {
                due.push(object);
                bodies.push(body);
            }
            Err(finding) => repaired.invalid.push(finding),
        }
        if arguments.apply && (bodies.len() == rate.batch_size() || index + 1 == missing.len()) && !bodies.is_empty() {
            rate.wait(bodies.len()).await;
            queue.send_bodies(&bodies).await?;
            repaired.sent += bodies.len() as u64;
            bodies.clear();
        }
        meter.advance();
    }
    step.done(format!("{} sent", repaired.sent));
    Ok(due)
}

/// The message for a journal item, or why the item is invalid.
async fn message(
    table: &Table,
    event: EventId,
    facts: &EntryFacts,
    region: &str,
    stream: Option<&str>,
) -> Result<Result<(Expected, String), Finding>> {
    let key = event.object_key();
    let product: ProductId = facts.product;
    let Some(item) = table.item(product, &journal_key(event)).await? else {
        return Ok(Err(Finding::new(key, Fault::Missing, "the journal item has just expired").of(product)));
    };
    let item = match document(item) {
        Ok(item) => item,
        Err(error) => return Ok(Err(Finding::new(key, Fault::Table, error.to_string()).of(product))),
    };
    let document = entry(item.clone());
    let bytes = stored(&document).into_bytes();
    match check_entry(&key, document) {
        Ok(change) if change.event_id == event && change.product_id == product => {
            let attributes = item.as_object().context("a journal item has no attributes")?;
            let body = insertion(attributes, event, facts.recorded_at, region, stream);
            Ok(Ok(((key, bytes), body)))
        }
        Ok(_) => {
            Ok(Err(Finding::new(key, Fault::Table, "the journal item's key is that of another event or product")
                .of(product)))
        }
        Err(finding) => Ok(Err(finding)),
    }
}

/// Waits until the objects exist with the expected bytes. Returns the keys of those that don't.
async fn wait(bucket: &Bucket, expected: Vec<Expected>, timeout: Duration, progress: &Progress) -> Result<Vec<String>> {
    let step = progress.step(format!("wait for {} objects in bucket {}", expected.len(), bucket.name()));
    let (meter, started) = (step.meter(), Instant::now());
    meter.length(expected.len() as u64);
    let mut pending = expected;
    loop {
        let mut still_pending = Vec::new();
        for (key, bytes) in pending {
            if bucket.read_key(&key).await? == Body::Bytes(bytes.clone()) {
                meter.advance();
            } else {
                still_pending.push((key, bytes));
            }
        }
        pending = still_pending;
        if pending.is_empty() || started.elapsed() > timeout {
            break;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    step.done(format!("{} pending", pending.len()));
    Ok(pending.into_iter().map(|(key, _)| key).collect())
}

fn text(repaired: &Repaired, settle: u64) -> String {
    let mut lines = Vec::new();
    if !repaired.applied {
        lines.extend(repaired.missing.iter().map(|key| format!("MISSING  {key}")));
    }
    lines.extend(repaired.invalid.iter().map(|finding| format!("INVALID  {finding}")));
    lines.extend(repaired.pending.iter().map(|key| format!("PENDING  {key}")));
    let (entries, missing) = (repaired.journal_entries, repaired.missing.len());
    lines.push(match (missing, repaired.applied) {
        (0, _) if repaired.recent > 0 => {
            format!(
                "No older record is missing: the bucket has the other {} journal entries.",
                entries - repaired.recent
            )
        }
        (0, _) => format!("Nothing is missing: the bucket has all {entries} journal entries."),
        (_, false) => {
            format!("Dry run: no changes made. Missing: {missing} of {entries} journal entries. Re-run with --apply.")
        }
        (_, true) => format!(
            "Missing: {missing} of {entries} journal entries. Sent: {}. Pending: {}.",
            repaired.sent,
            repaired.pending.len()
        ),
    });
    if !repaired.pending.is_empty() {
        lines.push("Check the dead-letter queue with `catalogctl dlq peek audit`.".to_owned());
    }
    if repaired.recent > 0 {
        lines.push(format!(
            "Recorded in the last {settle} s and not in the bucket yet: {}. Repeat the command later, or check them now with \
             --settle 0.",
            repaired.recent
        ));
    }
    lines.join("\n")
}
