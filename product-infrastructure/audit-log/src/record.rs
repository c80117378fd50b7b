//! One object of the audit bucket, checked by itself: its key, bytes, schema and hash, and that its members agree with each
//! other. What takes two objects to see is in [`crate::chain`].
//!
//! A record that breaks its schema is still followed in its chain as far as it can be read: its content may have been admitted
//! by mistake, and its neighbours must not look as if they were altered.

use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::finding::{Fault, Finding};
use crate::ids::{EventId, ProductId, date_of, day_folder};
use crate::json::{Digest, canonical, digest, sha256, stored};

/// A record that could be read.
#[derive(Debug, Clone)]
pub enum Record {
    Change(Box<Change>),
    OutOfBand(Box<OutOfBand>),
}

/// A journal entry: the outcome of one change event.
#[derive(Debug, Clone)]
pub struct Change {
    pub event_id: EventId,
    pub product_id: ProductId,
    /// The product's version after the change; `None` without a product.
    pub version: Option<u64>,
    /// When the change was decided, in milliseconds since 1970.
    pub recorded_at: u64,
    /// SHA-256 of the object's bytes.
    pub digest: Digest,
    /// `None` unless the change was applied.
    pub link: Option<Link>,
    /// How the record breaks its schema.
    pub form: Option<Finding>,
    pub document: Value,
}

/// An applied change's link in its product's chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub hash: Digest,
    pub prev_hash: Digest,
    pub version: u64,
    pub fingerprint: Digest,
    /// Digest of the product before, and the change that had made it; `None` for a CREATE.
    pub before: Option<(Digest, EventId)>,
    /// Digest of the product after.
    pub after: Digest,
    /// The SKU that the product holds afterwards, if it is active, and whether this change took it.
    pub sku: Option<(String, bool)>,
}

/// A change of the table that was made outside the API.
#[derive(Debug, Clone)]
pub struct OutOfBand {
    /// The item's product, if its key names one.
    pub product_id: Option<ProductId>,
    /// DynamoDB removed the item because it had expired.
    pub by_ttl: bool,
    /// In milliseconds since 1970.
    pub observed_at: u64,
    /// How the record breaks its schema.
    pub form: Option<Finding>,
    pub document: Value,
}

impl Record {
    pub fn product_id(&self) -> Option<ProductId> {
        match self {
            Self::Change(change) => Some(change.product_id),
            Self::OutOfBand(change) => change.product_id,
        }
    }

    pub fn document(&self) -> &Value {
        match self {
            Self::Change(change) => &change.document,
            Self::OutOfBand(change) => &change.document,
        }
    }

    /// How the record breaks its schema.
    pub fn form(&self) -> Option<&Finding> {
        match self {
            Self::Change(change) => change.form.as_ref(),
            Self::OutOfBand(change) => change.form.as_ref(),
        }
    }

    /// The object's bytes: one line of JSON.
    pub fn line(&self) -> String {
        match self {
            Self::Change(change) => stored(&change.document),
            Self::OutOfBand(change) => stored_out_of_band(&change.document),
        }
    }

    /// When it happened, in milliseconds since 1970; of a change, the time in its event ID.
    pub fn millis(&self) -> u64 {
        match self {
            Self::Change(change) => change.event_id.millis(),
            Self::OutOfBand(change) => change.observed_at,
        }
    }
}

/// The record that a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ObjectKey<'a> {
    Event(EventId),
    OutOfBand(&'a str),
}

fn parse_key(key: &str) -> Result<ObjectKey<'_>, Finding> {
    let foreign = |why: &str| Finding::new(key, Fault::Foreign, why);
    let name = key.rsplit('/').next().and_then(|name| name.strip_suffix(".json"));
    let name = name.ok_or_else(|| foreign("audit records have keys that end in .json"))?;
    if key.starts_with("out-of-band/") {
        return Ok(ObjectKey::OutOfBand(name));
    }
    if !key.starts_with("events/") {
        return Err(foreign("audit records are in events/ and out-of-band/ only"));
    }
    let id = EventId::parse(name).ok_or_else(|| foreign("the file name isn't an event ID"))?;
    if id.object_key() != key {
        return Err(foreign(&format!("the event ID is of another day; its record belongs under {}", id.object_key())));
    }
    Ok(ObjectKey::Event(id))
}

