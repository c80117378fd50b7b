//! The table's items: what of them can be compared with the audit log.

use serde_json::{Map, Value};

use crate::finding::{Fault, Finding};
use crate::ids::{EventId, ProductId};
use crate::json::{digest, sha256, stored};
use crate::record::{millis, product_digest};
use crate::verification::{Claim, EntryFacts, ProductFacts};

/// An item's attributes as JSON.
pub type Item = Map<String, Value>;

/// Attributes of a product item that aren't members of the product.
const ONLY_STORED: [&str; 13] = [
    "PK",
    "SK",
    "GSI1_PK",
    "GSI1_SK",
    "GSI2_PK",
    "GSI2_SK",
    "GSI3_PK",
    "GSI4_PK",
    "GSI4_SK",
    "recordedAt",
    "chainHash",
    "createEventId",
    "createFingerprint",
];
/// Attributes of a journal item that aren't members of the entry.
const TABLE_ATTRIBUTES: [&str; 3] = ["PK", "SK", "expiresAt"];

/// An item of a kind that the contract knows.
#[derive(Debug)]
pub enum Known {
    Product(ProductId, ProductFacts),
    Entry(EventId, EntryFacts),
    /// The claim of a SKU.
    Claim(String, Claim),
}

/// Reads an item; `None` for an item of no known kind.
pub fn read(item: Value) -> Option<Result<Known, Finding>> {
    let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
    let (pk, sk) = (text("PK"), text("SK"));
    let broken = |what: &str| Finding::new(format!("{pk} {sk}"), Fault::Table, format!("the table's item {what}"));
    if let Some(sku) = pk.strip_prefix("SKU#") {
        let product = item["productId"].as_str().and_then(ProductId::parse);
        let event = item["eventId"].as_str().and_then(EventId::parse);
        return Some(match (product, event) {
            (Some(product), Some(event)) => Ok(Known::Claim(sku.to_owned(), Claim { product, event })),
            _ => Err(broken("must have productId and eventId")),
        });
    }
    let product = ProductId::parse(pk.strip_prefix("PRODUCT#")?);
    if sk != "META" && !sk.starts_with("EVENT#") {
        return None;
    }
    let Some(product) = product else { return Some(Err(broken("has a key without a product ID"))) };
    let known = match sk.strip_prefix("EVENT#") {
        None => product_facts(&item).map(|facts| Known::Product(product, facts)),
        Some(id) => entry_facts(product, id, item),
    };
    Some(known.ok_or_else(|| broken("lacks attributes or has invalid ones").of(product)))
}

fn product_facts(item: &Value) -> Option<ProductFacts> {
    let event = |name: &str| item[name].as_str().and_then(EventId::parse);
    let hash = |name: &str| item[name].as_str().and_then(digest);
    let members = item.as_object()?.iter().filter(|(name, _)| !ONLY_STORED.contains(&name.as_str()));
    let product = Value::Object(members.map(|(name, value)| (name.clone(), value.clone())).collect());
    Some(ProductFacts {
        version: item["version"].as_u64()?,
        last_event: event("lastEventId")?,
        chain_hash: hash("chainHash")?,
        product: product_digest(&product),
        created: (event("createEventId")?, hash("createFingerprint")?),
        sku: item["sku"].as_str().filter(|_| item["status"] == "ACTIVE").map(str::to_owned),
    })
}

fn entry_facts(product: ProductId, id: &str, item: Value) -> Option<Known> {
    let event = EventId::parse(id)?;
    let entry = entry(item);
    let recorded_at = entry["recordedAt"].as_str().and_then(millis)?;
    Some(Known::Entry(event, EntryFacts { product, digest: sha256(stored(&entry)), recorded_at, seen: false }))
}

