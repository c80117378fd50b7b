//! `catalogctl audit rebuild`: the table again, from the bucket.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, bail};
use aws_sdk_dynamodb::types::{KeyType, PutRequest, WriteRequest};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::verify::{millis_ago, text};
use crate::audit_bucket::Bucket;
use crate::aws::CallContext;
use crate::exit_status::ExitStatus;
use crate::output;
use crate::products_table::{Item, Table};
use crate::progress::{Meter, Progress};
use crate::target::Target;
use audit_log::chain::Chain;
use audit_log::ids::EventId;
use audit_log::product_item::{expires_at, journal_item, product_item};
use audit_log::record::{Change, Record};
use audit_log::verification::{Content, Report, Verification};
use audit_log::window::Window;

/// Items that DynamoDB takes in one call.
const BATCH: usize = 25;
/// Calls and reads that are under way at once.
const AT_ONCE: usize = 8;

/// Make the table again from the audit log, in an empty table that exists.
///
/// Writes every product as product-creator wrote it, index keys included, and the journal entries that have not expired.
/// The audit log is verified first, by itself; if it is broken, nothing is written. What the bucket does not have (the
/// newest records, if somebody removed every version of them) cannot be in the new table either.
///
/// Refuses a table that is not empty, and the live one. If it is interrupted, empty the table and start again.
///
/// Exit code: 0 done; 1 could not be done; 2 the audit log is broken, and nothing was written.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// The table to fill: with the keys and indexes of the products table, and empty.
    #[arg(long, value_name = "TABLE")]
    pub into: String,
    /// Over how many partitions the active products are spread: the infrastructure's output `list_shards`.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=32))]
    pub list_shards: u64,
    /// Leave the journal out.
    #[arg(long)]
    pub products_only: bool,
    /// Write what can be written of a broken audit log, each product as its newest record leaves it.
    #[arg(long)]
    pub despite_findings: bool,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What was written.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebuilt {
    pub table: String,
    pub products: u64,
    pub journal_entries: u64,
    /// Products whose chain has no beginning or whose newest record cannot be read.
    pub left_out: Vec<String>,
    pub report: Report,
}

/// Rebuilds and says what was written.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let rebuilt = rebuild(target, arguments, progress).await?;
    if arguments.json {
        output::print_json(&rebuilt)?;
    } else {
        output::print(&text(&rebuilt.report))?;
        for left_out in &rebuilt.left_out {
            output::print(&format!("Left out: {left_out}"))?;
        }
        output::print(&format!(
            "{} products and {} journal entries written to {}.",
            rebuilt.products, rebuilt.journal_entries, rebuilt.table
        ))?;
    }
    let refused = !rebuilt.report.findings.is_empty() && !arguments.despite_findings;
    Ok(if refused { ExitStatus::NeedsAttention } else { ExitStatus::Success })
}

