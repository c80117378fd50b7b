//! Catalogues with a history: journal entries, items and audit objects, byte for byte as product-creator and audit-logger write
//! them. Hashes are made with another implementation of RFC 8785 than the one under test.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use audit_log::ids::EventId;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use time::macros::format_description;

/// The output `list_shards` of the catalogues.
pub const SHARDS: u64 = 4;

pub const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// What a catalogue's table and bucket hold.
#[derive(Clone, Default)]
pub struct Catalogue {
    /// Journal entries in the order of their events.
    pub entries: Vec<Value>,
    /// Product items by product id, keys included.
    pub products: BTreeMap<String, Value>,
    /// SKU claims by SKU.
    pub claims: BTreeMap<String, Value>,
    pub out_of_band: Vec<Value>,
}

impl Catalogue {
    /// `products` products that are changed in turn, in `rounds` rounds within the last weeks.
    pub fn grown(products: u64, rounds: u64) -> Self {
        let mut catalogue = Self::default();
        let start = SystemTime::now() - Duration::from_secs(20 * 24 * 60 * 60);
        let mut moment = u64::try_from(start.duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap();
        for round in 0..rounds {
            for number in 0..products {
                moment += 5 * 60 * 60 * 1_000 + 1;
                catalogue.change(number, round, rounds, moment);
            }
        }
        for (number, cause) in ["MANUAL", "TTL", "MANUAL"].into_iter().enumerate() {
            catalogue.out_of_band.push(out_of_band(number, cause, moment - 48 * 60 * 60 * 1_000));
        }
        catalogue
    }

    fn change(&mut self, number: u64, round: u64, rounds: u64, moment: u64) {
        let id = product_id(number);
        let is_active = self.products.get(&id).is_none_or(|item| item["status"] == "ACTIVE");
        let last = round + 1 == rounds;
        let version = self.products.get(&id).map(|item| item["version"].clone());
        let unapplied = |kind: &str, outcome: &str, reason: Option<&str>| {
            let mut entry = entry(&id, kind, moment, &content(number, round + 100));
            entry["outcome"] = json!(outcome);
            if let Some(reason) = reason {
                entry["reason"] = json!(reason);
            }
            if reason == Some("PRECONDITION_FAILED") {
                entry["expectedVersion"] = json!(99);
            }
            entry["version"] = version.clone().unwrap();
            if outcome != "DUPLICATE" {
                entry["requested"] = json!({"product": content(number, round + 100)});
            }
            entry
        };
        let entry = match round {
            0 => return self.apply("CREATE", number, round, moment),
            _ if !is_active => unapplied("UPDATE", "REJECTED", Some("NOT_FOUND")),
            _ if number.is_multiple_of(3) && round + 2 == rounds => return self.apply("DELETE", number, round, moment),
            _ if last && number % 3 == 1 => unapplied("CREATE", "DUPLICATE", None),
            _ if round % 7 == 3 => unapplied("UPDATE", "REJECTED", Some("PRECONDITION_FAILED")),
            _ if round % 7 == 5 => unapplied("UPDATE", "SUPERSEDED", None),
            _ if round % 4 == 2 => return self.apply("PATCH", number, round, moment),
            _ => return self.apply("UPDATE", number, round, moment),
        };
        self.entries.push(entry);
    }

    /// An applied change, as product-creator commits it. `kind` is CREATE, UPDATE, PATCH or DELETE.
    pub fn apply(&mut self, kind: &str, number: u64, round: u64, moment: u64) {
        let id = product_id(number);
        let former = self.products.get(&id).cloned();
        let before = former.as_ref().map(document);
        let content = content(number, round);
        let patch = patch(number, round);
        let mut entry = entry(&id, if kind == "PATCH" { "UPDATE" } else { kind }, moment, &content);
        if kind == "PATCH" {
            entry["requested"] = json!({"patch": patch});
            entry["fingerprint"] = json!(sha256(&serde_json_canonicalizer::to_vec(&entry["requested"]).unwrap()));
        }
        let mut after = match kind {
            "DELETE" => before.clone().unwrap(),
            "PATCH" => patched(before.clone().unwrap(), &patch),
            _ => content,
        };
        after["productId"] = json!(id);
        after["status"] = json!(if kind == "DELETE" { "DELETED" } else { "ACTIVE" });
        after["version"] = json!(before.as_ref().map_or(1, |before| before["version"].as_u64().unwrap() + 1));
        after["createdAt"] = before.as_ref().map_or(entry["occurredAt"].clone(), |before| before["createdAt"].clone());
        after["updatedAt"] = entry["occurredAt"].clone();
        after["lastEventId"] = entry["eventId"].clone();
        entry["outcome"] = json!("APPLIED");
        entry["version"] = after["version"].clone();
        entry["prevHash"] = former.as_ref().map_or(json!(NO_HASH), |former| former["chainHash"].clone());
        if let Some(before) = before {
            entry["before"] = before;
        }
        entry["after"] = after;
        seal(&mut entry);
        let (create_event, create_fingerprint) = match &former {
            Some(former) => (former["createEventId"].clone(), former["createFingerprint"].clone()),
            None => (entry["eventId"].clone(), entry["fingerprint"].clone()),
        };
        let item = item(&entry, create_event, create_fingerprint);
        let sku = |item: &Value| item["sku"].as_str().filter(|_| item["status"] == "ACTIVE").map(str::to_owned);
        let (old, new) = (former.as_ref().and_then(sku), sku(&item));
        if old != new {
            old.map(|old| self.claims.remove(&old));
            if let Some(sku) = new {
                let claim =
                    json!({"PK": format!("SKU#{sku}"), "SK": "CLAIM", "productId": id, "eventId": entry["eventId"]});
                self.claims.insert(sku, claim);
            }
        }
        self.products.insert(id, item);
        self.entries.push(entry);
    }

    /// The bucket's objects.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        self.entries.iter().chain(&self.out_of_band).map(object).collect()
    }

