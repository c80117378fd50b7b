//! The journal: one entry for each change, with its outcome. An entry is written to the table in the same transaction as
//! the product, and becomes an object of the audit log, field for field.

use serde::{Deserialize, Serialize};

use super::canonical_json::canonical_digest;
use super::change_event::{Actor, Change, ChangeEvent, ChangeType, Requested};
use super::identifiers::{EventId, ProductId};
use super::product::Product;
use super::timestamp::Timestamp;

/// The schema version that this code writes.
pub const SCHEMA_VERSION: u32 = 1;
/// `prevHash` of a product's first applied entry.
pub const CHAIN_START: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// The product was changed.
    Applied,
    /// The product was already as requested.
    Duplicate,
    /// The change was refused, for a reason.
    Rejected,
    /// A newer change was applied before this one was processed.
    Superseded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    AlreadyExists,
    NotFound,
    PreconditionFailed,
    /// Another active product has the SKU.
    SkuTaken,
    /// The patch makes the product invalid.
    InvalidResult,
}

/// The kind of audit record. audit-logger writes other kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum RecordType {
    Change,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JournalEntry {
    pub schema_version: u32,
    pub record_type: RecordType,
    pub event_id: EventId,
    #[serde(rename = "type")]
    pub change_type: ChangeType,
    pub product_id: ProductId,
    /// When the edge accepted the change.
    pub occurred_at: Timestamp,
    /// When the outcome was decided.
    pub recorded_at: Timestamp,
    pub actor: Actor,
    pub request_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<u64>,
    pub fingerprint: String,
    /// The object that the fingerprint is of, where no `after` shows it: in a rejected or superseded entry, and in the
    /// applied entry of a patch. A deletion has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<Requested>,
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The product's version after this entry; absent when there is no product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Product>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Product>,
    /// `hash` of the product's previous applied entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

impl JournalEntry {
    /// An entry for a change that was not applied. `version` is the product's, if there is a product.
    pub fn unapplied(
        event: &ChangeEvent,
        recorded_at: Timestamp,
        outcome: Outcome,
        reason: Option<Reason>,
        version: Option<u64>,
    ) -> Self {
        let requested = match outcome {
            Outcome::Rejected | Outcome::Superseded => event.requested(),
            Outcome::Applied | Outcome::Duplicate => None,
        };
        Self { reason, requested, ..Self::new(event, recorded_at, outcome, version) }
    }

    /// An entry for an applied change, linked to the product's hash chain, and its `hash`.
    pub fn applied(
        event: &ChangeEvent,
        recorded_at: Timestamp,
        before: Option<Product>,
        after: Product,
        prev_hash: &str,
    ) -> (Self, String) {
        let requested = match event.change {
            Change::Patch { .. } => event.requested(),
            Change::Create(_) | Change::Update { .. } | Change::Delete { .. } => None,
        };
        let mut entry = Self {
            requested,
            before,
            prev_hash: Some(prev_hash.to_owned()),
            ..Self::new(event, recorded_at, Outcome::Applied, Some(after.version))
        };
        entry.after = Some(after);
        let hash = entry.digest();
        entry.hash = Some(hash.clone());
        (entry, hash)
    }

    fn new(event: &ChangeEvent, recorded_at: Timestamp, outcome: Outcome, version: Option<u64>) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            record_type: RecordType::Change,
            event_id: event.event_id,
            change_type: event.change_type(),
            product_id: event.product_id,
            occurred_at: event.occurred_at,
            recorded_at,
            actor: event.actor.clone(),
            request_id: event.request_id.clone(),
            expected_version: event.expected_version(),
            fingerprint: event.fingerprint(),
            requested: None,
            outcome,
            reason: None,
            version,
            before: None,
            after: None,
            prev_hash: None,
            hash: None,
        }
    }

    /// SHA-256, in hexadecimal, of the canonical JSON (RFC 8785) of the entry without its `hash`.
    pub fn digest(&self) -> String {
        canonical_digest(&Self { hash: None, ..self.clone() })
    }
}
