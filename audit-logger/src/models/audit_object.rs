//! An object of the audit log: its key and its content.

use serde::Serialize;
use serde_json::{Map, Value};

use super::identifiers::EventId;
use super::timestamp::Timestamp;

/// The schema version that this code writes.
const SCHEMA_VERSION: u32 = 1;

/// An object that is written once. Key and bytes follow from the record alone, so that a redelivery makes the same object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditObject {
    pub key: String,
    pub bytes: Vec<u8>,
}

/// What made a change without a change event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Cause {
    /// A write outside the API, such as in the console.
    Manual,
    /// DynamoDB's time to live removed an expired item that is not a journal entry.
    Ttl,
}

/// A change without a change event.
#[derive(Clone, Debug, PartialEq)]
pub struct OutOfBandChange {
    pub cause: Cause,
    /// The stream record's ID. It names the object.
    pub stream_event_id: String,
    /// `INSERT`, `MODIFY` or `REMOVE`.
    pub change_type: String,
    pub observed_at: Timestamp,
    pub key: Value,
    pub before: Option<Value>,
    pub after: Option<Value>,
}

/// The object of a journal entry: the entry, field for field.
pub fn change_object(event_id: EventId, entry: &Map<String, Value>) -> AuditObject {
    AuditObject { key: key("events", event_id.timestamp(), &event_id.to_string()), bytes: bytes(entry) }
}

/// The object of a change without a change event.
pub fn out_of_band_object(change: &OutOfBandChange) -> AuditObject {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Document<'a> {
        schema_version: u32,
        record_type: &'static str,
        cause: Cause,
        stream_event_id: &'a str,
        change_type: &'a str,
        observed_at: Timestamp,
        key: &'a Value,
        #[serde(skip_serializing_if = "Option::is_none")]
        before: Option<&'a Value>,
        #[serde(skip_serializing_if = "Option::is_none")]
        after: Option<&'a Value>,
    }
    let document = Document {
        schema_version: SCHEMA_VERSION,
        record_type: "OUT_OF_BAND",
        cause: change.cause,
        stream_event_id: &change.stream_event_id,
        change_type: &change.change_type,
        observed_at: change.observed_at,
        key: &change.key,
        before: change.before.as_ref(),
        after: change.after.as_ref(),
    };
    AuditObject { key: key("out-of-band", change.observed_at, &change.stream_event_id), bytes: bytes(&document) }
}

/// Hive-style partitions by day (UTC), which Athena reads without a crawler.
fn key(prefix: &str, moment: Timestamp, name: &str) -> String {
    let (year, month, day) = moment.date();
    format!("{prefix}/year={year:04}/month={month:02}/day={day:02}/{name}.json")
}

fn bytes(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("audit records are JSON documents with string keys")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_object_under_day_of_its_event() {
        let id = EventId::after(None, Timestamp::from_unix_millis(1_767_225_599_999));
        let object = change_object(id, &Map::new());
        assert_eq!(object.key, format!("events/year=2025/month=12/day=31/{id}.json"));
    }
}
