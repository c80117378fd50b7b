//! The products table, as far as it can be compared with the audit log: products, SKU claims and the last 90 days' journal.

use std::collections::HashMap;

use anyhow::Result;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use crate::aws::CallContext;
use crate::progress::Meter;
use audit_log::finding::{Fault, Finding};
use audit_log::ids::{EventId, ProductId};
use audit_log::product_item::{folded, name_index_keys};
use audit_log::table_item::{self, Known};
use audit_log::verification::{Claim, EntryFacts, ProductFacts, TableFacts};

/// An item, attribute by attribute.
pub type Item = HashMap<String, AttributeValue>;

/// Segments of a parallel scan.
const SEGMENTS: i32 = 4;

/// A products table.
#[derive(Debug, Clone)]
pub struct Table {
    client: Client,
    name: String,
}

impl Table {
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into() }
    }

    /// Passes each item of the table to `take`, in no particular order. Scans the whole table.
    pub async fn scan(&self, meter: &Meter, mut take: impl FnMut(Item)) -> Result<()> {
        let mut pages = stream::iter(0..SEGMENTS)
            .map(|segment| {
                self.client
                    .scan()
                    .table_name(&self.name)
                    .segment(segment)
                    .total_segments(SEGMENTS)
                    .consistent_read(true)
                    .into_paginator()
                    .items()
                    .send()
            })
            .map(|items| stream::unfold(items, |mut items| async { Some((items.next().await?, items)) }).boxed())
            .flatten_unordered(None);
        let mut read = 0_u64;
        while let Some(item) = pages.try_next().await.call("dynamodb:Scan", self.resource())? {
            read += 1;
            if read.is_multiple_of(100) {
                meter.now(format!("{read} items"));
            }
            take(item);
        }
        Ok(())
    }

    /// The facts of the whole table.
    pub async fn facts(&self, meter: &Meter) -> Result<TableFacts> {
        let mut facts = TableFacts::default();
        self.scan(meter, |item| match read(item) {
            Some(Ok(Known::Product(product, known))) => {
                facts.products.insert(product, known);
            }
            Some(Ok(Known::Entry(event, entry))) => {
                facts.journal.insert(event, entry);
            }
            Some(Ok(Known::Claim(sku, claim))) => {
                facts.claims.insert(sku, claim);
            }
            Some(Err(finding)) => facts.findings.push(finding),
            None => {}
        })
        .await?;
        Ok(facts)
    }

    /// A product's current item, and its journal after an event.
    pub async fn product(
        &self,
        product: ProductId,
        after: Option<EventId>,
    ) -> Result<(Option<ProductFacts>, Vec<(EventId, EntryFacts)>)> {
        let item = self.item(product, "META").await?;
        let facts = item.and_then(read).and_then(|known| match known {
            Ok(Known::Product(_, facts)) => Some(facts),
            _ => None,
        });
        let after = after.map_or_else(|| "EVENT#".to_owned(), |event| format!("EVENT#{event}"));
        let items: Vec<Item> = self
            .client
            .query()
            .table_name(&self.name)
            .key_condition_expression("PK = :product AND SK BETWEEN :after AND :end")
            .expression_attribute_values(":product", AttributeValue::S(format!("PRODUCT#{product}")))
            .expression_attribute_values(":after", AttributeValue::S(after))
            // '$' is the character after '#'.
            .expression_attribute_values(":end", AttributeValue::S("EVENT$".to_owned()))
            .consistent_read(true)
            .into_paginator()
            .items()
            .send()
            .try_collect()
            .await
            .call("dynamodb:Query", self.resource())?;
        let entries = items.into_iter().filter_map(read).filter_map(|known| match known {
            Ok(Known::Entry(event, entry)) => Some((event, entry)),
            _ => None,
        });
        Ok((facts, entries.collect()))
    }

    /// The claim of a SKU, strongly consistent.
    pub async fn claim(&self, sku: &str) -> Result<Option<Claim>> {
        let item = self.get(format!("SKU#{sku}"), "CLAIM").await?;
        Ok(item.and_then(read).and_then(|known| match known {
            Ok(Known::Claim(_, claim)) => Some(claim),
            _ => None,
        }))
    }

    /// The active products whose folded name is this one, at most `limit`, in the order of their prices. Eventually consistent,
    /// as every index is.
    pub async fn named(&self, folded_name: &str, limit: usize) -> Result<Vec<Value>> {
        let (partition, beginning) = name_index_keys(folded_name);
        let mut items = self
            .client
            .query()
            .table_name(&self.name)
            .index_name("ProductsByNameIndex")
            .key_condition_expression("GSI2_PK = :partition AND begins_with(GSI2_SK, :beginning)")
            .expression_attribute_values(":partition", AttributeValue::S(partition))
            .expression_attribute_values(":beginning", AttributeValue::S(beginning))
            .into_paginator()
            .items()
            .send();
        let mut named = Vec::new();
        while named.len() < limit
            && let Some(item) = items.try_next().await.call("dynamodb:Query", self.resource())?
        {
            let product = document(item)?;
            if product["name"].as_str().is_some_and(|name| folded(name) == folded_name) {
                named.push(product);
            }
        }
        Ok(named)
    }

    /// One item of a product, strongly consistent.
    pub async fn item(&self, product: ProductId, sk: &str) -> Result<Option<Item>> {
        self.get(format!("PRODUCT#{product}"), sk).await
    }

    async fn get(&self, pk: String, sk: &str) -> Result<Option<Item>> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.name)
            .key("PK", AttributeValue::S(pk))
            .key("SK", AttributeValue::S(sk.to_owned()))
            .consistent_read(true)
            .send()
            .await
            .call("dynamodb:GetItem", self.resource())?;
        Ok(answer.item)
    }

    fn resource(&self) -> String {
        format!("table {}", self.name)
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn client(&self) -> &Client {
        &self.client
    }
}

/// Reads an item; `None` for an item of no known kind.
fn read(item: Item) -> Option<Result<Known, Finding>> {
    let keys = ["PK", "SK"].map(|name| item.get(name).and_then(|value| value.as_s().ok()).cloned().unwrap_or_default());
    match document(item) {
        Ok(document) => table_item::read(document),
        Err(error) => Some(Err(Finding::new(keys.join(" "), Fault::Table, format!("malformed item: {error}")))),
    }
}

/// An item's attributes as JSON.
pub fn document(item: Item) -> Result<Value, serde_dynamo::Error> {
    serde_dynamo::from_item(item)
}