/// Reads and checks an object. The error is the first thing that is wrong, unless the record can be followed all the same:
/// then it is the record's `form`.
pub fn check(key: &str, bytes: &[u8]) -> Result<Record, Finding> {
    let expected = parse_key(key)?;
    let document: Value = serde_json::from_slice(bytes).map_err(|error| {
        Finding::new(key, Fault::Unreadable, format!("invalid JSON ({} bytes): {error}", bytes.len()))
    })?;
    let record = match document["recordType"].as_str() {
        Some("CHANGE") => Record::Change(Box::new(change(key, document, bytes)?)),
        Some("OUT_OF_BAND") => Record::OutOfBand(Box::new(out_of_band(key, document, bytes)?)),
        _ => return Err(Finding::new(key, Fault::Unreadable, "/recordType must be CHANGE or OUT_OF_BAND")),
    };
    match (&record, expected) {
        (Record::Change(change), ObjectKey::Event(id)) if change.event_id == id => Ok(record),
        (Record::OutOfBand(change), ObjectKey::OutOfBand(name)) if change.document["streamEventId"] == name => {
            let folder = day_folder("out-of-band", date_of(change.observed_at));
            let right = format!("{folder}/{name}.json");
            if key == right { Ok(record) } else { Err(misplaced(key, &right)) }
        }
        (Record::Change(change), _) => Err(misplaced(key, &change.event_id.object_key()).of(change.product_id)),
        (Record::OutOfBand(_), _) => Err(misplaced(key, "another key")),
    }
}

/// Checks a journal entry of any source, such as the table.
pub fn check_entry(key: &str, document: Value) -> Result<Change, Finding> {
    let bytes = stored(&document).into_bytes();
    change(key, document, &bytes)
}

fn misplaced(key: &str, right: &str) -> Finding {
    Finding::new(key, Fault::Key, format!("its record belongs under {right}"))
}

fn change(key: &str, document: Value, bytes: &[u8]) -> Result<Change, Finding> {
    let violation = violation_of(&JOURNAL_ENTRY, &document);
    // Without these, it isn't known in which chain the record belongs, or whether in any.
    let identity = || {
        Some((
            document["productId"].as_str().and_then(ProductId::parse)?,
            document["eventId"].as_str().and_then(EventId::parse)?,
            document["recordedAt"].as_str().and_then(millis)?,
            document["outcome"].as_str().filter(|outcome| OUTCOMES.contains(outcome))?,
        ))
    };
    let Some((product_id, event_id, recorded_at, outcome)) = identity() else {
        let why = violation.unwrap_or_else(|| "productId, eventId, recordedAt or outcome is missing".to_owned());
        return Err(Finding::new(key, Fault::Unreadable, why));
    };
    let found = |(fault, why)| Finding::new(key, fault, why).of(product_id);
    if stored(&document).as_bytes() != bytes {
        return Err(found((Fault::Bytes, OTHER_BYTES.to_owned())));
    }
    let form = violation.map(|violation| found((Fault::Schema, violation)));
    let link = if outcome == "APPLIED" {
        Some(link(&document).map_err(found)?)
    } else {
        requested(&document).map_err(found)?;
        None
    };
    let version = document["version"].as_u64();
    Ok(Change { event_id, product_id, version, recorded_at, digest: sha256(bytes), link, form, document })
}

const OUTCOMES: [&str; 4] = ["APPLIED", "DUPLICATE", "REJECTED", "SUPERSEDED"];

type Wrong = (Fault, String);

/// SHA-256 of a value's canonical JSON.
fn hash_of(value: &Value) -> Result<Digest, Wrong> {
    canonical(value).map(sha256).map_err(|error| (Fault::Hash, format!("the hash can't be computed: {error}")))
}

/// `/{name}` as a digest.
fn digest_member(document: &Value, name: &str) -> Result<Digest, Wrong> {
    let found = document[name].as_str().and_then(digest);
    found.ok_or_else(|| (Fault::Hash, format!("/{name} must be a SHA-256 in hexadecimal")))
}

