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
        let (partition, beginning) = name_index_keys(&name);
        set("GSI1_PK", json!(format!("ACTIVE#{shard}")));
        set("GSI2_PK", json!(partition));
        set("GSI2_SK", json!(format!("{beginning}{price_key}")));
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
    u64::from_be_bytes(std::array::from_fn(|place| digest[place])) % shards.max(1)
}

/// The name index's partition key of a folded name, and the beginning of the sort keys of all products with that name.
///
/// Names that are longer than a sort key holds can share both, so a reader compares the whole name.
pub fn name_index_keys(folded_name: &str) -> (String, String) {
    let first_two: String = folded_name.chars().take(2).collect();
    let kept = &folded_name[..folded_name.floor_char_boundary(MAX_NAME_BYTES)];
    (format!("NAME#{first_two}"), format!("{kept}\t"))
}

/// Canonical caseless folding (Unicode Standard §3.13, D145) with each run of whitespace collapsed to one space: two names
/// or categories are the same if their folded forms are.
pub fn folded(text: &str) -> String {
    let nfd = DecomposingNormalizerBorrowed::new_nfd();
    let folded = CaseMapper::new().fold_string(&nfd.normalize(text)).into_owned();
    let normalized = nfd.normalize(&folded);
    normalized.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Chains;
    use crate::record::check_entry;

    /// An entry of the golden examples.
    fn example(name: &str) -> Change {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/examples/journal-entry/valid");
        let text = std::fs::read_to_string(format!("{folder}/{name}.json")).unwrap();
        check_entry(name, serde_json::from_str(&text).unwrap()).unwrap()
    }

    /// The chain of these entries, and the last of them.
    fn chain(names: &[&str]) -> (Chain, Change) {
        let mut chains = Chains::new(true);
        let entries: Vec<Change> = names.iter().map(|name| example(name)).collect();
        for entry in &entries {
            assert_eq!(chains.follow(entry, None), [], "{names:?}");
        }
        let newest = entries.last().unwrap().clone();
        (chains.get(newest.product_id).unwrap().clone(), newest)
    }

    const FULL: [&str; 3] = ["full-1-create-applied", "full-2-update-applied", "full-3-update-applied-patch"];

    #[test]
    fn makes_item_of_active_product() {
        let (chain, newest) = chain(&FULL);
        let item = product_item(&chain, &newest, 1).unwrap();
        let (create, id) = (example(FULL[0]), newest.product_id);
        let price_key = format!("KWD#0000000000012000#{id}");
        for (attribute, expected) in [
            ("PK", json!(format!("PRODUCT#{id}"))),
            ("SK", json!("META")),
            ("GSI1_PK", json!("ACTIVE#0")),
            ("GSI1_SK", json!(price_key)),
            ("GSI2_PK", json!("NAME#cr")),
            ("GSI2_SK", json!(format!("cre\u{300}me bru\u{302}le\u{301}e set \u{1f36e}\t{price_key}"))),
            ("GSI4_PK", json!("FEED#0")),
            ("GSI4_SK", json!(format!("2026-02-01T09:30:00.092Z#{id}"))),
            ("recordedAt", json!("2026-02-01T09:30:00.092Z")),
            ("chainHash", newest.document["hash"].clone()),
            ("createEventId", json!(create.event_id)),
            ("createFingerprint", create.document["fingerprint"].clone()),
            ("priceMinor", json!(12_000)),
            ("version", json!(3)),
            ("sku", json!("CB-6/blue")),
        ] {
            assert_eq!(item[attribute], expected, "{attribute}");
        }
        assert!(!item.contains_key("price"), "the table has the price in minor units only");
        assert!(!item.contains_key("GSI3_PK"), "the patch removed the category");
        let before = chain_before_last();
        assert_eq!(before["GSI3_PK"], "CATEGORY#kitchen");
    }

    /// The item before the last entry of `FULL`.
    fn chain_before_last() -> Item {
        let (chain, newest) = chain(&FULL[..2]);
        product_item(&chain, &newest, 4).unwrap()
    }

    #[test]
    fn makes_tombstone_without_keys_of_active_products() {
        let (chain, newest) = chain(&["life-1-create-applied", "life-4-update-applied", "life-7-delete-applied"]);
        let item = product_item(&chain, &newest, 1).unwrap();
        assert_eq!((&item["status"], &item["GSI4_PK"]), (&json!("DELETED"), &json!("FEED#0")));
        for attribute in ["GSI1_PK", "GSI1_SK", "GSI2_PK", "GSI2_SK", "GSI3_PK"] {
            assert!(!item.contains_key(attribute), "{attribute}");
        }
        assert_eq!(sku_claim(&chain, newest.product_id), Ok(None));
    }

    #[test]
    fn claim_names_the_change_that_took_the_sku() {
        let (chain, newest) = chain(&FULL);
        let claim = sku_claim(&chain, newest.product_id).unwrap().unwrap();
        let expected = json!({
            "PK": "SKU#CB-6/blue", "SK": "CLAIM", "productId": newest.product_id, "eventId": example(FULL[0]).event_id,
        });
        assert_eq!(Value::Object(claim), expected);
    }

    #[test]
    fn makes_nothing_without_the_beginning_or_a_valid_price() {
        let (middle, newest) = chain(&FULL[1..]);
        assert_eq!(product_item(&middle, &newest, 1), Err(NoItem::NoBeginning(newest.product_id)));
        assert_eq!(sku_claim(&middle, newest.product_id), Err(NoItem::NoBeginning(newest.product_id)));
        let (whole, mut newest) = chain(&FULL);
        newest.document["after"]["price"] = json!("12.00");
        assert_eq!(product_item(&whole, &newest, 1), Err(NoItem::NoPrice(newest.product_id)));
        newest.document["after"] = json!("lost");
        assert_eq!(product_item(&whole, &newest, 1), Err(NoItem::NoProduct(newest.product_id)));
    }

    #[test]
    fn cuts_long_name_at_a_character() {
        let (chain, mut newest) = chain(&FULL);
        // One byte, then characters that fold to three of two bytes each.
        newest.document["after"]["name"] = json!(format!("x{}", "\u{390}".repeat(199)));
        let item = product_item(&chain, &newest, 1).unwrap();
        let name = item["GSI2_SK"].as_str().unwrap().split('\t').next().unwrap().to_owned();
        assert_eq!(name.len(), 899);
    }

    #[test]
    fn journal_item_expires_after_ninety_days() {
        let entry = example(FULL[2]);
        let item = journal_item(&entry);
        assert_eq!(item["SK"], format!("EVENT#{}", entry.event_id));
        assert_eq!(item["expiresAt"], 1_769_938_200 + 90 * 24 * 60 * 60);
        assert_eq!(item["hash"], entry.document["hash"]);
    }

    #[test]
    fn keys_match_the_contracts_examples() {
        let product = ProductId::parse("3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03").unwrap();
        assert_eq!((shard(product, 4), shard(product, 31), shard(product, 1_000)), (0, 23, 648));
        assert_eq!(shard(product, 1), 0);
        assert_eq!(folded("  Desk   LAMP"), "desk lamp");
        assert_eq!(folded("ΟΔΟΣ Σ"), "οδοσ σ");
        assert_eq!(folded("Straße"), folded("STRASSE"));
        assert_eq!(format!("{:0>PRICE_WIDTH$}", "1999"), "0000000000001999");
    }
}
