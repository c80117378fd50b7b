//! A change to a product, as it travels through the queue: the message body, schema version 1.
//!
//! [`ChangeEvent`] cannot represent an invalid change (a deletion with content, a creation with an expected version);
//! [`ChangeEventDocument`] is its JSON, which can.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::canonical_json::canonical_digest;
use super::identifiers::{EventId, ProductId};
use super::json_object::JsonObject;
use super::product_content::ProductContent;
use super::product_patch::ProductPatch;
use super::product_rules::OutputFields;
use super::timestamp::Timestamp;
use super::violation::Violation;

/// The schema version that this code writes and reads.
pub const SCHEMA_VERSION: u32 = 1;

/// The change that a caller requests. An update or a deletion with `expected_version` applies only to that version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Create(ProductContent),
    /// A full replacement of the content (PUT).
    Update {
        content: ProductContent,
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
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub api_key_id: Option<String>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
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
            Change::Create(content) | Change::Update { content, .. } => Some(Requested::Product(content.clone())),
            Change::Patch { patch, .. } => Some(Requested::Patch(patch.clone())),
            Change::Delete { .. } => None,
        }
    }

    /// Digest of the requested change. Requests for the same content have the same fingerprint.
    pub fn fingerprint(&self) -> String {
        fingerprint(self.requested().as_ref())
    }
}

/// The object that a fingerprint is the digest of: `{"product": …}` or `{"patch": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Requested {
    Product(ProductContent),
    Patch(ProductPatch),
}

/// SHA-256, in hexadecimal, of the canonical JSON (RFC 8785) of the requested object; of `{}` for a deletion.
pub fn fingerprint(requested: Option<&Requested>) -> String {
    requested.map_or_else(|| canonical_digest(&Map::new()), canonical_digest)
}

/// The message body. An optional member is absent, not `null`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChangeEventDocument {
    pub schema_version: u32,
    pub event_id: EventId,
    #[serde(rename = "type")]
    pub change_type: ChangeType,
    pub product_id: ProductId,
    pub occurred_at: Timestamp,
    #[serde(deserialize_with = "object")]
    pub actor: Actor,
    pub request_id: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<u64>,
    pub fingerprint: String,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub product: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "present", skip_serializing_if = "Option::is_none")]
    pub patch: Option<ProductPatch>,
}

/// An optional member that is there. `null` is a value like any other: serde would take it for an absent member.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A struct from a JSON object only: serde also reads the fields of a struct from an array, by position.
fn object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Object<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }
    deserializer.deserialize_map(Object(PhantomData))
}

impl ChangeEventDocument {
    /// Reads a message body.
    pub fn parse(json: &str) -> Result<Self, serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(json);
        let document = object(&mut deserializer)?;
        deserializer.end()?;
        Ok(document)
    }
}

