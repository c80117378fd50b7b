//! `catalogctl audit rebuild`: makes the table from the bucket.

use std::collections::{BTreeMap, HashMap};

use anyhow::{Context, Result, bail};
use aws_sdk_dynamodb::types::{KeyType, PutRequest, WriteRequest};
use clap::Args;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use super::verify::{millis_ago, verdicts};
use crate::audit_bucket::Bucket;
use crate::aws::CallContext;
use crate::exit_status::ExitStatus;
use crate::output;
use crate::products_table::{Item, Table};
use crate::progress::Progress;
use crate::target::Target;
use audit_log::chain::Chain;
use audit_log::finding::Verdict;
use audit_log::ids::{EventId, ProductId};
use audit_log::product_item::{expires_at, journal_item, product_item, sku_claim};
use audit_log::record::{Change, Record};
use audit_log::verification::{Content, Integrity, Report, Verification};
use audit_log::window::Window;

/// Items in one call, at most (DynamoDB's limit of BatchWriteItem).
const MAX_BATCH: usize = 25;
/// Concurrent reads.
const MAX_CONCURRENCY: usize = 8;

/// Fill an empty table with the products, SKU claims and journal entries of the audit log
///
/// Writes each product as product-creator wrote it, index keys included, and the journal entries of the last 90 days. The
/// audit log is verified first, without the table. Each product that can be made is written; those whose integrity is broken or
/// whose newest record can't be read are listed.
///
/// A table that isn't empty, and the live table, are rejected. After an interruption, empty the table and start again.
///
/// Exit codes: 0 every product was written and the integrity is intact; 1 the command failed; 2 the integrity is broken, or some
/// products couldn't be made.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Table to fill: empty, with the keys and indexes of the products table
    #[arg(long, value_name = "TABLE")]
    pub into: String,
    /// Number of shards: the infrastructure's output `list_shards`
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=32))]
    pub list_shards: u64,
    /// Write products and claims only, without the journal
    #[arg(long)]
    pub products_only: bool,
    /// Also write products whose integrity is broken, each as its newest readable record leaves it; ignore archived objects
    #[arg(long)]
    pub despite_findings: bool,
    /// Print the output as JSON
    #[arg(long)]
    pub json: bool,
}

/// The result of a rebuild.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Rebuilt {
    pub table: String,
    pub products: u64,
    pub claims: u64,
    pub journal_entries: u64,
    /// Products that couldn't be made, and why.
    pub left_out: Vec<String>,
    pub report: Report,
}

/// Rebuilds and prints the result.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let rebuilt = rebuild(target, arguments, progress).await?;
    if arguments.json {
        output::print_json(&rebuilt)?;
    } else {
        output::print(&verdicts(&rebuilt.report))?;
        for left_out in &rebuilt.left_out {
            output::print(&format!("Not written: {left_out}"))?;
        }
        output::print(&format!(
            "Written to {}: {} products, {} SKU claims, {} journal entries. Not written: {} products.",
            rebuilt.table,
            rebuilt.products,
            rebuilt.claims,
            rebuilt.journal_entries,
            rebuilt.left_out.len()
        ))?;
    }
    let complete = rebuilt.report.integrity == Integrity::Intact && rebuilt.left_out.is_empty();
    Ok(if complete { ExitStatus::Success } else { ExitStatus::NeedsAttention })
}

