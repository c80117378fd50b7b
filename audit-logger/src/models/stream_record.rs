//! A record of the table's stream, and what the audit log makes of it.

use aws_lambda_events::dynamodb::EventRecord;
use serde_dynamo::Item;
use serde_json::{Map, Value};

use super::audit_object::{AuditObject, Cause, OutOfBandChange, change_object, out_of_band_object};
use super::identifiers::EventId;
use super::timestamp::Timestamp;

/// What a journal entry has in the table only.
const TABLE_ATTRIBUTES: [&str; 3] = ["PK", "SK", "expiresAt"];

/// A malformed record. It is redelivered and, after its last attempt, moved to the DLQ for somebody to look at.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableRecord {
    #[error("the image cannot be read")]
    Image(#[from] serde_dynamo::Error),
    #[error("the record has no key of the products table")]
    Key,
    #[error("the record's id cannot name an object")]
    Id,
    #[error("{0} is no kind of change")]
    ChangeType(String),
}

/// The object that a record asks for; `None` for a record that another one tells of, or that is not the catalogue's.
///
/// - A new journal entry is the audit record of its event.
/// - A product that changed together with its `lastEventId` is described by that event's entry.
/// - Everything else that happens to products and their entries is written as a change that no event announced.
pub fn audit_object(record: &EventRecord) -> Result<Option<AuditObject>, UnreadableRecord> {
    let change = &record.change;
    let (before, after) = (image(&change.old_image)?, image(&change.new_image)?);
    let key = image(&change.keys)?.ok_or(UnreadableRecord::Key)?;
    let (Some(pk), Some(sk)) = (key["PK"].as_str(), key["SK"].as_str()) else { return Err(UnreadableRecord::Key) };
    if !pk.starts_with("PRODUCT#") {
        return Ok(None);
    }
    if !matches!(record.event_name.as_str(), "INSERT" | "MODIFY" | "REMOVE") {
        return Err(UnreadableRecord::ChangeType(record.event_name.clone()));
    }
    if record.event_name == "INSERT"
        && let Some(event_id) = sk.strip_prefix("EVENT#").and_then(|id| id.parse::<EventId>().ok())
        && let Some(entry) = after.as_ref().and_then(|image| journal_entry(image, event_id))
    {
        return Ok(Some(change_object(event_id, &entry)));
    }
    if sk == "META" && is_announced(before.as_ref(), after.as_ref()) {
        return Ok(None);
    }
    out_of_band(record, key, before, after).map(Some)
}

/// The image without the table's own attributes, if it is a journal entry of this event.
fn journal_entry(image: &Value, event_id: EventId) -> Option<Map<String, Value>> {
    let mut entry = image.as_object()?.clone();
    let of_this_event = entry.get("eventId").and_then(Value::as_str) == Some(&event_id.to_string());
    let is_change = entry.get("recordType").and_then(Value::as_str) == Some("CHANGE");
    entry.retain(|attribute, _| !TABLE_ATTRIBUTES.contains(&attribute.as_str()));
    (of_this_event && is_change).then_some(entry)
}

/// Whether a product's image carries an event that the one before it did not.
fn is_announced(before: Option<&Value>, after: Option<&Value>) -> bool {
    let event = |image: Option<&Value>| image.and_then(|image| image["lastEventId"].as_str()?.parse::<EventId>().ok());
    event(after).is_some() && event(before) != event(after)
}

fn out_of_band(
    record: &EventRecord,
    key: Value,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<AuditObject, UnreadableRecord> {
    let id = &record.event_id;
    let names_an_object = (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !names_an_object {
        return Err(UnreadableRecord::Id);
    }
    // https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html
    let by_ttl = record
        .user_identity
        .as_ref()
        .is_some_and(|identity| identity.type_ == "Service" && identity.principal_id == "dynamodb.amazonaws.com");
    let millis = u64::try_from(record.change.approximate_creation_date_time.timestamp_millis()).unwrap_or_default();
    Ok(out_of_band_object(&OutOfBandChange {
        cause: if by_ttl && record.event_name == "REMOVE" { Cause::Ttl } else { Cause::Manual },
        stream_event_id: id.clone(),
        change_type: record.event_name.clone(),
        observed_at: Timestamp::from_unix_millis(millis),
        key,
        before,
        after,
    }))
}

/// An image as plain JSON; `None` for one that the record does not have.
fn image(item: &Item) -> Result<Option<Value>, serde_dynamo::Error> {
    if item.inner().is_empty() {
        return Ok(None);
    }
    serde_dynamo::from_item(item.clone()).map(Some)
}
