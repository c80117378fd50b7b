//! Why a message is in a dead-letter queue. SQS keeps no reason, so the message is validated again with the contract's schemas,
//! and its result is looked up in the table or the bucket.

use std::fmt;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::audit_bucket::{Body, Bucket};
use crate::products_table::Table;
use audit_log::ids::{EventId, ProductId};
use audit_log::json::{canonical, hex, sha256, stored};
use audit_log::record::violation;
use audit_log::table_item::entry;

/// The schema version of change events that product-creator reads.
const SCHEMA_VERSION: u64 = 1;

/// The kind of failure, which says whether a redrive can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Malformed: a redrive fails again.
    Unreadable,
    /// An unsupported schema version: redrive it to a consumer that supports it.
    UnsupportedVersion,
    /// Readable, but it breaks the contract.
    Invalid,
    /// Valid and not processed: it failed on every attempt.
    KeptFailing,
    /// Valid and processed after all: a redrive changes nothing.
    AlreadyProcessed,
    /// The bucket has another record under its key: a redrive fails again, and somebody must investigate.
    Conflict,
    /// A position in the stream, not a change.
    StreamPosition,
}

impl Kind {
    /// Whether a redrive can succeed without another release.
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
            Self::UnsupportedVersion => "UNSUPPORTED_VERSION",
            Self::Invalid => "INVALID",
            Self::KeptFailing => "KEPT_FAILING",
            Self::AlreadyProcessed => "ALREADY_PROCESSED",
            Self::Conflict => "CONFLICT",
            Self::StreamPosition => "STREAM_POSITION",
        })
    }
}

/// Why a message failed, as far as it can be found out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    pub kind: Kind,
    pub reason: String,
    /// The source of the reason.
    pub source: &'static str,
    /// The subject of the message, for people.
    pub about: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_id: Option<EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub product_id: Option<ProductId>,
}

impl Diagnosis {
    fn new(kind: Kind, reason: impl Into<String>, source: &'static str) -> Self {
        Self { kind, reason: reason.into(), source, about: String::new(), event_id: None, product_id: None }
    }

    fn about(self, about: impl Into<String>) -> Self {
        Self { about: about.into(), ..self }
    }
}

const BODY: &str = "the body";

/// Diagnoses a message that product-creator failed to process. Reads the table's journal.
pub async fn of_change(body: &str, table: &Table) -> Diagnosis {
    let event = match read_change(body) {
        Ok(event) => event,
        Err(diagnosis) => return *diagnosis,
    };
    let (event_id, product_id) = (id(&event["eventId"]), event["productId"].as_str().and_then(ProductId::parse));
    let (Some(event_id), Some(product_id)) = (event_id, product_id) else {
        return Diagnosis::new(Kind::Invalid, "invalid: eventId or productId", BODY);
    };
    let found = match table.item(product_id, &format!("EVENT#{event_id}")).await {
        Ok(Some(item)) => {
            let outcome = item.get("outcome").and_then(|value| value.as_s().ok()).cloned().unwrap_or_default();
            let reason = format!("processed: the journal has it as {outcome}");
            Diagnosis::new(Kind::AlreadyProcessed, reason, "the table's journal")
        }
        Ok(None) => Diagnosis::new(
            Kind::KeptFailing,
            "valid, but it failed on every attempt, such as while the table was throttled. product-creator's log has the \
             cause under this message ID",
            "the body is valid, and the table's journal doesn't have the event",
        ),
        Err(error) => {
            let reason = format!(
                "valid, but it failed on every attempt; failed to look up whether it was processed since: {error:#}"
            );
            Diagnosis::new(Kind::KeptFailing, reason, "the body is valid")
        }
    };
    Diagnosis { about: about(&event), event_id: Some(event_id), product_id: Some(product_id), ..found }
}

