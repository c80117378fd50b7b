//! Why a message was set aside. SQS does not say; so the message is read once more, with the contract's schemas, and what
//! it asks for is looked for in the table or the bucket.

use std::fmt;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::audit_bucket::{Body, Bucket};
use crate::products_table::Table;
use audit_log::ids::{EventId, ProductId};
use audit_log::json::{canonical, hex, sha256, stored};
use audit_log::record::violation;
use audit_log::table_item::entry;

/// The form of change event that product-creator reads.
const SCHEMA_VERSION: u64 = 1;

/// What kind of failure it was, and with it whether it helps to send the message again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It can never be read: sent again, it fails again.
    Unreadable,
    /// Of a form that this version does not know: to be sent again to a consumer that does.
    UnknownVersion,
    /// Read, and it breaks the contract.
    Invalid,
    /// It can be read, and what it asks for has not been done: it kept failing.
    KeptFailing,
    /// What it asks for has been done all the same: sent again, it changes nothing.
    AlreadyProcessed,
    /// The bucket has another record in its place. Sent again, it fails again; it must be looked at.
    Conflict,
    /// Says where changes are in the stream, and is no change itself.
    Position,
}

impl Kind {
    /// Whether the consumer can take it as it is.
    pub fn is_hopeful(self) -> bool {
        matches!(self, Self::KeptFailing | Self::AlreadyProcessed)
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Unreadable => "UNREADABLE",
            Self::UnknownVersion => "UNKNOWN_VERSION",
            Self::Invalid => "INVALID",
            Self::KeptFailing => "KEPT_FAILING",
            Self::AlreadyProcessed => "ALREADY_PROCESSED",
            Self::Conflict => "CONFLICT",
            Self::Position => "POSITION",
        })
    }
}

/// Why a message was set aside, as far as it can be said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    pub kind: Kind,
    pub reason: String,
    /// What the reason was found out from.
    pub known_from: &'static str,
    /// What the message is about, for people.
    pub about: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<ProductId>,
}

impl Diagnosis {
    fn new(kind: Kind, reason: impl Into<String>, known_from: &'static str) -> Self {
        Self { kind, reason: reason.into(), known_from, about: String::new(), event_id: None, product_id: None }
    }

    fn about(self, about: impl Into<String>) -> Self {
        Self { about: about.into(), ..self }
    }
}

const BODY: &str = "the body";

/// A message that product-creator could not deal with. Looks into the table's journal.
pub async fn of_change(body: &str, table: &Table) -> Diagnosis {
    let event = match read_change(body) {
        Ok(event) => event,
        Err(diagnosis) => return *diagnosis,
    };
    let (event_id, product_id) = (id(&event["eventId"]), event["productId"].as_str().and_then(ProductId::parse));
    let (Some(event_id), Some(product_id)) = (event_id, product_id) else {
        return Diagnosis::new(Kind::Invalid, "eventId or productId cannot be read", BODY);
    };
    let known = match table.item(product_id, &format!("EVENT#{event_id}")).await {
        Ok(Some(item)) => {
            let outcome = item.get("outcome").and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
            let reason = format!("it was handled all the same: the journal has it as {outcome}");
            Diagnosis::new(Kind::AlreadyProcessed, reason, "the table's journal")
        }
        Ok(None) => Diagnosis::new(
            Kind::KeptFailing,
            "readable: it kept failing, e.g. because the table was throttled or refused; product-creator's log has the \
             cause under this message's id",
            "the body is valid, and the table's journal does not have it",
        ),
        Err(error) => {
            let reason = format!("readable: it kept failing; whether it was handled since cannot be seen ({error:#})");
            Diagnosis::new(Kind::KeptFailing, reason, "the body is valid")
        }
    };
    Diagnosis { about: about(&event), event_id: Some(event_id), product_id: Some(product_id), ..known }
}

/// Reads a change event as product-creator does, by its schema and its fingerprint.
fn read_change(body: &str) -> Result<Value, Box<Diagnosis>> {
    let event: Value = serde_json::from_str(body)
        .map_err(|error| Box::new(Diagnosis::new(Kind::Unreadable, format!("not JSON: {error}"), BODY)))?;
    if !event.is_object() {
        return Err(Box::new(Diagnosis::new(
            Kind::Unreadable,
            "not a change event: the body isn't a JSON object",
            BODY,
        )));
    }
    let invalid = |kind, reason: String| Err(Box::new(Diagnosis::new(kind, reason, BODY).about(about(&event))));
    if let Some(version) = event.get("schemaVersion").filter(|version| version.as_u64() != Some(SCHEMA_VERSION)) {
        let reason = format!("schemaVersion {version} is not known; {SCHEMA_VERSION} is");
        return invalid(Kind::UnknownVersion, reason);
    }
    let violations: Vec<String> = CHANGE_EVENT.iter_errors(&event).map(|error| violation(&error)).collect();
    if !violations.is_empty() {
        return invalid(Kind::Invalid, format!("invalid: {}", violations.join("; ")));
    }
    let fingerprint = canonical(&requested(&event)).map(|text| hex(&sha256(text)));
    if fingerprint.as_deref() != Ok(event["fingerprint"].as_str().unwrap_or_default()) {
        return invalid(Kind::Invalid, "invalid: /fingerprint is not that of the content".to_owned());
    }
    Ok(event)
}