    /// The table's product items and SKU claims.
    pub fn items(&self) -> Vec<Value> {
        self.products.values().chain(self.claims.values()).cloned().collect()
    }

    /// The table's journal items, with keys and time to live.
    pub fn journal(&self) -> Vec<Value> {
        let item = |entry: &Value| {
            let mut item = entry.clone();
            item["PK"] = json!(format!("PRODUCT#{}", entry["productId"].as_str().unwrap()));
            item["SK"] = json!(format!("EVENT#{}", entry["eventId"].as_str().unwrap()));
            let recorded = audit_log::record::millis(entry["recordedAt"].as_str().unwrap()).unwrap();
            item["expiresAt"] = json!(recorded / 1_000 + 90 * 24 * 60 * 60);
            item
        };
        self.entries.iter().map(item).collect()
    }
}

/// Key and bytes of a record.
pub fn object(record: &Value) -> (String, Vec<u8>) {
    if record["recordType"] == "OUT_OF_BAND" {
        let day = &record["observedAt"].as_str().unwrap()[..10];
        let (year, month, day) = (&day[..4], &day[5..7], &day[8..]);
        let name = record["streamEventId"].as_str().unwrap();
        let text = |name: &str| format!("\"{name}\":{}", stored(&record[name]));
        let members = ["schemaVersion", "recordType", "cause", "streamEventId", "changeType", "observedAt", "key"]
            .into_iter()
            .chain(["before", "after"].into_iter().filter(|name| record.get(name).is_some()))
            .map(text);
        let bytes = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
        return (format!("out-of-band/year={year}/month={month}/day={day}/{name}.json"), bytes.into_bytes());
    }
    let id = EventId::parse(record["eventId"].as_str().unwrap()).unwrap();
    (id.object_key(), stored(record).into_bytes())
}