/// Validates a change event as product-creator does, by its schema and its fingerprint.
fn read_change(body: &str) -> Result<Value, Box<Diagnosis>> {
    let event: Value = serde_json::from_str(body)
        .map_err(|error| Box::new(Diagnosis::new(Kind::Unreadable, format!("malformed JSON: {error}"), BODY)))?;
    if !event.is_object() {
        return Err(Box::new(Diagnosis::new(
            Kind::Unreadable,
            "not a change event: the body must be a JSON object",
            BODY,
        )));
    }
    let invalid = |kind, reason: String| Err(Box::new(Diagnosis::new(kind, reason, BODY).about(about(&event))));
    if let Some(version) = event.get("schemaVersion").filter(|version| version.as_u64() != Some(SCHEMA_VERSION)) {
        let reason = format!("unsupported schemaVersion {version} (supported: {SCHEMA_VERSION})");
        return invalid(Kind::UnsupportedVersion, reason);
    }
    let violations: Vec<String> = CHANGE_EVENT.iter_errors(&event).map(|error| violation(&error)).collect();
    if !violations.is_empty() {
        return invalid(Kind::Invalid, format!("invalid: {}", violations.join("; ")));
    }
    let requested = match (event.get("product"), event.get("patch")) {
        (Some(product), _) => json!({"product": product}),
        (None, Some(patch)) => json!({"patch": patch}),
        (None, None) => json!({}),
    };
    let fingerprint = canonical(&requested).map(|text| hex(&sha256(text)));
    if fingerprint.as_deref() != Ok(event["fingerprint"].as_str().unwrap_or_default()) {
        return invalid(Kind::Invalid, "invalid: /fingerprint isn't that of the content".to_owned());
    }
    Ok(event)
}

static CHANGE_EVENT: LazyLock<Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(include_str!("../../../contracts/change-event.schema.json"));
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema.expect("the contract's schema is JSON"))
        .expect("the contract's schema is a JSON Schema")
});

/// The subject of a change event, valid or not.
fn about(event: &Value) -> String {
    let part = |name: &str| event[name].as_str().map(|text| text.chars().take(64).collect::<String>());
    let kind = part("type").unwrap_or_else(|| "change".to_owned());
    match (part("productId"), part("eventId")) {
        (Some(product), Some(event)) => format!("{kind} of product {product}, event {event}"),
        (Some(product), None) => format!("{kind} of product {product}"),
        _ => String::new(),
    }
}

fn id(value: &Value) -> Option<EventId> {
    value.as_str().and_then(EventId::parse)
}