/// What `fingerprint` is of: the event's product or patch; of a DELETE, an empty object.
fn requested(event: &Value) -> Value {
    let members = ["product", "patch"].into_iter().filter_map(|name| Some((name.to_owned(), event.get(name)?.clone())));
    Value::Object(members.collect())
}

static CHANGE_EVENT: LazyLock<Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(include_str!("../../../contracts/change-event.schema.json"));
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema.expect("the contract's schema is JSON"))
        .expect("the contract's schema is a JSON Schema")
});

/// What a change event is about, whatever is wrong with it.
fn about(event: &Value) -> String {
    let part = |name: &str| event[name].as_str().map(|text| text.chars().take(64).collect::<String>());
    let kind = part("type").unwrap_or_else(|| "something".to_owned());
    match (part("productId"), part("eventId")) {
        (Some(product), Some(event)) => format!("{kind} of product {product}, event {event}"),
        (Some(product), None) => format!("{kind} of product {product}"),
        _ => String::new(),
    }
}

fn id(value: &Value) -> Option<EventId> {
    value.as_str().and_then(EventId::parse)
}

/// A message that audit-logger could not deal with. Looks into the bucket.
pub async fn of_stream_record(body: &str, bucket: &Bucket) -> Diagnosis {
    let read: Value = match serde_json::from_str(body) {
        Ok(value) => value,
        Err(error) => return Diagnosis::new(Kind::Unreadable, format!("not JSON: {error}"), BODY),
    };
    let records = match read {
        Value::Array(records) => records,
        record => vec![record],
    };
    let mut worst = None;
    for record in &records {
        let diagnosis = of_one_record(record, bucket).await;
        if !diagnosis.kind.is_hopeful() {
            return diagnosis;
        }
        if diagnosis.kind == Kind::KeptFailing || worst.is_none() {
            worst = Some(diagnosis);
        }
    }
    worst.unwrap_or_else(|| Diagnosis::new(Kind::AlreadyProcessed, "it holds no record at all", BODY))
}

async fn of_one_record(record: &Value, bucket: &Bucket) -> Diagnosis {
    if let Some(member) = missing_member(record) {
        return Diagnosis::new(
            Kind::Invalid,
            format!("no stream record: {member} is missing or of another type"),
            BODY,
        );
    }
    let name = record["eventName"].as_str().unwrap_or_default();
    let keys = &record["dynamodb"]["Keys"];
    let (pk, sk) = (keys["PK"]["S"].as_str().unwrap_or_default(), keys["SK"]["S"].as_str().unwrap_or_default());
    let about = format!("{name} of the table's item {pk} {sk}");
    if !matches!(name, "INSERT" | "MODIFY" | "REMOVE") {
        let reason = "invalid: /eventName must be INSERT, MODIFY or REMOVE";
        return Diagnosis::new(Kind::Invalid, reason, BODY).about(about);
    }
    let kept_failing = "readable: it kept failing, e.g. because the bucket refused, or the topic could not deliver it; \
                        audit-logger's log has the cause under this message's id";
    let event = sk.strip_prefix("EVENT#").and_then(EventId::parse).filter(|_| name == "INSERT");
    let Some(event) = event else {
        return Diagnosis::new(Kind::KeptFailing, kept_failing, "the body is valid").about(about);
    };
    let image: Result<serde_dynamo::Item, _> = serde_json::from_value(record["dynamodb"]["NewImage"].clone());
    let Ok(image) =
        image.and_then(|image| serde_dynamo::from_item::<_, Value>(image).map_err(serde::de::Error::custom))
    else {
        let reason = "invalid: /dynamodb/NewImage cannot be read";
        return Diagnosis::new(Kind::Invalid, reason, BODY).about(about);
    };
    let due = stored(&entry(image));
    let key = event.object_key();
    let found = match bucket.read_key(&key).await {
        Ok(Body::Bytes(bytes)) if bytes == due.as_bytes() => {
            let reason = format!("it was written all the same: {key}");
            Diagnosis::new(Kind::AlreadyProcessed, reason, "the audit bucket")
        }
        Ok(Body::Bytes(_)) => Diagnosis::new(
            Kind::Conflict,
            format!(
                "ANOTHER RECORD LIES UNDER {key}. Keep both: this is a fault in product-creator, or somebody wrote \
                     into the bucket"
            ),
            "the audit bucket",
        ),
        Ok(Body::Archived) => Diagnosis::new(Kind::KeptFailing, format!("{key} is archived"), "the audit bucket"),
        Ok(Body::Gone) => {
            Diagnosis::new(Kind::KeptFailing, kept_failing, "the body is valid, and the bucket does not have it")
        }
        Err(error) => {
            let reason = format!("{kept_failing} ({error:#})");
            Diagnosis::new(Kind::KeptFailing, reason, "the body is valid")
        }
    };
    let product_id = pk.strip_prefix("PRODUCT#").and_then(ProductId::parse);
    Diagnosis { about, event_id: Some(event), product_id, ..found }
}