/// Checks that the fingerprint of a change that wasn't applied is that of what it requested.
fn requested(document: &Value) -> Result<(), Wrong> {
    match document.get("requested") {
        Some(requested) if hash_of(requested)? != digest_member(document, "fingerprint")? => {
            Err((Fault::Content, "fingerprint isn't that of `requested`".to_owned()))
        }
        _ => Ok(()),
    }
}

/// An applied entry's link in the chain, if hash and content are right.
fn link(document: &Value) -> Result<Link, Wrong> {
    let member = |name: &str| digest_member(document, name);
    let (hash, prev_hash, fingerprint) = (member("hash")?, member("prevHash")?, member("fingerprint")?);
    let mut hashed = document.clone();
    hashed.as_object_mut().map(|members| members.remove("hash"));
    if hash_of(&hashed)? != hash {
        return Err((Fault::Hash, "the hash isn't that of the content: the record was altered".to_owned()));
    }
    consistent(document).map_err(|why| (Fault::Content, why))?;
    // What the fingerprint is of: the patch as it was requested, or the content that became the product's.
    let requested = match (document.get("requested"), document["type"].as_str()) {
        (Some(requested), _) => requested.clone(),
        (None, Some("DELETE")) => json!({}),
        (None, _) => json!({"product": content(&document["after"])}),
    };
    if hash_of(&requested)? != fingerprint {
        return Err((Fault::Content, "fingerprint isn't that of the requested content".to_owned()));
    }
    if let Some(patch) = requested.get("patch")
        && merged(&document["before"], patch) != content(&document["after"])
    {
        return Err((Fault::Content, "`after` isn't `before` merged with the patch".to_owned()));
    }
    let before = match document.get("before") {
        Some(before) => {
            let event = before["lastEventId"].as_str().and_then(EventId::parse);
            let event = event.ok_or_else(|| (Fault::Content, "/before/lastEventId must be an event ID".to_owned()))?;
            Some((product_digest(before), event))
        }
        None => None,
    };
    let after = product_digest(&document["after"]);
    let version = document["version"].as_u64().unwrap_or_default();
    let sku = document["after"]["sku"].as_str().filter(|_| document["after"]["status"] == "ACTIVE");
    let sku = sku.map(|sku| (sku.to_owned(), document["before"]["sku"] != sku));
    Ok(Link { hash, prev_hash, version, fingerprint, before, after, sku })
}

/// The content after a JSON Merge Patch (RFC 7396), without arrays and objects that it left empty.
fn merged(before: &Value, patch: &Value) -> Value {
    let mut merged = content(before);
    json_patch::merge(&mut merged, patch);
    if let Some(members) = merged.as_object_mut() {
        members.retain(|_, value| match value {
            Value::Array(items) => !items.is_empty(),
            Value::Object(members) => !members.is_empty(),
            _ => true,
        });
    }
    merged
}

/// The rules of "APPLIED makes a product …" in `contracts/README.md`, for one entry.
fn consistent(entry: &Value) -> Result<(), String> {
    let after = &entry["after"];
    let equal = |what: &str, one: &Value, other: &Value| {
        if one == other { Ok(()) } else { Err(format!("{what} differ")) }
    };
    equal("after.productId and productId", &after["productId"], &entry["productId"])?;
    equal("after.lastEventId and eventId", &after["lastEventId"], &entry["eventId"])?;
    equal("after.version and version", &after["version"], &entry["version"])?;
    equal("after.updatedAt and occurredAt", &after["updatedAt"], &entry["occurredAt"])?;
    let Some(before) = entry.get("before") else {
        return equal("after.createdAt and occurredAt", &after["createdAt"], &entry["occurredAt"]);
    };
    equal("before.productId and productId", &before["productId"], &entry["productId"])?;
    equal("before.createdAt and after.createdAt", &before["createdAt"], &after["createdAt"])?;
    let id = |value: &Value| value.as_str().and_then(EventId::parse);
    if id(&before["lastEventId"]) >= id(&entry["eventId"]) {
        return Err("before.lastEventId must be below eventId".to_owned());
    }
    if let Some(expected) = entry.get("expectedVersion") {
        equal("expectedVersion and before.version", expected, &before["version"])?;
    }
    if entry["type"] == "DELETE" && content(before) != content(after) {
        return Err("a DELETE must keep the product's content".to_owned());
    }
    let number = |product: &Value| product["version"].as_u64().unwrap_or_default();
    if number(after) != number(before) + 1 {
        return Err(format!("after.version is {}; expected before.version + 1, {}", number(after), number(before) + 1));
    }
    Ok(())
}

