//! The table's items, made from audit records: byte for byte as product-creator wrote them.
//!
//! A product item follows from the records of its chain and the number of shards; a journal item is the record with its keys
//! and its time to live; a SKU claim follows from the end of the chain. The formats are in `contracts/README.md`.

use icu_casemap::CaseMapper;
use icu_normalizer::DecomposingNormalizerBorrowed;

use serde_json::{Value, json};

use crate::chain::Chain;
use crate::ids::{EventId, ProductId};
use crate::json::{hex, sha256};
use crate::record::{Change, is_priced, minor_units};
use crate::table_item::Item;

/// Seconds for which the table keeps a journal entry: 90 days.
pub const JOURNAL_SECONDS: u64 = 90 * 24 * 60 * 60;
/// Digits of the price in an index key: the number of digits of the largest price.
const PRICE_WIDTH: usize = 16;
/// Bytes of a folded name in an index key.
const MAX_NAME_BYTES: usize = 900;

/// Why an item can't be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoItem {
    #[error("product {0}: the beginning of its chain is missing")]
    NoBeginning(ProductId),
    #[error("product {0}: its newest record has no valid product")]
    NoProduct(ProductId),
    #[error("product {0}: its newest record has a price without the decimals of its currency")]
    NoPrice(ProductId),
}

/// The product item of a chain. `newest` is the chain's last record; `shards` the output `list_shards`.
pub fn product_item(chain: &Chain, newest: &Change, shards: u64) -> Result<Item, NoItem> {
    let product = newest.product_id;
    let (create_event, fingerprint) = chain.created.ok_or(NoItem::NoBeginning(product))?;
    let mut item = newest.document["after"].as_object().cloned().ok_or(NoItem::NoProduct(product))?;
    if !is_priced(&newest.document["after"]) {
        return Err(NoItem::NoPrice(product));
    }
    let price = item.remove("price").unwrap_or_default();
    let units = minor_units(price.as_str().unwrap_or_default());
    let number: u64 = units.parse().map_err(|_| NoItem::NoProduct(product))?;
    let text = |name: &str| item.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (name, currency, status) = (folded(&text("name")), text("currency"), text("status"));
    let category = item.get("category").and_then(Value::as_str).map(folded);
    let recorded_at = newest.document["recordedAt"].as_str().ok_or(NoItem::NoProduct(product))?.to_owned();

    let mut set = |name: &str, value: Value| item.insert(name.to_owned(), value);
    set("PK", json!(format!("PRODUCT#{product}")));
    set("SK", json!("META"));
    set("chainHash", json!(hex(&chain.head.hash)));
    set("createEventId", json!(create_event));
    set("createFingerprint", json!(hex(&fingerprint)));
    let shard = shard(product, shards);
    if status == "ACTIVE" {
        let price_key = format!("{currency}#{units:0>PRICE_WIDTH$}#{product}");
        let first_two: String = name.chars().take(2).collect();
        let name = &name[..name.floor_char_boundary(MAX_NAME_BYTES)];
        set("GSI1_PK", json!(format!("ACTIVE#{shard}")));
        set("GSI2_PK", json!(format!("NAME#{first_two}")));
        set("GSI2_SK", json!(format!("{name}\t{price_key}")));
        set("GSI1_SK", json!(price_key));
        if let Some(category) = category {
            set("GSI3_PK", json!(format!("CATEGORY#{category}")));
        }
    }
    set("GSI4_PK", json!(format!("FEED#{shard}")));
    set("GSI4_SK", json!(format!("{recorded_at}#{product}")));
    set("recordedAt", json!(recorded_at));
    set("priceMinor", json!(number));
    Ok(item)
}

/// The claim of an active product's SKU. Fails when the change that took the SKU isn't known.
pub fn sku_claim(chain: &Chain, product: ProductId) -> Result<Option<Item>, NoItem> {
    let Some((sku, event)) = &chain.sku else { return Ok(None) };
    let event = event.ok_or(NoItem::NoBeginning(product))?;
    let claim = json!({"PK": format!("SKU#{sku}"), "SK": "CLAIM", "productId": product, "eventId": event});
    Ok(claim.as_object().cloned())
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

/// The first eight bytes of the SHA-256 of the ID, big-endian, modulo the number of shards.
fn shard(product: ProductId, shards: u64) -> u64 {
    let digest = sha256(product.to_string());
    let first = digest[..8].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    first % shards.max(1)
}

/// Canonical caseless folding (Unicode Standard §3.13, D145) with each run of whitespace collapsed to one space.
fn folded(text: &str) -> String {
    let nfd = DecomposingNormalizerBorrowed::new_nfd();
    let folded = CaseMapper::new().fold_string(&nfd.normalize(text)).into_owned();
    let normalized = nfd.normalize(&folded);
    normalized.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_match_the_contracts_examples() {
        let product = ProductId::parse("3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03").unwrap();
        assert_eq!(shard(product, 4), 0);
        assert_eq!(shard(product, 1), 0);
        assert_eq!(folded("  Desk   LAMP"), "desk lamp");
        assert_eq!(folded("ΟΔΟΣ Σ"), "οδοσ σ");
        assert_eq!(folded("Straße"), folded("STRASSE"));
        assert_eq!(format!("{:0>PRICE_WIDTH$}", "1999"), "0000000000001999");
    }
}