/// serde_json sorts members by code point, as audit-logger has it do.
fn stored(value: &Value) -> String {
    value.to_string()
}

/// Makes an entry's hash.
pub fn seal(entry: &mut Value) {
    entry.as_object_mut().unwrap().remove("hash");
    entry["hash"] = json!(sha256(&serde_json_canonicalizer::to_vec(entry).unwrap()));
}

/// Makes an entry's fingerprint of the content of `after`; a PATCH becomes a PUT.
pub fn fingerprint(entry: &mut Value) {
    entry.as_object_mut().unwrap().remove("requested");
    let mut content = entry["after"].clone();
    for added in ["productId", "status", "version", "createdAt", "updatedAt", "lastEventId"] {
        content.as_object_mut().unwrap().remove(added);
    }
    entry["fingerprint"] = json!(sha256(&serde_json_canonicalizer::to_vec(&json!({"product": content})).unwrap()));
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn product_id(number: u64) -> String {
    format!("3f0c2f5e-8d1b-4c6a-9e57-{number:012x}")
}

/// An event id of a moment. Numbers tell ids of one moment apart.
pub fn event_id(moment: u64, number: u64) -> String {
    let time = format!("{moment:012x}");
    format!("{}-{}-7{:03x}-8000-{number:012x}", &time[..8], &time[8..], number % 0x1000)
}

pub fn timestamp(moment: u64) -> String {
    let form = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(moment) * 1_000_000).unwrap().format(form).unwrap()
}

/// A product's content, in every second round with all members.
fn content(number: u64, round: u64) -> Value {
    let (price, currency) = match number % 4 {
        0 => (format!("{round}.99"), "EUR"),
        1 => (format!("{}", 1_200 + round), "JPY"),
        2 => (format!("{round}.500"), "KWD"),
        _ => ("0.00".to_owned(), "CHF"),
    };
    let mut content = json!({"name": format!("Läm\u{1f4a1}  P {number}"), "price": price, "currency": currency});
    if round.is_multiple_of(2) {
        content["tags"] = json!(["sale", format!("round {round}")]);
        // The two orders of names differ here.
        content["attributes"] = json!({"\u{1f525}": "1", "\u{fb33}": "2", "colour": "\"red\"\n"});
        content["imageUrls"] = json!(["https://images.example/lamp.jpg"]);
        content["description"] = json!("A lamp.\n\tBright \\ \u{7f}");
        content["category"] = json!("  LÄMPS \u{df} ");
        content["sku"] = json!(format!("SKU-{number}-{}", round / 4));
    }
    content
}

/// A merge patch that adds, replaces, merges and removes members.
fn patch(number: u64, round: u64) -> Value {
    let sku = if round.is_multiple_of(8) { Value::Null } else { json!(format!("PATCHED-{number}-{round}")) };
    json!({"name": format!("Patched {round}"), "sku": sku, "tags": [], "attributes": {"colour": null, "size": "L"}})
}

/// The product's members after the patch. Written out for the members of [`patch`], not with the library under test.
fn patched(mut product: Value, patch: &Value) -> Value {
    let members = product.as_object_mut().unwrap();
    members.insert("name".to_owned(), patch["name"].clone());
    members.remove("tags");
    match &patch["sku"] {
        Value::Null => drop(members.remove("sku")),
        sku => drop(members.insert("sku".to_owned(), sku.clone())),
    }
    let mut attributes = members.remove("attributes").unwrap_or_else(|| json!({}));
    attributes.as_object_mut().unwrap().remove("colour");
    attributes["size"] = json!("L");
    members.insert("attributes".to_owned(), attributes);
    product
}