/// Digest of a product. It is the same for a price as a decimal string, as in a record, and in minor units, as in the table.
pub fn product_digest(product: &Value) -> Digest {
    let mut members = product.as_object().cloned().unwrap_or_default();
    if let Some(price) = members.remove("price") {
        members.insert("priceMinor".to_owned(), minor_units(price.as_str().unwrap_or_default()).into());
    } else if let Some(Value::Number(units)) = members.get("priceMinor") {
        let units = units.to_string();
        members.insert("priceMinor".to_owned(), units.into());
    }
    sha256(stored(&Value::Object(members)))
}

/// Whether a product's price has exactly the decimals of its currency. Only then do its digits give the minor units.
pub fn is_priced(product: &Value) -> bool {
    PRICED.is_valid(&json!({"price": product["price"], "currency": product["currency"]}))
}

/// The minor units of a price with all its decimals: its digits without point and leading zeros.
pub fn minor_units(price: &str) -> String {
    let digits = price.replace('.', "");
    match digits.trim_start_matches('0') {
        "" => "0".to_owned(),
        significant => significant.to_owned(),
    }
}

/// The price that a number of minor units is, with all decimals of its currency: 1999 EUR is `19.99`. `None` if the contract has
/// no such price.
pub fn decimal(minor_units: u64, currency: &str) -> Option<String> {
    const DECIMALS: [usize; 4] = [0, 2, 3, 4];
    let with = |decimals: usize| {
        let digits = format!("{minor_units:0>width$}", width = decimals + 1);
        let (whole, fraction) = digits.split_at(digits.len() - decimals);
        if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") }
    };
    let prices = DECIMALS.into_iter().map(with);
    prices.into_iter().find(|price| is_priced(&json!({"price": price, "currency": currency})))
}

/// A product's content: the members that a client sets.
fn content(product: &Value) -> Value {
    const ADDED: [&str; 6] = ["productId", "status", "version", "createdAt", "updatedAt", "lastEventId"];
    let members = product.as_object().cloned().unwrap_or_default();
    Value::Object(members.into_iter().filter(|(name, _)| !ADDED.contains(&name.as_str())).collect())
}

fn out_of_band(key: &str, document: Value, bytes: &[u8]) -> Result<OutOfBand, Finding> {
    let violation = violation_of(&OUT_OF_BAND, &document);
    let Some(observed_at) = document["observedAt"].as_str().and_then(millis) else {
        let why = violation.unwrap_or_else(|| "observedAt is missing".to_owned());
        return Err(Finding::new(key, Fault::Unreadable, why));
    };
    if stored_out_of_band(&document).as_bytes() != bytes {
        return Err(Finding::new(key, Fault::Bytes, OTHER_BYTES));
    }
    let product_id = document["key"]["PK"].as_str().and_then(|pk| ProductId::parse(pk.strip_prefix("PRODUCT#")?));
    Ok(OutOfBand {
        product_id,
        by_ttl: document["cause"] == "TTL",
        observed_at,
        form: violation.map(|violation| Finding::new(key, Fault::Schema, violation)),
        document,
    })
}

/// An out-of-band record as audit-logger writes it: its members in the contract's order, those of items sorted by name.
pub fn stored_out_of_band(document: &Value) -> String {
    const ORDER: [&str; 9] =
        ["schemaVersion", "recordType", "cause", "streamEventId", "changeType", "observedAt", "key", "before", "after"];
    let members: Vec<String> =
        ORDER.into_iter().filter_map(|name| Some(format!("\"{name}\":{}", stored(document.get(name)?)))).collect();
    format!("{{{}}}", members.join(","))
}

