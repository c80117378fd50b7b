//! A change to a product, as it travels through the queue: the message body, schema version 1.
//!
//! [`ChangeEvent`] cannot hold a change that makes no sense (a deletion with content, a creation that expects a
//! version); [`ChangeEventDocument`] is its JSON, which can.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::identifiers::{EventId, ProductId};
use super::product::ProductDetails;
use super::product_content::ProductContent;
use super::timestamp::Timestamp;
use super::violation::Violation;

/// The form of message body that this code writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Create(ProductDetails),
    /// A full replacement; with `expected_version` only if the product still has it.
    Update {
        details: ProductDetails,
        expected_version: Option<u64>,
    },
    Delete {
        expected_version: Option<u64>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChangeType {
    Create,
    Update,
    Delete,
}

/// Who asked for a change. The key's id, never the key.
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
    /// API Gateway's id of the request that asked for it.
    pub request_id: String,
    pub change: Change,
}

impl ChangeEvent {
    pub fn change_type(&self) -> ChangeType {
        match self.change {
            Change::Create(_) => ChangeType::Create,
            Change::Update { .. } => ChangeType::Update,
            Change::Delete { .. } => ChangeType::Delete,
        }
    }

    pub fn expected_version(&self) -> Option<u64> {
        match self.change {
            Change::Create(_) => None,
            Change::Update { expected_version, .. } | Change::Delete { expected_version } => expected_version,
        }
    }

    /// Digest of what was asked for; two requests for the same thing have the same.
    pub fn fingerprint(&self) -> String {
        match &self.change {
            Change::Create(details) | Change::Update { details, .. } => fingerprint(Some(details)),
            Change::Delete { .. } => fingerprint(None),
        }
    }
}

/// SHA-256, in hexadecimal, of the canonical JSON (RFC 8785) of `{"product": …}`, or of `{}` for a deletion.
pub fn fingerprint(details: Option<&ProductDetails>) -> String {
    #[derive(Serialize)]
    struct Asked {
        #[serde(skip_serializing_if = "Option::is_none")]
        product: Option<ProductContent>,
    }
    let asked = Asked { product: details.cloned().map(ProductContent::from) };
    // Texts, lists and maps with text keys: there is nothing in it that JSON cannot hold.
    let canonical = serde_json_canonicalizer::to_vec(&asked).unwrap_or_default();
    hex(&Sha256::digest(canonical))
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
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
}

/// Why a message body is no change event.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidEvent {
    #[error("schema version {0} is not known")]
    SchemaVersion(u32),
    #[error("the fields do not fit the type of change: {0}")]
    Shape(&'static str),
    #[error("the product breaks a rule: {}", paths(.0))]
    Product(Vec<Violation>),
    #[error("the fingerprint is not that of the content")]
    Fingerprint,
}

/// Fields and codes only: a product's texts do not belong in a log.
fn paths(violations: &[Violation]) -> String {
    let paths: Vec<String> = violations.iter().map(|found| format!("{} {}", found.field, found.code.name())).collect();
    paths.join(", ")
}

impl From<&ChangeEvent> for ChangeEventDocument {
    fn from(event: &ChangeEvent) -> Self {
        let product = match &event.change {
            Change::Create(details) | Change::Update { details, .. } => Some(details.clone().into()),
            Change::Delete { .. } => None,
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
            return Err(InvalidEvent::Shape("requestId is empty"));
        }
        if document.expected_version == Some(0) {
            return Err(InvalidEvent::Shape("expectedVersion is 0, and versions begin with 1"));
        }
        let details = document.product.map(|content| content.check().map_err(InvalidEvent::Product)).transpose()?;
        let expected_version = document.expected_version;
        let change = match (document.change_type, details) {
            (ChangeType::Create, Some(details)) if expected_version.is_none() => Change::Create(details),
            (ChangeType::Update, Some(details)) => Change::Update { details, expected_version },
            (ChangeType::Delete, None) => Change::Delete { expected_version },
            (ChangeType::Create, Some(_)) => return Err(InvalidEvent::Shape("a CREATE expects no version")),
            (ChangeType::Create | ChangeType::Update, None) => return Err(InvalidEvent::Shape("product is missing")),
            (ChangeType::Delete, Some(_)) => return Err(InvalidEvent::Shape("a DELETE has no product")),
        };
        let event = Self {
            event_id: document.event_id,
            product_id: document.product_id,
            occurred_at: document.occurred_at,
            actor: document.actor,
            request_id: document.request_id,
            change,
        };
        // It also finds a price that is not written as prices are: the digest is over the canonical form.
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
    fn a_document_and_its_event_say_the_same() {
        let event = ChangeEvent::try_from(document()).unwrap();
        assert_eq!(event.change, Change::Delete { expected_version: Some(3) });
        assert_eq!(ChangeEventDocument::from(&event), document());
    }

    #[test]
    fn a_fingerprint_depends_on_the_content_and_on_nothing_else() {
        let details = |price: &str| ProductContent { price: price.to_owned(), ..content() }.check().unwrap();
        assert_eq!(fingerprint(Some(&details("19.990"))), fingerprint(Some(&details("19.99"))));
        assert_ne!(fingerprint(Some(&details("19.98"))), fingerprint(Some(&details("19.99"))));
    }

    #[test]
    fn what_makes_no_sense_is_no_event() {
        let refused = |change: &dyn Fn(&mut ChangeEventDocument)| {
            let mut changed = document();
            change(&mut changed);
            ChangeEvent::try_from(changed).unwrap_err()
        };
        assert_eq!(refused(&|d| d.schema_version = 2), InvalidEvent::SchemaVersion(2));
        assert!(matches!(refused(&|d| d.product = Some(content())), InvalidEvent::Shape(_)));
        assert!(matches!(refused(&|d| d.change_type = ChangeType::Create), InvalidEvent::Shape(_)));
        assert!(matches!(refused(&|d| d.expected_version = Some(0)), InvalidEvent::Shape(_)));
        assert!(matches!(refused(&|d| d.request_id = String::new()), InvalidEvent::Shape(_)));
        assert_eq!(refused(&|d| d.fingerprint = "0".repeat(64)), InvalidEvent::Fingerprint);
        let unreadable = refused(&|d| {
            d.change_type = ChangeType::Update;
            d.product = Some(ProductContent { name: " secret".to_owned(), ..content() });
        });
        assert_eq!(unreadable.to_string(), "the product breaks a rule: name INVALID_FORMAT");
    }
}