/// Content in normal form, as the edge queues it: trimmed, with the currency's decimals, and without empty members.
fn read_content(json: &RawValue) -> Result<ProductContent, InvalidEvent> {
    let object: JsonObject =
        serde_json::from_str(json.get()).map_err(|_| InvalidEvent::Shape("product must be an object"))?;
    let content = ProductContent::parse(&object, OutputFields::Unknown).map_err(InvalidEvent::Product)?;
    let is_normal = serde_json::from_str::<Map<String, Value>>(json.get()).is_ok_and(|json| json == content.to_json());
    if is_normal { Ok(content) } else { Err(InvalidEvent::Shape("product must be in normal form")) }
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
            Some(Requested::Product(content)) => (Some(content), None),
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
            product: product.map(|content| to_raw_value(&content).expect("content is a JSON object")),
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
        let Actor { api_key_id, source_ip } = &document.actor;
        if [api_key_id, source_ip].into_iter().flatten().any(String::is_empty) {
            return Err(InvalidEvent::Shape("actor must not have empty members"));
        }
        let content = document.product.as_deref().map(read_content).transpose()?;
        let expected_version = document.expected_version;
        let change = match (document.change_type, content, document.patch) {
            (ChangeType::Create, Some(content), None) if expected_version.is_none() => Change::Create(content),
            (ChangeType::Update, Some(content), None) => Change::Update { content, expected_version },
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
        serde_json::from_value(serde_json::json!({"name": "Oak table", "price": "19.99", "currency": "EUR"})).unwrap()
    }

    fn product(json: Value) -> Option<Box<RawValue>> {
        Some(to_raw_value(&json).unwrap())
    }

    fn json_of(document: &ChangeEventDocument) -> Value {
        serde_json::to_value(document).unwrap()
    }

    #[test]
    fn converts_document_to_event_and_back() {
        let event = ChangeEvent::try_from(document()).unwrap();
        assert_eq!(event.change, Change::Delete { expected_version: Some(3) });
        assert_eq!(json_of(&ChangeEventDocument::from(&event)), json_of(&document()));
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
        assert_eq!((document.change_type, document.product.is_some()), (ChangeType::Update, false));
        assert_eq!(document.patch, Some(patch()));
        let requested = serde_json::json!({"patch": {"price": "24.50", "sku": null}});
        assert_eq!(document.fingerprint, canonical_digest(&requested));
        assert_eq!(ChangeEvent::try_from(document), Ok(event));
    }

    #[test]
    fn computes_fingerprint_from_content_alone() {
        let (request, event) = (Requested::Product(content()), ChangeEvent::try_from(document()).unwrap());
        let creation = ChangeEvent { change: Change::Create(content()), ..event.clone() };
        let replacement = Change::Update { content: content(), expected_version: Some(3) };
        let replacement = ChangeEvent { change: replacement, request_id: "req-2".to_owned(), ..event };
        assert_eq!(
            [creation.fingerprint(), replacement.fingerprint()],
            [fingerprint(Some(&request)), fingerprint(Some(&request))]
        );
        assert_ne!(fingerprint(Some(&request)), fingerprint(Some(&Requested::Patch(patch()))));
    }

    #[test]
    fn rejects_invalid_documents() {
        let refused = |change: &dyn Fn(&mut ChangeEventDocument)| {
            let mut changed = document();
            change(&mut changed);
            ChangeEvent::try_from(changed).unwrap_err()
        };
        assert_eq!(refused(&|d| d.schema_version = 2), InvalidEvent::SchemaVersion(2));
        assert!(matches!(refused(&|d| d.product = product(content().to_json().into())), InvalidEvent::Shape(_)));
        assert!(matches!(refused(&|d| d.change_type = ChangeType::Create), InvalidEvent::Shape(_)));
        assert!(matches!(refused(&|d| d.change_type = ChangeType::Update), InvalidEvent::Shape(_)));
        assert!(matches!(refused(&|d| d.patch = Some(patch())), InvalidEvent::Shape(_)));
        let both = refused(&|d| {
            d.change_type = ChangeType::Update;
            (d.product, d.patch) = (product(content().to_json().into()), Some(patch()));
        });
        assert_eq!(both.to_string(), "an UPDATE must have exactly one of product and patch");
        assert!(matches!(refused(&|d| d.expected_version = Some(0)), InvalidEvent::Shape(_)));
        assert!(matches!(refused(&|d| d.request_id = String::new()), InvalidEvent::Shape(_)));
        assert_eq!(refused(&|d| d.fingerprint = "0".repeat(64)), InvalidEvent::Fingerprint);
        assert!(matches!(refused(&|d| d.actor.api_key_id = Some(String::new())), InvalidEvent::Shape(_)));
    }

    #[test]
    fn rejects_invalid_content_and_content_that_is_not_in_normal_form() {
        let refused = |field: &str, value: Value| {
            let mut json = content().to_json();
            json.insert(field.to_owned(), value);
            let changed =
                ChangeEventDocument { change_type: ChangeType::Update, product: product(json.into()), ..document() };
            ChangeEvent::try_from(changed).unwrap_err().to_string()
        };
        assert_eq!(refused("name", "secret\u{7}".into()), "the product is invalid: name INVALID_FORMAT");
        for (field, value) in [
            ("name", " Oak table".into()),
            ("price", "19.990".into()),
            ("price", serde_json::json!(19.99)),
            ("sku", Value::Null),
            ("tags", serde_json::json!([])),
            ("attributes", serde_json::json!({})),
        ] {
            assert_eq!(refused(field, value.clone()), "product must be in normal form", "{field}: {value}");
        }
    }

    #[test]
    fn rejects_null_in_place_of_absent_member() {
        for member in ["expectedVersion", "product", "patch"] {
            let mut json = json_of(&document());
            json[member] = Value::Null;
            let parsed = ChangeEventDocument::parse(&json.to_string()).map(ChangeEvent::try_from);
            assert!(!matches!(parsed, Ok(Ok(_))), "{member}");
        }
    }

    #[test]
    fn rejects_arrays_in_place_of_objects() {
        let mut json = json_of(&document());
        assert!(ChangeEventDocument::parse(&json.to_string()).is_ok());
        let positions = [
            "schemaVersion",
            "eventId",
            "type",
            "productId",
            "occurredAt",
            "actor",
            "requestId",
            "expectedVersion",
            "fingerprint",
        ];
        let by_position: Vec<Value> = positions.iter().map(|member| json[*member].clone()).collect();
        let error = ChangeEventDocument::parse(&Value::from(by_position).to_string()).unwrap_err();
        assert!(error.to_string().contains("expected an object"), "{error}");
        json["actor"] = Value::Array(vec![]);
        assert!(ChangeEventDocument::parse(&json.to_string()).is_err());
    }
}