/// Milliseconds since 1970 of a timestamp (RFC 3339).
pub fn millis(text: &str) -> Option<u64> {
    let moment = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    u64::try_from(moment.unix_timestamp_nanos() / 1_000_000).ok()
}

// Each kind of record has its own validator, so that a violation is about this kind and not about both.
static JOURNAL_ENTRY: LazyLock<Validator> = LazyLock::new(|| validator(json!({"$ref": "#/$defs/journalEntry"})));
static OUT_OF_BAND: LazyLock<Validator> = LazyLock::new(|| validator(json!({"$ref": "#/$defs/outOfBand"})));
static PRICED: LazyLock<Validator> = LazyLock::new(|| {
    let price = json!({"price": {"$ref": "#/$defs/price"}});
    validator(json!({"$ref": "#/$defs/minorDigits", "properties": price, "required": ["price", "currency"]}))
});

/// A validator that uses definitions of the audit record's schema.
fn validator(mut schema: Value) -> Validator {
    let whole: Value = serde_json::from_str(include_str!("../../contracts/audit-record.schema.json"))
        .expect("the contract's schema is JSON");
    for member in ["$schema", "$defs"] {
        schema[member] = whole[member].clone();
    }
    jsonschema::options().should_validate_formats(true).build(&schema).expect("the contract's schema is a JSON Schema")
}

const OTHER_BYTES: &str = "audit-logger writes this content in other bytes";

fn violation_of(validator: &Validator, document: &Value) -> Option<String> {
    validator.iter_errors(document).next().map(|error| violation(&error))
}

