//! `catalogctl audit repair`: records that never reached the bucket, sent once more.
//!
//! When nothing has carried the table's changes to the bucket for longer than the stream remembers them (24 hours), the
//! journal in the table still has them, for 90 days. What is missing goes through audit-logger's own queue, in the form in
//! which the pipe delivers it: there is one writer of the bucket, and it compares with what is there.

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

/// How often it is looked whether a record has arrived.
const POLL: Duration = Duration::from_millis(500);

/// Find journal entries of the table that the bucket does not have, and send them to audit-logger. A dry run unless
/// --apply is given.
///
/// For an outage of the pipe, the topic or audit-logger that lasted longer than the stream (24 hours) or a queue (4 days)
/// remembers. The table's journal reaches back 90 days. Changes made by hand have no journal entry and cannot be repaired.
/// Run it as often as you like: audit-logger compares with what is there.
///
/// Exit code: 0 nothing is missing, or all has arrived; 1 could not be done; 2 something is missing.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Do it.
    #[arg(long)]
    pub apply: bool,
    /// Send at most so many a second.
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rate: u32,
    /// A change that was recorded less than so many seconds ago may still be on its way by itself.
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub settle: u64,
    /// Wait at most so long for what was sent to arrive.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    pub wait: u64,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What was missing, and what was done about it.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Repaired {
    pub journal_entries: u64,
    /// Keys of the objects that are not there.
    pub missing: Vec<String>,
    /// Entries that are not what product-creator writes; they are not sent.
    pub unfit: Vec<Finding>,
    pub applied: bool,
    pub sent: u64,
    /// Sent, but not in the bucket yet.
    pub outstanding: Vec<String>,
    pub on_their_way: u64,
}

/// Repairs and says what was found and done.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let repaired = repair(target, arguments, progress).await?;
    if arguments.json {
        output::print_json(&repaired)?;
    } else {
        output::print(&text(&repaired))?;
    }
    let left = if repaired.applied { &repaired.outstanding } else { &repaired.missing };
    Ok(if left.is_empty() && repaired.unfit.is_empty() { ExitStatus::Success } else { ExitStatus::NeedsAttention })
}

