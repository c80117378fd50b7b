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