/// Where and how a document breaks its schema, without the value.
pub fn violation(error: &jsonschema::ValidationError<'_>) -> String {
    let path = error.instance_path().to_string();
    let path = if path.is_empty() { "/".to_owned() } else { path };
    let how: String = error.masked_with("the value").to_string().chars().take(200).collect();
    format!("{path}: {how}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Verdict;
    use crate::json::hex;
    use std::path::Path;

    #[test]
    fn minor_units_become_decimals_of_their_currency() {
        for (units, currency, expected) in [
            (1_999, "EUR", Some("19.99")),
            (5, "EUR", Some("0.05")),
            (0, "EUR", Some("0.00")),
            (1_200, "JPY", Some("1200")),
            (12_500, "KWD", Some("12.500")),
            (10_001, "CLF", Some("1.0001")),
            (99_999_999_999_999, "EUR", Some("999999999999.99")),
            (100_000_000_000_000, "EUR", None),
        ] {
            let price = decimal(units, currency);
            assert_eq!(price.as_deref(), expected, "{units} {currency}");
            assert!(price.is_none_or(|price| minor_units(&price) == units.to_string()), "{units} {currency}");
        }
    }

    #[test]
    fn patch_leaves_nothing_empty() {
        let before =
            serde_json::json!({"name": "Lamp", "version": 1, "tags": ["new"], "attributes": {"colour": "red"}});
        let patch = serde_json::json!({"tags": [], "attributes": {"colour": null}});
        assert_eq!(merged(&before, &patch), serde_json::json!({"name": "Lamp"}));
        let patch = serde_json::json!({"attributes": {"size": "L"}});
        let expected =
            serde_json::json!({"name": "Lamp", "tags": ["new"], "attributes": {"colour": "red", "size": "L"}});
        assert_eq!(merged(&before, &patch), expected);
    }

    /// The golden examples, as audit-logger writes them.
    fn examples(folder: &str) -> Vec<(String, Value)> {
        let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/examples")).join(folder);
        let mut examples: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .map(|path| {
                let name = path.file_stem().unwrap().to_string_lossy().into_owned();
                (name, serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
            })
            .collect();
        examples.sort_by(|(one, _): &(String, Value), (other, _)| one.cmp(other));
        assert!(!examples.is_empty());
        examples
    }

    fn object(document: &Value) -> (String, Vec<u8>) {
        if document["recordType"] == "OUT_OF_BAND" {
            let observed = millis(document["observedAt"].as_str().unwrap()).unwrap();
            let folder = day_folder("out-of-band", date_of(observed));
            let key = format!("{folder}/{}.json", document["streamEventId"].as_str().unwrap());
            return (key, stored_out_of_band(document).into_bytes());
        }
        let id = EventId::parse(document["eventId"].as_str().unwrap()).unwrap();
        (id.object_key(), stored(document).into_bytes())
    }

    #[test]
    fn accepts_each_golden_example() {
        for folder in ["journal-entry/valid", "audit-record/valid"] {
            for (name, document) in examples(folder) {
                let (key, bytes) = object(&document);
                let record = check(&key, &bytes).unwrap_or_else(|finding| panic!("{name}: {finding}"));
                assert_eq!(record.document(), &document, "{name}");
                assert_eq!(record.line().as_bytes(), bytes, "{name}");
                assert!(record.product_id().is_some() && record.millis() > 1_700_000_000_000, "{name}");
            }
        }
    }

    #[test]
    fn rejects_each_invalid_example() {
        for folder in ["journal-entry/invalid", "audit-record/invalid"] {
            for (name, document) in examples(folder) {
                let bytes = serde_json::to_vec(&document).unwrap();
                let id = document["eventId"].as_str().and_then(EventId::parse);
                let key = id.map_or_else(|| "out-of-band/year=2026/x.json".to_owned(), EventId::object_key);
                assert!(finding(&key, &bytes).is_some(), "{name}");
            }
        }
    }

    /// What is wrong with an object.
    fn finding(key: &str, bytes: &[u8]) -> Option<Finding> {
        match check(key, bytes) {
            Ok(record) => record.form().cloned(),
            Err(finding) => Some(finding),
        }
    }

    fn fault(key: &str, bytes: &[u8]) -> Fault {
        finding(key, bytes).unwrap().fault
    }

    #[test]
    fn each_key_belongs_to_one_record() {
        let entries = examples("journal-entry/valid");
        let (key, bytes) = object(&entries[0].1);
        let (other_key, _) = object(&entries[1].1);
        assert_eq!(fault(&other_key, &bytes), Fault::Key);
        let (name, day) = (key.rsplit('/').next().unwrap(), "events/year=2026/month=03/day=01");
        assert_eq!(fault(&format!("{day}/{name}"), &bytes), Fault::Foreign);
        for key in ["events/notes.txt", "events/year=2026/month=01/day=31/x.json", "copy/x.json", "x"] {
            assert_eq!(fault(key, &bytes), Fault::Foreign, "{key}");
        }
        let out_of_band = examples("audit-record/valid").into_iter().find(|(name, _)| name.contains("ttl")).unwrap().1;
        let (right, content) = object(&out_of_band);
        assert_eq!(fault(&right.replace("/day=01/", "/day=02/"), &content), Fault::Key);
        assert_eq!(fault(&right.replace(".json", "0.json"), &content), Fault::Key);
        assert_eq!(fault(&right, &bytes), Fault::Key, "a change among the out-of-band records");
        assert_eq!(fault(&key, &content), Fault::Key, "an out-of-band record among the changes");
    }

    #[test]
    fn detects_same_content_in_other_bytes() {
        for (_, document) in examples("audit-record/valid") {
            let (key, bytes) = object(&document);
            let text = String::from_utf8(bytes).unwrap();
            for other in [format!("{text}\n"), text.replacen(':', ": ", 1), text.replacen("{\"", "{\"\\u0", 1)] {
                assert!(matches!(fault(&key, other.as_bytes()), Fault::Bytes | Fault::Unreadable), "{other}");
            }
            let twice = text.replacen('{', "{\"schemaVersion\":1,", 1);
            assert_eq!(fault(&key, twice.as_bytes()), Fault::Bytes);
            assert_eq!(fault(&key, &text.as_bytes()[..text.len() - 1]), Fault::Unreadable);
        }
    }

    /// Makes the hash right again after a change of the content.
    fn rehash(document: &mut Value) {
        document.as_object_mut().unwrap().remove("hash");
        let hash = serde_json_canonicalizer::to_vec(document).unwrap();
        document["hash"] = json!(crate::json::hex(&sha256(hash)));
    }

    #[test]
    fn detects_contradicting_members_under_a_valid_hash() {
        let update = examples("journal-entry/valid").into_iter().find(|(name, _)| name.contains("life-4")).unwrap().1;
        type Change = fn(&mut Value);
        let changes: [(&str, Change); 8] = [
            ("before.lastEventId", |entry| entry["before"]["lastEventId"] = entry["eventId"].clone()),
            ("after.version", |entry| entry["after"]["version"] = json!(7)),
            ("after.lastEventId", |entry| entry["after"]["lastEventId"] = entry["before"]["lastEventId"].clone()),
            ("after.updatedAt", |entry| entry["after"]["updatedAt"] = json!("2026-01-31T12:00:00.001Z")),
            ("createdAt", |entry| entry["before"]["createdAt"] = json!("2026-01-31T12:00:00.001Z")),
            ("productId", |entry| entry["productId"] = json!("3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c04")),
            ("fingerprint", |entry| entry["after"]["name"] = json!("Another name")),
            ("version", |entry| entry["before"]["version"] = json!(5)),
        ];
        for (what, change) in changes {
            let mut altered = update.clone();
            change(&mut altered);
            let (key, bytes) = object(&altered);
            assert_eq!(fault(&key, &bytes), Fault::Hash, "{what}");
            rehash(&mut altered);
            let (key, bytes) = object(&altered);
            let finding = check(&key, &bytes).unwrap_err();
            assert_eq!(finding.fault, Fault::Content, "{what}");
            assert!(finding.why.contains(what), "{what}: {}", finding.why);
        }
    }

    #[test]
    fn detects_delete_that_changes_the_content() {
        let mut entry =
            examples("journal-entry/valid").into_iter().find(|(name, _)| name.contains("life-7")).unwrap().1;
        entry["after"]["name"] = json!("Another name");
        rehash(&mut entry);
        let (key, bytes) = object(&entry);
        assert!(check(&key, &bytes).unwrap_err().why.contains("DELETE"));
    }

    #[test]
    fn violation_names_member_without_value() {
        let mut entry =
            examples("journal-entry/valid").into_iter().find(|(name, _)| name.contains("life-4")).unwrap().1;
        entry["requestId"] = json!({"a": "secret"});
        rehash(&mut entry);
        let (key, bytes) = object(&entry);
        let finding = finding(&key, &bytes).unwrap();
        assert!(finding.why.starts_with("/requestId: "), "{}", finding.why);
        assert!(!finding.why.contains("secret"), "{}", finding.why);
    }

    #[test]
    fn keeps_place_of_record_that_breaks_its_schema() {
        let mut entry = named("life-4");
        entry["after"]["imageUrls"] = json!(["http://x.example/"]);
        let (key, bytes) = object(&entry);
        assert_eq!(fault(&key, &bytes), Fault::Hash, "an altered record is altered, whatever its form");
        entry["fingerprint"] = json!(hex(&hash_of(&json!({"product": content(&entry["after"])})).unwrap()));
        rehash(&mut entry);
        let (key, bytes) = object(&entry);
        let record = check(&key, &bytes).expect("hash and content agree");
        let form = record.form().expect("the URL isn't https");
        assert_eq!((form.fault, form.verdict), (Fault::Schema, Verdict::Form));
        assert!(form.product_id.is_some() && form.why.starts_with("/after/imageUrls/0: "), "{form}");

        let (_, mut edit) =
            examples("audit-record/valid").into_iter().find(|(name, _)| name.contains("manual")).unwrap();
        edit["cause"] = json!("ANOTHER");
        let (key, bytes) = object(&edit);
        let record = check(&key, &bytes).expect("it has its key");
        assert_eq!(record.form().map(|form| form.verdict), Some(Verdict::Form));
    }

    #[test]
    fn rejects_object_without_identity() {
        for member in ["eventId", "productId", "recordedAt", "recordType", "outcome"] {
            let mut entry = named("life-4");
            let (key, _) = object(&entry);
            entry.as_object_mut().unwrap().remove(member);
            let finding = check(&key, stored(&entry).as_bytes()).unwrap_err();
            assert_eq!((finding.fault, finding.verdict), (Fault::Unreadable, Verdict::Integrity), "{member}");
            assert!(finding.why.contains(member), "{member}: {}", finding.why);
        }
        let (_, mut edit) =
            examples("audit-record/valid").into_iter().find(|(name, _)| name.contains("manual")).unwrap();
        let (key, _) = object(&edit);
        edit.as_object_mut().unwrap().remove("observedAt");
        assert_eq!(check(&key, stored_out_of_band(&edit).as_bytes()).unwrap_err().fault, Fault::Unreadable);
    }

    #[test]
    fn merges_patch_again() {
        let mut entry = named("life-4");
        entry["before"]["tags"] = json!(["sale"]);
        let mut after = entry["before"].clone();
        after.as_object_mut().unwrap().remove("tags");
        for member in ["price", "version", "updatedAt", "lastEventId"] {
            after[member] = entry["after"][member].clone();
        }
        entry["requested"] = json!({"patch": {"price": after["price"], "tags": []}});
        entry["after"] = after;
        entry["fingerprint"] = json!(hex(&hash_of(&entry["requested"]).unwrap()));
        rehash(&mut entry);
        let (key, bytes) = object(&entry);
        assert_eq!(finding(&key, &bytes), None);

        let (mut other_result, mut other_request) = (entry.clone(), entry);
        other_result["after"]["name"] = json!("Another name");
        other_request["requested"]["patch"]["price"] = json!("0.01");
        for (mut altered, why) in [(other_result, "merged with the patch"), (other_request, "fingerprint")] {
            rehash(&mut altered);
            let (key, bytes) = object(&altered);
            let finding = check(&key, &bytes).unwrap_err();
            assert_eq!(finding.fault, Fault::Content);
            assert!(finding.why.contains(why), "{}", finding.why);
        }
    }

    #[test]
    fn compares_fingerprint_of_unapplied_request() {
        let mut checked = 0;
        for (name, mut entry) in examples("journal-entry/valid") {
            let Some(kind) = ["product", "patch"].into_iter().find(|kind| entry["requested"][*kind].is_object()) else {
                continue;
            };
            if entry["outcome"] == "APPLIED" {
                continue;
            }
            entry["requested"][kind]["name"] = json!("Another name");
            let (key, bytes) = object(&entry);
            assert_eq!(check(&key, &bytes).expect_err(&name).fault, Fault::Content, "{name}");
            checked += 1;
        }
        assert!(checked >= 4, "{checked}");
    }

    #[test]
    fn requires_decimals_of_currency() {
        for (price, currency, expected) in [
            ("19.99", "EUR", true),
            ("19.9", "EUR", false),
            ("1200", "JPY", true),
            ("1200", "EUR", false),
            ("12.500", "KWD", true),
            ("1e3", "JPY", false),
        ] {
            assert_eq!(is_priced(&json!({"price": price, "currency": currency})), expected, "{price} {currency}");
        }
        assert!(!is_priced(&json!({"currency": "EUR"})));
    }

    fn named(part: &str) -> Value {
        examples("journal-entry/valid").into_iter().find(|(name, _)| name.contains(part)).unwrap().1
    }

    #[test]
    fn product_digest_is_the_same_for_both_price_forms() {
        for (price, minor) in [("19.99", "1999"), ("0.05", "5"), ("0.00", "0"), ("1200", "1200"), ("12.500", "12500")] {
            assert_eq!(minor_units(price), minor);
            let units: u64 = minor.parse().unwrap();
            let (text, number) = (json!({"price": price, "a": 1}), json!({"a": 1, "priceMinor": units}));
            assert_eq!(product_digest(&text), product_digest(&number));
        }
    }

    #[test]
    fn rejects_applied_change_without_computable_hash() {
        let mut entry = named("life-4");
        entry["version"] = serde_json::from_str("2.0").unwrap();
        let (key, bytes) = object(&entry);
        let finding = check(&key, &bytes).unwrap_err();
        assert_eq!(finding.fault, Fault::Hash);
        assert!(finding.why.contains("can't be computed"), "{}", finding.why);
        for member in ["hash", "prevHash", "fingerprint"] {
            let mut entry = named("life-4");
            entry[member] = json!("0");
            let (key, bytes) = object(&entry);
            assert_eq!(check(&key, &bytes).unwrap_err().fault, Fault::Hash, "{member}");
        }
    }
}
