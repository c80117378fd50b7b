//! The table's items, read for what the audit log says about the same products.

use serde_json::{Map, Value};

use crate::finding::{Fault, Finding};
use crate::ids::{EventId, ProductId};
use crate::json::{digest, sha256, stored};
use crate::record::{millis, product_digest};
use crate::verification::{EntryFacts, ProductFacts};

/// An item's attributes as JSON: strings, whole numbers, lists and maps.
pub type Item = Map<String, Value>;

/// Attributes of a product item beside the product's own.
const ONLY_STORED: [&str; 8] =
    ["PK", "SK", "GSI1_PK", "GSI1_SK", "GSI2_PK", "chainHash", "createEventId", "createFingerprint"];
/// Attributes of a journal item beside the entry's own.
const TABLE_ATTRIBUTES: [&str; 3] = ["PK", "SK", "expiresAt"];

/// What an item is.
#[derive(Debug)]
pub enum Known {
    Product(ProductId, ProductFacts),
    Entry(EventId, EntryFacts),
}

/// Reads an item; `None` for one that is neither product nor journal entry.
pub fn read(item: Value) -> Option<Result<Known, Finding>> {
    let text = |name: &str| item[name].as_str().unwrap_or_default().to_owned();
    let (pk, sk) = (text("PK"), text("SK"));
    let product = ProductId::parse(pk.strip_prefix("PRODUCT#")?);
    let broken = |what: &str| Finding::new(format!("{pk} {sk}"), Fault::Table, format!("the table's item {what}"));
    if sk != "META" && !sk.starts_with("EVENT#") {
        return None;
    }
    let Some(product) = product else { return Some(Err(broken("has a key that names no product"))) };
    let known = match sk.strip_prefix("EVENT#") {
        None => product_facts(&item).map(|facts| Known::Product(product, facts)),
        Some(id) => entry_facts(product, id, item),
    };
    Some(known.ok_or_else(|| broken("lacks members, or has some that cannot be").of(product)))
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
    })
}

fn entry_facts(product: ProductId, id: &str, item: Value) -> Option<Known> {
    let event = EventId::parse(id)?;
    let entry = entry(item);
    let recorded_at = entry["recordedAt"].as_str().and_then(millis)?;
    Some(Known::Entry(event, EntryFacts { product, digest: sha256(stored(&entry)), recorded_at, seen: false }))
}

/// A journal item without the attributes that only the table has: the journal entry.
pub fn entry(item: Value) -> Value {
    let mut entry = item;
    if let Some(members) = entry.as_object_mut() {
        members.retain(|name, _| !TABLE_ATTRIBUTES.contains(&name.as_str()));
    }
    entry
}
