//! A change event: the message that a writing function puts on the queue, schema version 1. product-creator reads it.

use serde::Serialize;
use serde_json::{Map, Value};

use super::canonical_json::canonical_digest;
use super::identifiers::{EventId, ProductId};
use super::timestamp::Timestamp;

const SCHEMA_VERSION: u32 = 1;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChangeType {
    Create,
    Update,
    Delete,
}

/// The caller. The ID of the API key, never the key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub api_key_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<String>,
}

/// What the caller requests of the content, as canonical JSON: the object that a fingerprint is the digest of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Requested {
    /// The whole content.
    Product(Map<String, Value>),
    /// A merge patch (RFC 7396) of the content.
    Patch(Map<String, Value>),
}

/// Digest of the requested change: SHA-256 of the canonical JSON (RFC 8785) of the requested object, or of `{}` for a
/// deletion. Requests for the same content have the same fingerprint.
pub fn fingerprint(requested: Option<&Requested>) -> String {
    requested.map_or_else(|| canonical_digest(&Map::new()), canonical_digest)
}

/// An accepted change. Its JSON is the message body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeEvent {
    schema_version: u32,
    pub event_id: EventId,
    #[serde(rename = "type")]
    pub change_type: ChangeType,
    pub product_id: ProductId,
    /// When the edge accepted it.
    pub occurred_at: Timestamp,
    #[serde(flatten)]
    pub origin: Origin,
    /// The change applies only to this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<u64>,
    pub fingerprint: String,
    #[serde(flatten)]
    pub requested: Option<Requested>,
}

/// The request that a change came with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    pub actor: Actor,
    /// API Gateway's ID of the request.
    pub request_id: String,
}

impl ChangeEvent {
    /// A change that is accepted at `now`, and follows `last_seen`, the change that made the state it is based on.
    pub fn new(
        change_type: ChangeType,
        product_id: ProductId,
        last_seen: Option<EventId>,
        now: Timestamp,
        origin: Origin,
        requested: Option<Requested>,
    ) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            event_id: EventId::after(last_seen, now),
            change_type,
            product_id,
            occurred_at: now,
            origin,
            expected_version: None,
            fingerprint: fingerprint(requested.as_ref()),
            requested,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn event(requested: Option<Requested>) -> Value {
        let id = "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84".parse().unwrap();
        let now = Timestamp::from_unix_millis(1_769_860_800_000);
        let actor = Actor { api_key_id: None, source_ip: Some("203.0.113.9".to_owned()) };
        let origin = Origin { actor, request_id: "req-1".to_owned() };
        let event = ChangeEvent::new(ChangeType::Update, id, None, now, origin, requested);
        serde_json::to_value(event).unwrap()
    }

    #[test]
    fn writes_one_message_with_requested_content() {
        let content = json!({"name": "Desk lamp", "price": "19.99", "currency": "EUR"});
        let mut written = event(Some(Requested::Product(content.as_object().unwrap().clone())));
        written["eventId"].take();
        assert_eq!(
            written,
            json!({
                "schemaVersion": 1, "eventId": null, "type": "UPDATE", "productId": "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84",
                "occurredAt": "2026-01-31T12:00:00.000Z", "actor": {"sourceIp": "203.0.113.9"}, "requestId": "req-1",
                "fingerprint": "3cf7e7f32c620b89097b2efecf34070eea1aac568b10d748e6863cd608f9b1e4", "product": content,
            })
        );
    }

    #[test]
    fn distinguishes_content_from_patch_and_from_deletion() {
        let members = json!({"name": "x"}).as_object().unwrap().clone();
        let product = event(Some(Requested::Product(members.clone())));
        let patch = event(Some(Requested::Patch(members)));
        let deletion = event(None);
        assert_eq!((patch.get("product"), &patch["patch"]), (None, &json!({"name": "x"})));
        assert_eq!((deletion.get("product"), deletion.get("patch")), (None, None));
        assert_eq!(deletion["fingerprint"], "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
        assert_ne!(product["fingerprint"], patch["fingerprint"]);
    }
}