/// Compares the table's journal with the bucket and, if asked, sends what is missing and waits until it is there.
pub async fn repair(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<Repaired> {
    let (table, bucket) = (target.products(), target.audit_bucket());
    let step = progress.step(format!("read the journal of {}", table.name()));
    let facts = table.facts(&step.meter()).await?;
    step.done(format!("{} entries", facts.journal.len()));
    let mut repaired = Repaired { journal_entries: facts.journal.len() as u64, ..Repaired::default() };
    repaired.unfit = facts.findings.into_iter().filter(|finding| finding.object.contains(" EVENT#")).collect();

    let mut missing: BTreeMap<EventId, EntryFacts> = facts.journal.into_iter().collect();
    let step = progress.step(format!("look for them in {}", bucket.name()));
    remove_present(&bucket, &mut missing, &step).await?;
    let settled = millis_ago(Duration::from_secs(arguments.settle));
    let before = missing.len();
    missing.retain(|_, entry| entry.recorded_at <= settled);
    repaired.on_their_way = (before - missing.len()) as u64;
    repaired.missing = missing.keys().map(|event| event.object_key()).collect();
    step.done(format!("{} are missing", missing.len()));

    repaired.applied = arguments.apply;
    if missing.is_empty() {
        return Ok(repaired);
    }
    let due = send(target, arguments, &table, &missing, &mut repaired, progress).await?;
    if arguments.apply && !due.is_empty() {
        repaired.outstanding = wait(&bucket, due, Duration::from_secs(arguments.wait), progress).await?;
    }
    Ok(repaired)
}

/// Takes away what the bucket has.
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

/// An object that is to be there, and its bytes.
type Due = (String, Vec<u8>);

/// Sends what is missing; in a dry run only makes sure that it could be sent. Gives what is to arrive.
async fn send(
    target: &Target,
    arguments: &Arguments,
    table: &Table,
    missing: &BTreeMap<EventId, EntryFacts>,
    repaired: &mut Repaired,
    progress: &Progress,
) -> Result<Vec<Due>> {
    let region = target.config.region().map_or("", |region| region.as_ref());
    let described = table.client().describe_table().table_name(table.name()).send().await;
    let described = described.call("dynamodb:DescribeTable", format!("table {}", table.name()))?.table;
    let stream = described.as_ref().and_then(|table| table.latest_stream_arn());
    let queue = Queue::new(target.sqs(), target.queue_url("audit").await?, target.queue_name("audit"));

    let doing = if arguments.apply { "send them to" } else { "make them ready for" };
    let step = progress.step(format!("{doing} {}", queue.name));
    let meter = step.meter();
    meter.length(missing.len() as u64);
    let mut rate = Rate::per_second(arguments.rate);
    let (mut due, mut bodies) = (Vec::new(), Vec::new());
    for (place, (event, facts)) in missing.iter().enumerate() {
        match message(table, *event, facts, region, stream).await? {
            Ok((object, body)) => {
                due.push(object);
                bodies.push(body);
            }
            Err(finding) => repaired.unfit.push(finding),
        }
        if arguments.apply && (bodies.len() == rate.batch_size() || place + 1 == missing.len()) && !bodies.is_empty() {
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

/// The message for one journal item, if it is one that product-creator writes.
async fn message(
    table: &Table,
    event: EventId,
    facts: &EntryFacts,
    region: &str,
    stream: Option<&str>,
) -> Result<Result<(Due, String), Finding>> {
    let key = event.object_key();
    let product: ProductId = facts.product;
    let Some(item) = table.item(product, &journal_key(event)).await? else {
        return Ok(Err(Finding::new(key, Fault::Missing, "its journal item expired just now").of(product)));
    };
    let item = match document(item) {
        Ok(item) => item,
        Err(error) => return Ok(Err(Finding::new(key, Fault::Table, error.to_string()).of(product))),
    };
    let document = entry(item.clone());
    let bytes = stored(&document).into_bytes();
    match check_entry(&key, document) {
        Ok(change) if change.event_id == event && change.product_id == product => {
            let attributes = item.as_object().context("an item has attributes")?;
            let body = insertion(attributes, event, facts.recorded_at, region, stream);
            Ok(Ok(((key, bytes), body)))
        }
        Ok(_) => Ok(Err(Finding::new(key, Fault::Table, "the journal item has the key of another").of(product))),
        Err(finding) => Ok(Err(finding)),
    }
}

/// Waits until the objects are there, as they must be; gives those that are not.
async fn wait(bucket: &Bucket, due: Vec<Due>, most: Duration, progress: &Progress) -> Result<Vec<String>> {
    let step = progress.step(format!("wait for {} objects in {}", due.len(), bucket.name()));
    let (meter, started) = (step.meter(), Instant::now());
    meter.length(due.len() as u64);
    let mut outstanding = due;
    loop {
        let mut still = Vec::new();
        for (key, bytes) in outstanding {
            if bucket.read_key(&key).await? == Body::Bytes(bytes.clone()) {
                meter.advance();
            } else {
                still.push((key, bytes));
            }
        }
        outstanding = still;
        if outstanding.is_empty() || started.elapsed() > most {
            break;
        }
        tokio::time::sleep(POLL).await;
    }
    step.done(format!("{} pending", outstanding.len()));
    Ok(outstanding.into_iter().map(|(key, _)| key).collect())
}

fn text(repaired: &Repaired) -> String {
    let mut lines = Vec::new();
    if !repaired.applied {
        lines.extend(repaired.missing.iter().map(|key| format!("MISSING  {key}")));
    }
    lines.extend(repaired.unfit.iter().map(|finding| format!("NOT SENT  {finding}")));
    lines.extend(repaired.outstanding.iter().map(|key| format!("PENDING  {key}")));
    let (entries, missing) = (repaired.journal_entries, repaired.missing.len());
    lines.push(match (missing, repaired.applied) {
        (0, _) => format!("Nothing is missing: the bucket has all {entries} entries of the journal."),
        (_, false) => format!("A dry run: of {entries} journal entries {missing} are missing. --apply sends them."),
        (_, true) => format!(
            "{missing} entries were missing, {} were sent, {} have not arrived yet.",
            repaired.sent,
            repaired.outstanding.len()
        ),
    });
    if !repaired.outstanding.is_empty() {
        lines.push("Look into the audit queue's dead letters: `catalogctl dlq peek audit`.".to_owned());
    }
    if repaired.on_their_way > 0 {
        lines.push(format!("{} were recorded a moment ago and may be on their way.", repaired.on_their_way));
    }
    lines.join("\n")
}
