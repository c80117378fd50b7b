//! A change to a product, as it travels through the queue: the message body, schema version 1.
//!
//! [`ChangeEvent`] cannot represent an invalid change (a deletion with content, a creation with an expected version);
//! [`ChangeEventDocument`] is its JSON, which can.

use serde::{Deserialize, Serialize};

use super::canonical_json::canonical_digest;
use super::identifiers::{EventId, ProductId};
use super::product::ProductDetails;
use super::product_content::ProductContent;
use super::product_patch::ProductPatch;
use super::timestamp::Timestamp;
use super::violation::Violation;

/// The schema version that this code writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

/// The change that a caller requests. An update or a deletion with `expected_version` applies only to that version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Create(ProductDetails),
    /// A full replacement of the content (PUT).
    Update {
        details: ProductDetails,
        expected_version: Option<u64>,
    },
    /// A partial change of the content (PATCH), merged into the product as it is when the change is applied.
    Patch {
        patch: ProductPatch,
        expected_version: Option<u64>,
    },
    Delete {
        expected_version: Option<u64>,
    },
}

/// The change types of the contract. A replacement and a patch are both an UPDATE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChangeType {
    Create,
    Update,
    Delete,
}

/// The caller. The ID of the API key, never the key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Actor {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_key_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ip: Option<String>,
}

/// An accepted change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeEvent {
    pub event_id: EventId,
    pub product_id: ProductId,
    /// When the edge accepted it.
    pub occurred_at: Timestamp,
    pub actor: Actor,
    /// API Gateway's ID of the request.
    pub request_id: String,
    pub change: Change,
}

impl ChangeEvent {
    pub fn change_type(&self) -> ChangeType {
        match self.change {
            Change::Create(_) => ChangeType::Create,
            Change::Update { .. } | Change::Patch { .. } => ChangeType::Update,
            Change::Delete { .. } => ChangeType::Delete,
        }
    }

    pub fn expected_version(&self) -> Option<u64> {
        match self.change {
            Change::Create(_) => None,
            Change::Update { expected_version, .. }
            | Change::Patch { expected_version, .. }
            | Change::Delete { expected_version } => expected_version,
        }
    }

    /// The content or the patch; `None` for a deletion.
    pub fn requested(&self) -> Option<Requested> {
        match &self.change {
            Change::Create(details) | Change::Update { details, .. } => Some(Requested::from(details)),
            Change::Patch { patch, .. } => Some(Requested::Patch(patch.clone())),
            Change::Delete { .. } => None,
        }
    }

    /// Digest of the requested change. Requests for the same content have the same fingerprint.
    pub fn fingerprint(&self) -> String {
        fingerprint_of(self.requested().as_ref())
    }
}

/// The object that a fingerprint is the digest of: `{"product": …}` or `{"patch": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Requested {
    Product(ProductContent),
    Patch(ProductPatch),
}

impl From<&ProductDetails> for Requested {
    fn from(details: &ProductDetails) -> Self {
        Self::Product(details.clone().into())
    }
}

/// The fingerprint of a request for this content, or of a deletion.
pub fn fingerprint(details: Option<&ProductDetails>) -> String {
    fingerprint_of(details.map(Requested::from).as_ref())
}

/// SHA-256, in hexadecimal, of the canonical JSON (RFC 8785) of the requested object; of `{}` for a deletion.
fn fingerprint_of(requested: Option<&Requested>) -> String {
    requested.map_or_else(|| canonical_digest(&serde_json::Map::new()), canonical_digest)
}

/// The message body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeEventDocument {
    pub schema_version: u32,
    pub event_id: EventId,
    #[serde(rename = "type")]
    pub change_type: ChangeType,
    pub product_id: ProductId,
    pub occurred_at: Timestamp,
    pub actor: Actor,
    pub request_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<u64>,
    pub fingerprint: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub product: Option<ProductContent>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patch: Option<ProductPatch>,
}

/// Why a message body isn't a change event.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    #[error("unsupported schemaVersion {0} (supported: {SCHEMA_VERSION})")]
    SchemaVersion(u32),
    #[error("{0}")]
    Shape(&'static str),
    #[error("the product is invalid: {}", paths(.0))]
    Product(Vec<Violation>),
    #[error("the fingerprint doesn't match the content")]
    Fingerprint,
}

/// Fields and codes only: a product's content doesn't belong in a log.
fn paths(violations: &[Violation]) -> String {
    let paths: Vec<String> = violations.iter().map(|found| format!("{} {}", found.field, found.code.name())).collect();
    paths.join(", ")
}

impl From<&ChangeEvent> for ChangeEventDocument {
    fn from(event: &ChangeEvent) -> Self {
        let (product, patch) = match event.requested() {
            Some(Requested::Product(product)) => (Some(product), None),
            Some(Requested::Patch(patch)) => (None, Some(patch)),
            None => (None, None),
        };
        Self {
            schema_version: SCHEMA_VERSION,
            event_id: event.event_id,
            change_type: event.change_type(),
            product_id: event.product_id,
            occurred_at: event.occurred_at,
            actor: event.actor.clone(),
            request_id: event.request_id.clone(),
            expected_version: event.expected_version(),
            fingerprint: event.fingerprint(),
            product,
            patch,
        }
    }
}

impl TryFrom<ChangeEventDocument> for ChangeEvent {
    type Error = InvalidEvent;

