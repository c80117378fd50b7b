//! The table's items, made from audit records: byte for byte what product-creator wrote.
//!
//! Everything in a product item follows from the records of its chain: the product is the newest one's `after`,
//! `chainHash` its `hash`; `createEventId` and `createFingerprint` are the first one's; the index keys follow from the
//! product and the number of shards. A journal item is the record with its keys and its time to live.

use serde_json::{Value, json};

use crate::chain::Chain;
use crate::ids::{EventId, ProductId};
use crate::json::{hex, sha256};
use crate::record::{Change, minor_units};
use crate::table_item::Item;

/// How long the table keeps a journal entry, in seconds.
pub const JOURNAL_SECONDS: u64 = 90 * 24 * 60 * 60;
/// Width of the price in an index key: the largest one has so many digits.
const PRICE_WIDTH: usize = 16;

/// Why a record gives no item.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoItem {
    #[error("the beginning of the chain of product {0} is missing")]
    NoBeginning(ProductId),
    #[error("the newest record of product {0} has no product in it")]
    NoProduct(ProductId),
}

/// The product item at the end of a chain. `newest` is the chain's last record.
pub fn product_item(chain: &Chain, newest: &Change, shards: u64) -> Result<Item, NoItem> {
    let product = newest.product_id;
    let (create_event, fingerprint) = chain.created.ok_or(NoItem::NoBeginning(product))?;
    let mut item = newest.document["after"].as_object().cloned().ok_or(NoItem::NoProduct(product))?;
    let price = item.remove("price").unwrap_or_default();
    let units = minor_units(price.as_str().unwrap_or_default());
    let number: u64 = units.parse().map_err(|_| NoItem::NoProduct(product))?;
    let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, currency, status) = (text("name"), text("currency"), text("status"));

    let mut set = |name: &str, value: Value| item.insert(name.to_owned(), value);
    set("PK", json!(format!("PRODUCT#{product}")));
    set("SK", json!("META"));
    set("chainHash", json!(hex(&chain.head.hash)));
    set("createEventId", json!(create_event));
    set("createFingerprint", json!(hex(&fingerprint)));
    if status == "ACTIVE" {
        set("GSI1_PK", json!(format!("ACTIVE#{}", shard(product, shards))));
        set("GSI1_SK", json!(format!("{currency}#{units:0>PRICE_WIDTH$}#{product}")));
        set("GSI2_PK", json!(format!("NAME#{}", normalised(&name))));
    }
    set("priceMinor", json!(number));
    Ok(item)
}

/// The journal item of a record.
pub fn journal_item(change: &Change) -> Item {
    let mut item = change.document.as_object().cloned().unwrap_or_default();
    item.insert("PK".to_owned(), json!(format!("PRODUCT#{}", change.product_id)));
    item.insert("SK".to_owned(), json!(journal_key(change.event_id)));
    item.insert("expiresAt".to_owned(), json!(expires_at(change)));
    item
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
