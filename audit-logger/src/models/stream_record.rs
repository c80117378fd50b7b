//! A record of the table's stream, and what the audit log does with it.

use aws_lambda_events::dynamodb::EventRecord;
use serde_dynamo::Item;
use serde_json::{Map, Value};

use super::audit_object::{AuditObject, Cause, OutOfBandChange, change_object, out_of_band_object};
use super::identifiers::{EventId, ProductId};
use super::timestamp::Timestamp;

/// The attributes of a journal entry that only the table has.
const TABLE_ATTRIBUTES: [&str; 3] = ["PK", "SK", "expiresAt"];

/// An unreadable record. It is redelivered and, in the end, moved to the dead-letter queue.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableRecord {
    #[error("invalid image")]
    Image(#[from] serde_dynamo::Error),
    #[error("the record lacks a key of the products table")]
    Key,
    #[error("the record's ID must have 1 to 128 letters, digits and hyphens")]
    Id,
    #[error("unsupported eventName {0:?} (supported: INSERT, MODIFY, REMOVE)")]
    ChangeType(String),
}

/// What the audit log does with a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditAction {
    Write(AuditObject),
    /// A journal entry expired in the table. Its record is in the audit log already.
    CountExpired,
    /// A change that a journal entry records, or an item that is not the catalogue's.
    Ignore,
}

/// The IDs in a record, as far as it has them, for the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordIds {
    pub event_id: Option<String>,
    pub product_id: Option<String>,
    pub request_id: Option<String>,
}

impl RecordIds {
    pub fn of(record: &EventRecord) -> Self {
        let image = |item: &Item| image(item).ok().flatten().unwrap_or_default();
        let (key, before, after) =
            (image(&record.change.keys), image(&record.change.old_image), image(&record.change.new_image));
        let key_part = |name: &str, prefix: &str| Some(key[name].as_str()?.strip_prefix(prefix)?.to_owned());
        let attribute = |name: &str| Some(after[name].as_str().or(before[name].as_str())?.to_owned());
        Self {
            event_id: key_part("SK", "EVENT#").or_else(|| attribute("lastEventId")).or_else(|| attribute("eventId")),
            product_id: key_part("PK", "PRODUCT#").or_else(|| attribute("productId")),
            request_id: attribute("requestId"),
        }
    }
}

/// Decides what to do with a record.
///
/// - A new journal entry is the audit record of its event.
/// - A product that changed together with its `lastEventId`, and a SKU claim that changed together with its `eventId`, are
///   recorded by that event's journal entry.
/// - The removal of a claim is how a product releases its SKU. A removal by hand looks the same; `catalogctl audit verify`
///   finds it, since claims follow from the audit log.
/// - A journal entry that DynamoDB removes after its time to live is counted.
/// - Any other change of products, journal entries and claims is written as a change without a change event.
pub fn audit_action(record: &EventRecord) -> Result<AuditAction, UnreadableRecord> {
    let change = &record.change;
    let (before, after) = (image(&change.old_image)?, image(&change.new_image)?);
    let key = image(&change.keys)?.ok_or(UnreadableRecord::Key)?;
    let (Some(pk), Some(sk)) = (key["PK"].as_str(), key["SK"].as_str()) else { return Err(UnreadableRecord::Key) };
    let is_claim = pk.starts_with("SKU#");
    if !is_claim && !pk.starts_with("PRODUCT#") {
        return Ok(AuditAction::Ignore);
    }
    let change_type = record.event_name.as_str();
    if !matches!(change_type, "INSERT" | "MODIFY" | "REMOVE") {
        return Err(UnreadableRecord::ChangeType(record.event_name.clone()));
    }
    let event_id = sk.strip_prefix("EVENT#").and_then(|id| id.parse::<EventId>().ok()).filter(|_| !is_claim);
    if let Some(event_id) = event_id {
        if change_type == "INSERT"
            && let Some(entry) = after.as_ref().and_then(|image| journal_entry(image, event_id))
        {
            return Ok(AuditAction::Write(change_object(event_id, &entry)));
        }
        if change_type == "REMOVE" && (is_ttl_removal(record) || has_expired(before.as_ref(), observed_at(record))) {
            return Ok(AuditAction::CountExpired);
        }
    }
    let is_recorded = match (is_claim, sk) {
        (true, "CLAIM") => is_claim_of_event(before.as_ref(), after.as_ref()),
        (false, "META") => is_changed(before.as_ref(), after.as_ref(), "lastEventId"),
        _ => false,
    };
    if is_recorded {
        return Ok(AuditAction::Ignore);
    }
    out_of_band(record, key, before, after).map(AuditAction::Write)
}