fn entry(id: &str, kind: &str, moment: u64, content: &Value) -> Value {
    let asked = if kind == "DELETE" { json!({}) } else { json!({"product": content}) };
    json!({
        "schemaVersion": 1,
        "recordType": "CHANGE",
        "eventId": event_id(moment, moment % 4_096),
        "type": kind,
        "productId": id,
        "occurredAt": timestamp(moment),
        "recordedAt": timestamp(moment + 412),
        "actor": {"apiKeyId": "a1b2c3d4e5", "sourceIp": "203.0.113.7"},
        "requestId": format!("request-{moment}"),
        "fingerprint": sha256(&serde_json_canonicalizer::to_vec(&asked).unwrap()),
    })
}

/// A product as a record shows it, of its item.
fn document(item: &Value) -> Value {
    let mut document = item.clone();
    let members = document.as_object_mut().unwrap();
    members.retain(|name, _| {
        let keys = ["PK", "SK", "chainHash", "createEventId", "createFingerprint", "recordedAt"];
        !name.starts_with("GSI") && !keys.contains(&name.as_str())
    });
    let minor = members.remove("priceMinor").unwrap().as_u64().unwrap();
    let price = match members["currency"].as_str().unwrap() {
        "JPY" => minor.to_string(),
        "KWD" => format!("{}.{:03}", minor / 1_000, minor % 1_000),
        _ => format!("{}.{:02}", minor / 100, minor % 100),
    };
    document["price"] = json!(price);
    document
}

/// The product item that an applied entry leaves.
fn item(entry: &Value, create_event: Value, create_fingerprint: Value) -> Value {
    let mut item = entry["after"].clone();
    let id = item["productId"].as_str().unwrap().to_owned();
    let price = item.as_object_mut().unwrap().remove("price").unwrap();
    let minor: u64 = price.as_str().unwrap().replace('.', "").parse().unwrap();
    item["priceMinor"] = json!(minor);
    item["PK"] = json!(format!("PRODUCT#{id}"));
    item["SK"] = json!("META");
    item["chainHash"] = entry["hash"].clone();
    item["createEventId"] = create_event;
    item["createFingerprint"] = create_fingerprint;
    let digest = Sha256::digest(id.as_bytes());
    let shard = u64::from_be_bytes(digest[..8].try_into().unwrap()) % SHARDS;
    if item["status"] == "ACTIVE" {
        let price_key = format!("{}#{minor:016}#{id}", item["currency"].as_str().unwrap());
        let name = folded(item["name"].as_str().unwrap());
        item["GSI1_PK"] = json!(format!("ACTIVE#{shard}"));
        item["GSI2_PK"] = json!(format!("NAME#{}", name.chars().take(2).collect::<String>()));
        item["GSI2_SK"] = json!(format!("{name}\t{price_key}"));
        item["GSI1_SK"] = json!(price_key);
        if let Some(category) = item.get("category").and_then(Value::as_str) {
            item["GSI3_PK"] = json!(format!("CATEGORY#{}", folded(category)));
        }
    }
    item["recordedAt"] = entry["recordedAt"].clone();
    item["GSI4_PK"] = json!(format!("FEED#{shard}"));
    item["GSI4_SK"] = json!(format!("{}#{id}", entry["recordedAt"].as_str().unwrap()));
    item
}

/// Canonical caseless folding of the names and categories above, written out.
fn folded(text: &str) -> String {
    let words: Vec<String> = text.split_whitespace().map(str::to_lowercase).collect();
    words.join(" ").replace('ä', "a\u{308}").replace('ß', "ss")
}

fn out_of_band(number: usize, cause: &str, moment: u64) -> Value {
    let key = json!({"PK": format!("PRODUCT#{}", product_id(0)), "SK": "NOTE"});
    let mut image = key.clone();
    image["number"] = json!(number as f64 + 0.5);
    json!({
        "schemaVersion": 1, "recordType": "OUT_OF_BAND", "cause": cause,
        "streamEventId": format!("{:032x}", number + 10), "changeType": "REMOVE",
        "observedAt": timestamp(moment + number as u64), "key": key, "before": image,
    })
}