/// Diagnoses a message that audit-logger failed to process. Reads the bucket.
pub async fn of_stream_record(body: &str, bucket: &Bucket) -> Diagnosis {
    let read: Value = match serde_json::from_str(body) {
        Ok(value) => value,
        Err(error) => return Diagnosis::new(Kind::Unreadable, format!("malformed JSON: {error}"), BODY),
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
    worst.unwrap_or_else(|| Diagnosis::new(Kind::AlreadyProcessed, "the message has no record", BODY))
}

async fn of_one_record(record: &Value, bucket: &Bucket) -> Diagnosis {
    if let Some(member) = missing_member(record) {
        return Diagnosis::new(
            Kind::Invalid,
            format!("not a stream record: {member} is missing or has another type"),
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
    let kept_failing = "valid, but it failed on every attempt, such as while the bucket denied access or the topic couldn't \
                        deliver it. audit-logger's log has the cause under this message ID";
    let event = sk.strip_prefix("EVENT#").and_then(EventId::parse).filter(|_| name == "INSERT");
    let Some(event) = event else {
        return Diagnosis::new(Kind::KeptFailing, kept_failing, "the body is valid").about(about);
    };
    let image: Result<serde_dynamo::Item, _> = serde_json::from_value(record["dynamodb"]["NewImage"].clone());
    let Ok(image) =
        image.and_then(|image| serde_dynamo::from_item::<_, Value>(image).map_err(serde::de::Error::custom))
    else {
        let reason = "invalid: /dynamodb/NewImage isn't an item";
        return Diagnosis::new(Kind::Invalid, reason, BODY).about(about);
    };
    let expected = stored(&entry(image));
    let key = event.object_key();
    let found = match bucket.read_key(&key).await {
        Ok(Body::Bytes(bytes)) if bytes == expected.as_bytes() => {
            let reason = format!("processed: {key} exists");
            Diagnosis::new(Kind::AlreadyProcessed, reason, "the audit bucket")
        }
        Ok(Body::Bytes(_)) => Diagnosis::new(
            Kind::Conflict,
            format!(
                "another record exists under {key}. Keep both: product-creator has a bug, or somebody wrote to the bucket"
            ),
            "the audit bucket",
        ),
        Ok(Body::Archived) => Diagnosis::new(Kind::KeptFailing, format!("{key} is archived"), "the audit bucket"),
        Ok(Body::Gone) => {
            Diagnosis::new(Kind::KeptFailing, kept_failing, "the body is valid, and the bucket doesn't have the object")
        }
        Err(error) => {
            let reason = format!("{kept_failing} ({error:#})");
            Diagnosis::new(Kind::KeptFailing, reason, "the body is valid")
        }
    };
    let product_id = pk.strip_prefix("PRODUCT#").and_then(ProductId::parse);
    Diagnosis { about, event_id: Some(event), product_id, ..found }
}

/// The first member that audit-logger needs and the record lacks.
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
    .find_map(|(member, exists)| (!exists).then_some(member))
}

/// Describes a message of the pipe: the positions in the stream of changes that it failed to publish.
pub fn of_position(body: &str) -> Diagnosis {
    let read: Value = serde_json::from_str(body).unwrap_or_default();
    let batch = &read["DDBStreamBatchInfo"];
    let part = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let why = part(&read["context"]["condition"]);
    if !batch.is_object() {
        return Diagnosis::new(Kind::Unreadable, "not a position in the table's stream", BODY);
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
    let reason = format!(
        "the pipe failed to publish these changes ({why}). Run `catalogctl audit repair` to write their records"
    );
    Diagnosis::new(Kind::StreamPosition, reason, BODY).about(about)
}

#[cfg(test)]
mod tests {
    use super::*;
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
    fn rejects_each_invalid_change_event() {
        for (name, body) in examples("invalid") {
            let diagnosis = read_change(&body).expect_err(&name);
            let kind = if name == "schema-version-2" { Kind::UnsupportedVersion } else { Kind::Invalid };
            assert_eq!(diagnosis.kind, kind, "{name}: {}", diagnosis.reason);
            assert!(!diagnosis.kind.is_hopeful());
        }
        let reason = |name: &str| {
            let (_, body) = examples("invalid").into_iter().find(|(found, _)| found == name).unwrap();
            read_change(&body).unwrap_err().reason
        };
        assert!(reason("product-price-as-number").contains("/product/price"));
        assert!(reason("schema-version-2").contains("unsupported schemaVersion 2"));
        assert!(reason("unknown-field").contains("unexpected"), "{}", reason("unknown-field"));
    }

    #[test]
    fn malformed_event_is_unreadable() {
        for body in ["", "not JSON", "[]", "7", "{\"a\":"] {
            assert_eq!(read_change(body).unwrap_err().kind, Kind::Unreadable, "{body}");
        }
        let (_, body) = examples("valid").into_iter().find(|(name, _)| name == "create-minimal").unwrap();
        let mut event: Value = serde_json::from_str(&body).unwrap();
        event["fingerprint"] = json!("0".repeat(64));
        assert!(read_change(&event.to_string()).unwrap_err().reason.contains("/fingerprint"));
    }

    #[test]
    fn describes_stream_position() {
        let body = json!({
            "context": {"condition": "RetryAttemptsExhausted"},
            "DDBStreamBatchInfo": {"shardId": "shardId-1", "startSequenceNumber": "1", "endSequenceNumber": "9",
                "approximateArrivalOfFirstRecord": "a", "approximateArrivalOfLastRecord": "b", "batchSize": 3},
        });
        let diagnosis = of_position(&body.to_string());
        assert_eq!(diagnosis.kind, Kind::StreamPosition);
        assert!(diagnosis.about.contains("3 changes") && diagnosis.about.contains("shardId-1, 1 to 9"));
        assert!(diagnosis.reason.contains("RetryAttemptsExhausted"));
        assert_eq!(of_position("x").kind, Kind::Unreadable);
    }
}