/// Verifies, and then writes; nothing if the audit log is broken, unless that was asked for.
pub async fn rebuild(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<Rebuilt> {
    let table = Table::new(target.dynamodb(), &arguments.into);
    is_fit(target, &table).await?;
    let bucket = target.audit_bucket();
    let Verified { report, ends, journal, versions } = verified(&bucket, arguments, progress).await?;
    let mut rebuilt =
        Rebuilt { table: arguments.into.clone(), products: 0, journal_entries: 0, left_out: Vec::new(), report };
    if rebuilt.report.archived > 0 && !arguments.despite_findings {
        bail!("{} objects are archived: restore them first", rebuilt.report.archived);
    }
    if !rebuilt.report.findings.is_empty() && !arguments.despite_findings {
        return Ok(rebuilt);
    }

    let step = progress.step(format!("write {}", arguments.into));
    let meter = step.meter();
    meter.length((ends.len() + journal.len()) as u64);
    let read = |event: EventId| read_change(&bucket, event, versions.get(&event).cloned());
    let mut products = stream::iter(ends)
        .map(|(event, chain)| async move { (read(event).await, chain) })
        .buffered(AT_ONCE)
        .map(|(change, chain)| made(&chain, change?, arguments.list_shards))
        .chunks(BATCH);
    while let Some(batch) = products.next().await {
        let mut items = Vec::with_capacity(batch.len());
        for made in batch {
            match made {
                Ok(item) => items.push(item),
                Err(error) if arguments.despite_findings => rebuilt.left_out.push(format!("{error:#}")),
                Err(error) => return Err(error),
            }
        }
        rebuilt.products += items.len() as u64;
        write(&table, items, &meter).await?;
    }
    let mut entries = stream::iter(journal)
        .map(|event| async move { anyhow::Ok(serde_dynamo::to_item(journal_item(&read(event).await?))?) })
        .buffered(AT_ONCE)
        .try_chunks(BATCH);
    while let Some(items) = entries.try_next().await.map_err(|error| error.1)? {
        rebuilt.journal_entries += items.len() as u64;
        write(&table, items, &meter).await?;
    }
    step.done(format!("{} products, {} journal entries", rebuilt.products, rebuilt.journal_entries));
    Ok(rebuilt)
}

fn made(chain: &Chain, newest: Change, shards: u64) -> Result<Item> {
    if newest.link.as_ref().is_none_or(|link| link.hash != chain.head.hash) {
        bail!("{} is not what was verified", newest.event_id.object_key());
    }
    Ok(serde_dynamo::to_item(product_item(chain, &newest, shards)?)?)
}

/// What the verification leaves for the writing.
struct Verified {
    report: Report,
    /// Each chain by its last record.
    ends: BTreeMap<EventId, Chain>,
    /// The records whose journal items have not expired.
    journal: Vec<EventId>,
    /// The version to be read of records that were written more than once.
    versions: HashMap<EventId, String>,
}

async fn verified(bucket: &Bucket, arguments: &Arguments, progress: &Progress) -> Result<Verified> {
    let step = progress.step(format!("verify {}", bucket.name()));
    let now = millis_ago(std::time::Duration::ZERO) / 1_000;
    let (mut journal, mut versions) = (Vec::new(), HashMap::new());
    let mut verification = Verification::new(Window::default(), None);
    let mut objects = std::pin::pin!(bucket.objects(Window::default().all_keys(), &step.meter()));
    while let Some(object) = objects.try_next().await? {
        verification.take(&object);
        let Content::Checked(Ok(Record::Change(change))) = &object.content else { continue };
        if !arguments.products_only && expires_at(change) > now {
            journal.push(change.event_id);
        }
        if let Some(version) = object.first {
            versions.insert(change.event_id, version);
        }
    }
    let (report, chains) = verification.finish_with_chains(u64::MAX);
    step.done(format!("{} objects, {} findings", report.objects, report.findings.len()));
    let ends = chains.into_ends().map(|chain| (chain.head.event, chain)).collect();
    Ok(Verified { report, ends, journal, versions })
}

async fn read_change(bucket: &Bucket, event: EventId, version: Option<String>) -> Result<Change> {
    match bucket.record(&event.object_key(), version).await? {
        Record::Change(change) => Ok(*change),
        Record::OutOfBand(_) => bail!("{} is no change", event.object_key()),
    }
}

/// An error unless the table is one to rebuild into.
async fn is_fit(target: &Target, table: &Table) -> Result<()> {
    let describe = async |name: &str| {
        let answer = table
            .client()
            .describe_table()
            .table_name(name)
            .send()
            .await
            .call("dynamodb:DescribeTable", format!("table {name}"));
        answer.map(|answer| answer.table)
    };
    let name = table.name();
    let found = describe(name).await?;
    let found = found.with_context(|| format!("the table {name} is not described"))?;
    // The live table may be lost: that is what this command is for.
    let live = describe(&target.table).await.ok().flatten();
    let is_live = live.as_ref().and_then(|live| live.table_arn()) == found.table_arn() && found.table_arn().is_some();
    if name == target.table || is_live {
        bail!("{name} is the live table; name an empty one");
    }
    let keys: Vec<_> = found.key_schema().iter().map(|key| (key.attribute_name(), key.key_type().clone())).collect();
    if keys != [("PK", KeyType::Hash), ("SK", KeyType::Range)] {
        bail!("{name} does not have the keys PK and SK of a products table");
    }
    for index in ["ProductsByPriceIndex", "ProductsByNameIndex"] {
        if !found.global_secondary_indexes().iter().any(|found| found.index_name() == Some(index)) {
            bail!("{name} has no index {index}: it would be no products table");
        }
    }
    let first = table.client().scan().table_name(name).limit(1).consistent_read(true).send().await;
    if first.call("dynamodb:Scan", format!("table {name}"))?.count() > 0 {
        bail!("{name} is not empty");
    }
    Ok(())
}

/// Writes up to 25 items; what DynamoDB has no capacity for is written again, a little later each time.
async fn write(table: &Table, items: Vec<Item>, meter: &Meter) -> Result<()> {
    const ROUNDS: u32 = 12;
    let count = items.len();
    let mut requests = Vec::with_capacity(count);
    for item in items {
        let put = PutRequest::builder().set_item(Some(item)).build().context("an item without attributes")?;
        requests.push(WriteRequest::builder().put_request(put).build());
    }
    let mut round = 0;
    while !requests.is_empty() {
        if round == ROUNDS {
            bail!("{} takes no more items for now; empty it and start again", table.name());
        }
        if round > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(25 << round)).await;
        }
        let answer = table
            .client()
            .batch_write_item()
            .request_items(table.name(), requests)
            .send()
            .await
            .call("dynamodb:BatchWriteItem", format!("table {}", table.name()))?;
        requests = answer.unprocessed_items.unwrap_or_default().remove(table.name()).unwrap_or_default();
        round += 1;
    }
    (0..count).for_each(|_| meter.advance());
    Ok(())
}