    fn try_from(document: ChangeEventDocument) -> Result<Self, Self::Error> {
        if document.schema_version != SCHEMA_VERSION {
            return Err(InvalidEvent::SchemaVersion(document.schema_version));
        }
        if document.request_id.is_empty() {
            return Err(InvalidEvent::Shape("requestId must not be empty"));
        }
        if document.expected_version == Some(0) {
            return Err(InvalidEvent::Shape("expectedVersion must be at least 1"));
        }
        let details = document.product.map(|content| content.check().map_err(InvalidEvent::Product)).transpose()?;
        let expected_version = document.expected_version;
        let change = match (document.change_type, details, document.patch) {
            (ChangeType::Create, Some(details), None) if expected_version.is_none() => Change::Create(details),
            (ChangeType::Update, Some(details), None) => Change::Update { details, expected_version },
            (ChangeType::Update, None, Some(patch)) => Change::Patch { patch, expected_version },
            (ChangeType::Delete, None, None) => Change::Delete { expected_version },
            (ChangeType::Create, _, _) => {
                return Err(InvalidEvent::Shape("a CREATE must have product, and neither patch nor expectedVersion"));
            }
            (ChangeType::Update, _, _) => {
                return Err(InvalidEvent::Shape("an UPDATE must have exactly one of product and patch"));
            }
            (ChangeType::Delete, _, _) => {
                return Err(InvalidEvent::Shape("a DELETE must have neither product nor patch"));
            }
        };
        let event = Self {
            event_id: document.event_id,
            product_id: document.product_id,
            occurred_at: document.occurred_at,
            actor: document.actor,
            request_id: document.request_id,
            change,
        };
        // This also refuses a price in another than its canonical form, because the digest is of that form.
        if event.fingerprint() == document.fingerprint { Ok(event) } else { Err(InvalidEvent::Fingerprint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document() -> ChangeEventDocument {
        serde_json::from_value(serde_json::json!({
            "schemaVersion": 1,
            "eventId": "019c141b-9a00-7d2e-9f10-2b3c4d5e6f70",
            "type": "DELETE",
            "productId": "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84",
            "occurredAt": "2026-01-31T12:00:00.000Z",
            "actor": {"sourceIp": "203.0.113.9"},
            "requestId": "req-1",
            "expectedVersion": 3,
            "fingerprint": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a",
        }))
        .unwrap()
    }

    fn content() -> ProductContent {
        ProductContent {
            name: "Oak table".to_owned(),
            price: "19.99".to_owned(),
            currency: "EUR".to_owned(),
            ..ProductContent::default()
        }
    }

    #[test]
    fn converts_document_to_event_and_back() {
        let event = ChangeEvent::try_from(document()).unwrap();
        assert_eq!(event.change, Change::Delete { expected_version: Some(3) });
        assert_eq!(ChangeEventDocument::from(&event), document());
    }

    fn patch() -> ProductPatch {
        serde_json::from_value(serde_json::json!({"price": "24.50", "sku": null})).unwrap()
    }

    #[test]
    fn carries_patch_in_place_of_product() {
        let event = ChangeEvent {
            change: Change::Patch { patch: patch(), expected_version: None },
            ..ChangeEvent::try_from(document()).unwrap()
        };
        let document = ChangeEventDocument::from(&event);
        assert_eq!((document.change_type, &document.product), (ChangeType::Update, &None));
        assert_eq!(document.patch, Some(patch()));
        let requested = serde_json::json!({"patch": {"price": "24.50", "sku": null}});
        assert_eq!(document.fingerprint, canonical_digest(&requested));
        assert_eq!(ChangeEvent::try_from(document), Ok(event));
    }

    #[test]
    fn computes_fingerprint_from_content_alone() {
        let details = |price: &str| ProductContent { price: price.to_owned(), ..content() }.check().unwrap();
        assert_eq!(fingerprint(Some(&details("19.990"))), fingerprint(Some(&details("19.99"))));
        assert_ne!(fingerprint(Some(&details("19.98"))), fingerprint(Some(&details("19.99"))));
    }

    #[test]
    fn rejects_invalid_documents() {
        let refused = |change: &dyn Fn(&mut ChangeEventDocument)| {
            let mut changed = document();
            change(&mut changed);
            ChangeEvent::try_from(changed).unwrap_err()
        };
        assert_eq!(refused(&|d| d.schema_version = 2), InvalidEvent::SchemaVersion(2));
        assert!(matches!(refused(&|d| d.product = Some(content())), InvalidEvent::Shape(_)));
        assert!(matches!(refused(&|d| d.change_type = ChangeType::Create), InvalidEvent::Shape(_)));
        assert!(matches!(refused(&|d| d.change_type = ChangeType::Update), InvalidEvent::Shape(_)));
        assert!(matches!(refused(&|d| d.patch = Some(patch())), InvalidEvent::Shape(_)));
        let both = refused(&|d| {
            d.change_type = ChangeType::Update;
            (d.product, d.patch) = (Some(content()), Some(patch()));
        });
        assert_eq!(both.to_string(), "an UPDATE must have exactly one of product and patch");
        assert!(matches!(refused(&|d| d.expected_version = Some(0)), InvalidEvent::Shape(_)));
        assert!(matches!(refused(&|d| d.request_id = String::new()), InvalidEvent::Shape(_)));
        assert_eq!(refused(&|d| d.fingerprint = "0".repeat(64)), InvalidEvent::Fingerprint);
        let unreadable = refused(&|d| {
            d.change_type = ChangeType::Update;
            d.product = Some(ProductContent { name: " secret".to_owned(), ..content() });
        });
        assert_eq!(unreadable.to_string(), "the product is invalid: name INVALID_FORMAT");
    }
}
