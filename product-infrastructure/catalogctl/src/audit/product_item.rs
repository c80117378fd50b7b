//! The table's items, made from audit records: byte for byte what product-creator wrote.
//!
//! Everything in a product item follows from the records of its chain: the product is the newest one's `after`,
//! `chainHash` its `hash`; `createEventId` and `createFingerprint` are the first one's; the index keys follow from the
//! product and the number of shards. A journal item is the record with its keys and its time to live.

use anyhow::{Context, Result, bail};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;

use super::chain::Chain;
use super::ids::{EventId, ProductId};
use super::json::{hex, sha256};
use super::record::{Change, minor_units};
use super::table::Item;

/// How long the table keeps a journal entry, in seconds.
pub const JOURNAL_SECONDS: u64 = 90 * 24 * 60 * 60;
/// Width of the price in an index key: the largest one has so many digits.
const PRICE_WIDTH: usize = 16;

/// The product item at the end of a chain. `newest` is the chain's last record; an error says what it lacks.
pub fn product_item(chain: &Chain, newest: &Change, shards: u64) -> Result<Item> {
    let product = newest.product_id;
    let Some((create_event, fingerprint)) = chain.created else {
        bail!("the beginning of the chain of product {product} is not there");
    };
    let mut members = newest.document["after"].as_object().cloned().context("an applied change has an `after`")?;
    let price = members.remove("price").unwrap_or_default();
    let units = minor_units(price.as_str().unwrap_or_default());
    let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, currency, status) = (text("name"), text("currency"), text("status"));

    let mut item: Item = serde_dynamo::to_item(members).context("a product cannot be an item")?;
    let mut set = |name: &str, value: String| item.insert(name.to_owned(), AttributeValue::S(value));
    set("PK", format!("PRODUCT#{product}"));
    set("SK", "META".to_owned());
    set("chainHash", hex(&chain.head.hash));
    set("createEventId", create_event.to_string());
    set("createFingerprint", hex(&fingerprint));
    if status == "ACTIVE" {
        set("GSI1_PK", format!("ACTIVE#{}", shard(product, shards)));
        set("GSI1_SK", format!("{currency}#{units:0>PRICE_WIDTH$}#{product}"));
        set("GSI2_PK", format!("NAME#{}", normalised(&name)));
    }
    item.insert("priceMinor".to_owned(), AttributeValue::N(units));
    Ok(item)
}

/// The journal item of a record.
pub fn journal_item(change: &Change) -> Result<Item> {
    let mut item: Item = serde_dynamo::to_item(&change.document).context("a journal entry cannot be an item")?;
    item.insert("PK".to_owned(), AttributeValue::S(format!("PRODUCT#{}", change.product_id)));
    item.insert("SK".to_owned(), AttributeValue::S(journal_key(change.event_id)));
    item.insert("expiresAt".to_owned(), AttributeValue::N(expires_at(change).to_string()));
    Ok(item)
}

/// Sort key of an event's journal item.
pub fn journal_key(event: EventId) -> String {
    format!("EVENT#{event}")
}

/// When DynamoDB removes the journal item, in seconds since 1970.
pub fn expires_at(change: &Change) -> u64 {
    change.recorded_at / 1_000 + JOURNAL_SECONDS
}

/// The first eight bytes of the SHA-256 of the id's text, big-endian, modulo the number of shards.
fn shard(product: ProductId, shards: u64) -> u64 {
    let digest = sha256(product.to_string());
    let first = digest[..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    first % shards.max(1)
}

/// The words of a name in lower case, one space between them.
fn normalised(name: &str) -> String {
    name.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_contracts_examples_of_keys() {
        let product = ProductId::parse("3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03").unwrap();
        assert_eq!(shard(product, 4), 0);
        assert_eq!(shard(product, 1), 0);
        assert_eq!(normalised("  Desk   LAMP"), "desk lamp");
        assert_eq!(normalised("ΟΔΟΣ Σ"), "οδος σ");
        assert_eq!(format!("{:0>PRICE_WIDTH$}", "1999"), "0000000000001999");
    }
}
