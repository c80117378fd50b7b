//! Items of the products table in DynamoDB's JSON, as product-creator stores them (`contracts/README.md`, "The table").

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

/// The output `list_shards` that the functions are configured with, as in the environments.
pub const SHARDS: u64 = 1;

/// The category of every product.
pub const CATEGORY: &str = "Lighting";

const HASH: &str = "88eff81503f77d68364258f0feeaf9727fdf5be153f9a8736b1d134a04da457b";
const FINGERPRINT: &str = "3cf7e7f32c620b89097b2efecf34070eea1aac568b10d748e6863cd608f9b1e4";
const MOMENT: &str = "2026-01-31T12:00:00.000Z";

/// An event ID of the moment above.
pub fn event_id(number: usize) -> String {
    format!("019c13ec-9e00-728a-83f3-{number:012}")
}

/// The SKU of a product.
pub fn sku(number: usize) -> String {
    format!("LAMP-{number}")
}

/// The name of a product. It is the same when it is folded, but for its first letter.
pub fn name(number: usize) -> String {
    format!("Desk lamp {number}")
}

/// A product item with the keys of every index. `price` in minor units.
pub fn product(id: &str, number: usize, price: u64) -> Value {
    let price_key = format!("EUR#{price:016}#{id}");
    let mut item = content(number, price);
    item["priceMinor"] = json!(price);
    if let Some(members) = item.as_object_mut() {
        members.remove("price");
        members.extend(object(json!({
            "PK": format!("PRODUCT#{id}"), "SK": "META",
            "GSI1_PK": format!("ACTIVE#{}", shard(id)), "GSI1_SK": price_key,
            "GSI2_PK": "NAME#de", "GSI2_SK": format!("{}\t{price_key}", name(number).to_lowercase()),
            "GSI3_PK": format!("CATEGORY#{}", CATEGORY.to_lowercase()),
            "GSI4_PK": format!("FEED#{}", shard(id)), "GSI4_SK": format!("{MOMENT}#{id}"),
            "recordedAt": MOMENT, "chainHash": HASH, "createEventId": event_id(number), "createFingerprint": FINGERPRINT,
        })));
        members.extend(object(added(id, number)));
    }
    attributes(&item)
}

/// What the change index projects of a product item.
pub fn feed_row(product: &Value) -> Value {
    let names = ["PK", "SK", "GSI4_PK", "GSI4_SK", "version", "status", "lastEventId"];
    Value::Object(names.into_iter().map(|name| (name.to_owned(), product[name].clone())).collect())
}

/// The claim of a product's SKU.
pub fn claim(id: &str, number: usize) -> Value {
    attributes(&json!({
        "PK": format!("SKU#{}", sku(number)), "SK": "CLAIM", "productId": id, "eventId": event_id(number),
    }))
}

/// The journal entry of a product's creation.
pub fn journal_entry(id: &str, number: usize, price: u64) -> Value {
    let mut after = content(number, price);
    if let Some(members) = after.as_object_mut() {
        members.extend(object(added(id, number)));
    }
    attributes(&json!({
        "PK": format!("PRODUCT#{id}"), "SK": format!("EVENT#{}", event_id(number)), "expiresAt": 1_777_636_800,
        "schemaVersion": 1, "recordType": "CHANGE", "type": "CREATE", "outcome": "APPLIED",
        "eventId": event_id(number), "productId": id, "version": 1, "occurredAt": MOMENT, "recordedAt": MOMENT,
        "actor": {"apiKeyId": "a1b2c3d4e5", "sourceIp": "203.0.113.7"}, "requestId": "bench",
        "fingerprint": FINGERPRINT, "after": after, "prevHash": "0".repeat(64), "hash": HASH,
    }))
}

fn content(number: usize, price: u64) -> Value {
    json!({
        "name": name(number), "price": format!("{}.{:02}", price / 100, price % 100), "currency": "EUR", "sku": sku(number),
        "description": "A lamp for the desk, with an arm that keeps its position.",
        "category": CATEGORY, "tags": ["desk", "lamp"], "attributes": {"colour": "blue", "width": "20 cm"},
    })
}

fn added(id: &str, number: usize) -> Value {
    json!({
        "productId": id, "status": "ACTIVE", "version": 1, "createdAt": MOMENT, "updatedAt": MOMENT,
        "lastEventId": event_id(number),
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// The shard of a product.
pub fn shard(id: &str) -> u64 {
    let digest = Sha256::digest(id.as_bytes());
    u64::from_be_bytes(std::array::from_fn(|place| digest[place])).checked_rem(SHARDS).unwrap_or_default()
}

/// An object's members as attributes.
pub fn attributes(object: &Value) -> Value {
    let members = object.as_object().into_iter().flatten();
    Value::Object(members.map(|(name, value)| (name.clone(), attribute(value))).collect())
}

fn attribute(value: &Value) -> Value {
    match value {
        Value::String(text) => json!({"S": text}),
        Value::Number(number) => json!({"N": number.to_string()}),
        Value::Bool(value) => json!({"BOOL": value}),
        Value::Null => json!({"NULL": true}),
        Value::Array(items) => json!({"L": items.iter().map(attribute).collect::<Vec<_>>()}),
        Value::Object(_) => json!({"M": attributes(value)}),
    }
}