/// The journal entry of a journal item.
pub fn entry(item: Value) -> Value {
    let mut entry = item;
    if let Some(members) = entry.as_object_mut() {
        members.retain(|name, _| !TABLE_ATTRIBUTES.contains(&name.as_str()));
    }
    entry
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const PRODUCT: &str = "3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03";
    const EVENT: &str = "019c13ec-9e00-728a-83f3-929b1085347a";

    fn product_item() -> Value {
        json!({
            "PK": format!("PRODUCT#{PRODUCT}"), "SK": "META", "productId": PRODUCT, "name": "Desk lamp", "priceMinor": 1_999,
            "currency": "EUR", "sku": "DL-7", "status": "ACTIVE", "version": 1, "createdAt": "2026-01-31T12:00:00.000Z",
            "updatedAt": "2026-01-31T12:00:00.000Z", "lastEventId": EVENT, "recordedAt": "2026-01-31T12:00:00.412Z",
            "chainHash": "a".repeat(64), "createEventId": EVENT, "createFingerprint": "b".repeat(64), "GSI1_PK": "ACTIVE#0",
            "GSI1_SK": "k", "GSI2_PK": "k", "GSI2_SK": "k", "GSI3_PK": "k", "GSI4_PK": "k", "GSI4_SK": "k",
        })
    }

    fn facts(item: Value) -> ProductFacts {
        match read(item) {
            Some(Ok(Known::Product(_, facts))) => facts,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn compares_product_without_attributes_that_only_the_table_has() {
        let record = json!({
            "productId": PRODUCT, "name": "Desk lamp", "price": "19.99", "currency": "EUR", "sku": "DL-7", "status": "ACTIVE",
            "version": 1, "createdAt": "2026-01-31T12:00:00.000Z", "updatedAt": "2026-01-31T12:00:00.000Z",
            "lastEventId": EVENT,
        });
        let found = facts(product_item());
        assert_eq!(found.product, product_digest(&record));
        assert_eq!((found.version, found.sku.as_deref()), (1, Some("DL-7")));
        let mut edited = product_item();
        edited["note"] = json!("by hand");
        assert_ne!(facts(edited).product, product_digest(&record), "an attribute of nobody's is a difference");
        let mut deleted = product_item();
        deleted["status"] = json!("DELETED");
        assert_eq!(facts(deleted).sku, None, "a deleted product holds no SKU");
    }

    #[test]
    fn reads_entry_and_claim() {
        let entry = json!({"PK": format!("PRODUCT#{PRODUCT}"), "SK": format!("EVENT#{EVENT}"), "expiresAt": 1,
            "recordedAt": "2026-01-31T12:00:00.412Z", "outcome": "APPLIED"});
        let Some(Ok(Known::Entry(event, facts))) = read(entry) else { panic!("an entry") };
        assert_eq!((event.to_string().as_str(), facts.recorded_at), (EVENT, 1_769_860_800_412));
        let bytes = b"{\"outcome\":\"APPLIED\",\"recordedAt\":\"2026-01-31T12:00:00.412Z\"}";
        assert_eq!(facts.digest, sha256(bytes), "of the object's bytes");
        let claim = json!({"PK": "SKU#a#b", "SK": "CLAIM", "productId": PRODUCT, "eventId": EVENT});
        let Some(Ok(Known::Claim(sku, claim))) = read(claim) else { panic!("a claim") };
        assert_eq!((sku.as_str(), claim.event.to_string().as_str()), ("a#b", EVENT));
    }

    #[test]
    fn reports_items_that_no_function_writes() {
        let mut without_hash = product_item();
        without_hash.as_object_mut().unwrap().remove("chainHash");
        for (item, named) in [
            (without_hash, format!("PRODUCT#{PRODUCT} META")),
            (json!({"PK": "PRODUCT#lamp", "SK": "META"}), "PRODUCT#lamp META".to_owned()),
            (json!({"PK": format!("PRODUCT#{PRODUCT}"), "SK": "EVENT#1"}), format!("PRODUCT#{PRODUCT} EVENT#1")),
            (json!({"PK": "SKU#1", "SK": "CLAIM"}), "SKU#1 CLAIM".to_owned()),
        ] {
            let Some(Err(finding)) = read(item) else { panic!("{named}") };
            assert_eq!((finding.object, finding.fault), (named, Fault::Table));
        }
        assert!(read(json!({"PK": format!("PRODUCT#{PRODUCT}"), "SK": "NOTE"})).is_none());
        assert!(read(json!({"PK": "OTHER#1", "SK": "META"})).is_none());
    }
}