/// Verifies, then writes each product that can be made.
pub async fn rebuild(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<Rebuilt> {
    let table = Table::new(target.dynamodb(), &arguments.into);
    check_table(target, &table).await?;
    let bucket = target.audit_bucket();
    let Verified { report, mut ends, mut journal, versions } = verified(&bucket, arguments, progress).await?;
    let mut rebuilt = Rebuilt {
        table: arguments.into.clone(),
        products: 0,
        claims: 0,
        journal_entries: 0,
        left_out: Vec::new(),
        report,
    };
    if rebuilt.report.archived > 0 && !arguments.despite_findings {
        bail!("{} objects are archived. Restore them first, or use --despite-findings", rebuilt.report.archived);
    }
    if !arguments.despite_findings {
        let broken = broken_products(&rebuilt.report);
        ends.retain(|product, _| !broken.contains_key(product));
        journal.retain(|(product, _)| !broken.contains_key(product));
        rebuilt.left_out.extend(broken.iter().map(|(product, why)| format!("product {product}: {why}")));
    }

    let step = progress.step(format!("write {}", arguments.into));
    let meter = step.meter();
    meter.length((ends.len() + journal.len()) as u64);
    let read = |event: EventId| read_change(&bucket, event, versions.get(&event).cloned());
    let mut products = stream::iter(ends)
        .map(|(_, chain)| async move { (read(chain.head.event).await, chain) })
        .buffered(MAX_CONCURRENCY)
        .map(|(change, chain)| made(&chain, change?, arguments.list_shards))
        // A product and its claim are two items.
        .chunks(MAX_BATCH / 2);
    while let Some(batch) = products.next().await {
        let batch_len = batch.len();
        let mut items = Vec::with_capacity(2 * batch_len);
        for made in batch {
            match made {
                Ok(Made { product, claim }) => {
                    rebuilt.products += 1;
                    rebuilt.claims += u64::from(claim.is_some());
                    items.push(product);
                    items.extend(claim);
                }
                Err(error) => rebuilt.left_out.push(format!("{error:#}")),
            }
        }
        (0..batch_len).for_each(|_| meter.advance());
        write(&table, items).await?;
    }
    let mut entries = stream::iter(journal)
        .map(|(_, event)| async move { anyhow::Ok(serde_dynamo::to_item(journal_item(&read(event).await?))?) })
        .buffered(MAX_CONCURRENCY)
        .try_chunks(MAX_BATCH);
    while let Some(items) = entries.try_next().await.map_err(|error| error.1)? {
        rebuilt.journal_entries += items.len() as u64;
        (0..items.len()).for_each(|_| meter.advance());
        write(&table, items).await?;
    }
    step.done(format!("{} products, {} journal entries", rebuilt.products, rebuilt.journal_entries));
    Ok(rebuilt)
}

/// The first finding of each product whose integrity is broken.
fn broken_products(report: &Report) -> BTreeMap<ProductId, String> {
    let mut broken = BTreeMap::new();
    for finding in report.findings_of(Verdict::Integrity) {
        if let Some(product) = finding.product_id {
            let why = || format!("{}: {}: {}", finding.object, finding.fault.name(), finding.why);
            broken.entry(product).or_insert_with(why);
        }
    }
    broken
}

/// The items of one product.
struct Made {
    product: Item,
    claim: Option<Item>,
}

fn made(chain: &Chain, newest: Change, shards: u64) -> Result<Made> {
    if newest.link.as_ref().is_none_or(|link| link.hash != chain.head.hash) {
        bail!("product {}: {} changed since it was verified", newest.product_id, newest.event_id.object_key());
    }
    let product = serde_dynamo::to_item(product_item(chain, &newest, shards)?)?;
    let claim = sku_claim(chain, newest.product_id)?.map(serde_dynamo::to_item).transpose()?;
    Ok(Made { product, claim })
}

/// What is needed of the verified log to write the table.
struct Verified {
    report: Report,
    ends: BTreeMap<ProductId, Chain>,
    /// The records whose journal items haven't expired, with their products.
    journal: Vec<(ProductId, EventId)>,
    /// The version to read of records that have several.
    versions: HashMap<EventId, String>,
}

async fn verified(bucket: &Bucket, arguments: &Arguments, progress: &Progress) -> Result<Verified> {
    let step = progress.step(format!("read bucket {}", bucket.name()));
    let now = millis_ago(std::time::Duration::ZERO) / 1_000;
    let (mut journal, mut versions) = (Vec::new(), HashMap::new());
    let mut verification = Verification::new(Window::default(), None);
    let mut objects = std::pin::pin!(bucket.objects(Window::default().all_keys(), &step.meter()));
    while let Some(object) = objects.try_next().await? {
        verification.take(&object);
        let Content::Record(Record::Change(change)) = &object.content else { continue };
        if !arguments.products_only && expires_at(change) > now {
            journal.push((change.product_id, change.event_id));
        }
        if let Some(version) = object.first {
            versions.insert(change.event_id, version);
        }
    }
    let (report, chains) = verification.finish_with_chains(u64::MAX);
    step.done(format!("{} objects, {} findings", report.objects, report.findings.len()));
    let ends = chains.into_ends().collect();
    Ok(Verified { report, ends, journal, versions })
}

async fn read_change(bucket: &Bucket, event: EventId, version: Option<String>) -> Result<Change> {
    match bucket.record(&event.object_key(), version).await? {
        Record::Change(change) => Ok(*change),
        Record::OutOfBand(_) => bail!("{} isn't a journal entry", event.object_key()),
    }
}

/// Fails unless the table is empty, isn't the live one, and has the keys and indexes of a products table.
async fn check_table(target: &Target, table: &Table) -> Result<()> {
    let describe = async |name: &str| {
        let response = table
            .client()
            .describe_table()
            .table_name(name)
            .send()
            .await
            .call("dynamodb:DescribeTable", format!("table {name}"));
        response.map(|response| response.table)
    };
    let name = table.name();
    let found = describe(name).await?;
    let found = found.with_context(|| format!("the description of table {name} is empty"))?;
    // The live table may not exist: this command can replace a lost one.
    let live = describe(&target.table).await.ok().flatten();
    let is_live = live.as_ref().and_then(|live| live.table_arn()) == found.table_arn() && found.table_arn().is_some();
    if name == target.table || is_live {
        bail!("table {name} is the live table; specify an empty one");
    }
    let keys: Vec<_> = found.key_schema().iter().map(|key| (key.attribute_name(), key.key_type().clone())).collect();
    if keys != [("PK", KeyType::Hash), ("SK", KeyType::Range)] {
        bail!("table {name} must have the keys PK and SK");
    }
    for index in ["ProductsByPriceIndex", "ProductsByNameIndex", "ProductsByCategoryIndex", "ProductsByChangeIndex"] {
        if !found.global_secondary_indexes().iter().any(|found| found.index_name() == Some(index)) {
            bail!("table {name} must have the index {index}");
        }
    }
    let first = table.client().scan().table_name(name).limit(1).consistent_read(true).send().await;
    if first.call("dynamodb:Scan", format!("table {name}"))?.count() > 0 {
        bail!("table {name} isn't empty");
    }
    Ok(())
}

/// Writes up to 25 items; unprocessed ones are retried with a growing delay.
async fn write(table: &Table, items: Vec<Item>) -> Result<()> {
    const MAX_ATTEMPTS: u32 = 12;
    let mut requests = Vec::with_capacity(items.len());
    for item in items {
        let put = PutRequest::builder().set_item(Some(item)).build().context("an item has no attributes")?;
        requests.push(WriteRequest::builder().put_request(put).build());
    }
    let mut attempt = 0;
    while !requests.is_empty() {
        if attempt == MAX_ATTEMPTS {
            bail!("table {} is throttled; empty it and start again", table.name());
        }
        if attempt > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(25 << attempt)).await;
        }
        let response = table
            .client()
            .batch_write_item()
            .request_items(table.name(), requests)
            .send()
            .await
            .call("dynamodb:BatchWriteItem", format!("table {}", table.name()))?;
        requests = response.unprocessed_items.unwrap_or_default().remove(table.name()).unwrap_or_default();
        attempt += 1;
    }
    Ok(())
}