/// The image without the table's own attributes, if it is a journal entry of this event.
fn journal_entry(image: &Value, event_id: EventId) -> Option<Map<String, Value>> {
    let mut entry = image.as_object()?.clone();
    let of_this_event = entry.get("eventId").and_then(Value::as_str) == Some(&event_id.to_string());
    let is_change = entry.get("recordType").and_then(Value::as_str) == Some("CHANGE");
    entry.retain(|attribute, _| !TABLE_ATTRIBUTES.contains(&attribute.as_str()));
    (of_this_event && is_change).then_some(entry)
}

/// Whether the new image has an event ID in `attribute` that the old one has not.
fn is_changed(before: Option<&Value>, after: Option<&Value>, attribute: &str) -> bool {
    let event = |image: Option<&Value>| image.and_then(|image| image[attribute].as_str()?.parse::<EventId>().ok());
    event(after).is_some() && event(before) != event(after)
}

/// Whether product-creator writes such a change of a claim: it makes and removes whole claims, and never gives one product's
/// claim to another.
fn is_claim_of_event(before: Option<&Value>, after: Option<&Value>) -> bool {
    let holder = |claim: &Value| claim["productId"].as_str()?.parse::<ProductId>().ok();
    let is_whole = |claim: &Value| {
        let has_event = claim["eventId"].as_str().is_some_and(|id| id.parse::<EventId>().is_ok());
        has_event && holder(claim).is_some() && claim.as_object().is_some_and(|attributes| attributes.len() == 4)
    };
    match (before, after) {
        (None, Some(after)) => is_whole(after),
        (Some(before), Some(after)) => {
            is_whole(after) && holder(before) == holder(after) && is_changed(Some(before), Some(after), "eventId")
        }
        (Some(before), None) => is_whole(before),
        (None, None) => false,
    }
}

/// https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/time-to-live-ttl-streams.html
fn is_ttl_removal(record: &EventRecord) -> bool {
    let is_dynamodb = |identity: &aws_lambda_events::dynamodb::UserIdentity| {
        identity.type_ == "Service" && identity.principal_id == "dynamodb.amazonaws.com"
    };
    record.event_name == "REMOVE" && record.user_identity.as_ref().is_some_and(is_dynamodb)
}

/// Whether the item had expired. A second sign of a TTL removal, because AWS documents the members of `userIdentity` in two
/// spellings.
fn has_expired(before: Option<&Value>, observed_at: Timestamp) -> bool {
    let expires_at = before.and_then(|item| item["expiresAt"].as_i64());
    expires_at.is_some_and(|expires_at| expires_at <= observed_at.unix_seconds())
}

fn observed_at(record: &EventRecord) -> Timestamp {
    let millis = record.change.approximate_creation_date_time.timestamp_millis();
    Timestamp::from_unix_millis(u64::try_from(millis).unwrap_or_default())
}

fn out_of_band(
    record: &EventRecord,
    key: Value,
    before: Option<Value>,
    after: Option<Value>,
) -> Result<AuditObject, UnreadableRecord> {
    let id = &record.event_id;
    let can_name_object = (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !can_name_object {
        return Err(UnreadableRecord::Id);
    }
    Ok(out_of_band_object(&OutOfBandChange {
        cause: if is_ttl_removal(record) { Cause::Ttl } else { Cause::Manual },
        stream_event_id: id.clone(),
        change_type: record.event_name.clone(),
        observed_at: observed_at(record),
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