/// What audit-logger cannot do without.
fn missing_member(record: &Value) -> Option<&'static str> {
    let image = &record["dynamodb"];
    [
        ("/eventID", record["eventID"].is_string()),
        ("/eventName", record["eventName"].is_string()),
        ("/awsRegion", record["awsRegion"].is_string()),
        ("/dynamodb/SizeBytes", image["SizeBytes"].is_i64()),
        ("/dynamodb/Keys/PK", image["Keys"]["PK"]["S"].is_string()),
        ("/dynamodb/Keys/SK", image["Keys"]["SK"]["S"].is_string()),
    ]
    .into_iter()
    .find_map(|(member, there)| (!there).then_some(member))
}

/// What the pipe set aside: where changes are in the stream that it could not publish.
pub fn of_position(body: &str) -> Diagnosis {
    let read: Value = serde_json::from_str(body).unwrap_or_default();
    let batch = &read["DDBStreamBatchInfo"];
    let part = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let why = part(&read["context"]["condition"]);
    if !batch.is_object() {
        return Diagnosis::new(Kind::Unreadable, "no position in the table's stream", BODY);
    }
    let about = format!(
        "{} changes of the table from {} to {}: shard {}, {} to {}",
        part(&batch["batchSize"]),
        part(&batch["approximateArrivalOfFirstRecord"]),
        part(&batch["approximateArrivalOfLastRecord"]),
        part(&batch["shardId"]),
        part(&batch["startSequenceNumber"]),
        part(&batch["endSequenceNumber"]),
    );
    let reason =
        format!("the pipe could not publish these changes ({why}); `catalogctl audit repair` sends their records");
    Diagnosis::new(Kind::Position, reason, BODY).about(about)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::path::Path;

    fn examples(validity: &str) -> Vec<(String, String)> {
        let folder =
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../contracts/examples/change-event")).join(validity);
        let read = |path: std::path::PathBuf| {
            (path.file_stem().unwrap().to_string_lossy().into_owned(), std::fs::read_to_string(path).unwrap())
        };
        std::fs::read_dir(folder).unwrap().map(|entry| read(entry.unwrap().path())).collect()
    }

    #[test]
    fn each_valid_change_event_is_read() {
        for (name, body) in examples("valid") {
            read_change(&body).unwrap_or_else(|diagnosis| panic!("{name}: {diagnosis:?}"));
        }
    }

    #[test]
    fn each_invalid_one_is_told_apart() {
        for (name, body) in examples("invalid") {
            let diagnosis = read_change(&body).expect_err(&name);
            let kind = if name == "schema-version-2" { Kind::UnknownVersion } else { Kind::Invalid };
            assert_eq!(diagnosis.kind, kind, "{name}: {}", diagnosis.reason);
            assert!(!diagnosis.kind.is_hopeful());
        }
        let reason = |name: &str| {
            let (_, body) = examples("invalid").into_iter().find(|(found, _)| found == name).unwrap();
            read_change(&body).unwrap_err().reason
        };
        assert!(reason("product-price-as-number").contains("/product/price"));
        assert!(reason("schema-version-2").contains("schemaVersion 2 is not known"));
        assert!(reason("unknown-field").contains("unexpected"), "{}", reason("unknown-field"));
    }

    #[test]
    fn what_is_no_event_at_all_is_unreadable() {
        for body in ["", "not JSON", "[]", "7", "{\"a\":"] {
            assert_eq!(read_change(body).unwrap_err().kind, Kind::Unreadable, "{body}");
        }
        let (_, body) = examples("valid").into_iter().find(|(name, _)| name == "create-minimal").unwrap();
        let mut event: Value = serde_json::from_str(&body).unwrap();
        event["fingerprint"] = json!("0".repeat(64));
        assert!(read_change(&event.to_string()).unwrap_err().reason.contains("/fingerprint"));
    }

    #[test]
    fn a_position_in_the_stream_is_described() {
        let body = json!({
            "context": {"condition": "RetryAttemptsExhausted"},
            "DDBStreamBatchInfo": {"shardId": "shardId-1", "startSequenceNumber": "1", "endSequenceNumber": "9",
                "approximateArrivalOfFirstRecord": "a", "approximateArrivalOfLastRecord": "b", "batchSize": 3},
        });
        let diagnosis = of_position(&body.to_string());
        assert_eq!(diagnosis.kind, Kind::Position);
        assert!(diagnosis.about.contains("3 changes") && diagnosis.about.contains("shardId-1, 1 to 9"));
        assert!(diagnosis.reason.contains("RetryAttemptsExhausted"));
        assert_eq!(of_position("x").kind, Kind::Unreadable);
    }
}
