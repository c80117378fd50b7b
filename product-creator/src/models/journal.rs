//! The journal: what became of each change, for ever. An entry is written in the table beside the product, in the same
//! transaction, and ends as an object of the audit log, field for field.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::change_event::{Actor, ChangeEvent, ChangeType, hex};
use super::identifiers::{EventId, ProductId};
use super::product::ProductDocument;
use super::timestamp::Timestamp;

/// The form of entry that this code writes.
pub const SCHEMA_VERSION: u32 = 1;
/// `prevHash` of a product's first applied entry.
pub const CHAIN_START: &str = "0000000000000000000000000000000000000000000000000000000000000000";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Outcome {
    /// The product changed.
    Applied,
    /// What was asked for was so already.
    Duplicate,
    /// It cannot be done, for a reason.
    Rejected,
    /// A newer change had been applied before this one arrived.
    Superseded,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Reason {
    AlreadyExists,
    NotFound,
    PreconditionFailed,
}

/// Marks the kind of audit record; other kinds are written by audit-logger.
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
    /// When it was decided.
    pub recorded_at: Timestamp,
    pub actor: Actor,
    pub request_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_version: Option<u64>,
    pub fingerprint: String,
    pub outcome: Outcome,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The product's version after this entry; absent when there is no product.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<ProductDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ProductDocument>,
    /// `hash` of the product's previous applied entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev_hash: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

impl JournalEntry {
    /// An entry for a change that left everything as it was.
    pub fn unapplied(
        event: &ChangeEvent,
        recorded_at: Timestamp,
        outcome: Outcome,
        reason: Option<Reason>,
        version: Option<u64>,
    ) -> Self {
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
            outcome,
            reason,
            version,
            before: None,
            after: None,
            prev_hash: None,
            hash: None,
        }
    }

    /// An entry for an applied change, linked to the product's chain and sealed with its hash.
    pub fn applied(
        event: &ChangeEvent,
        recorded_at: Timestamp,
        before: Option<ProductDocument>,
        after: ProductDocument,
        prev_hash: &str,
    ) -> Self {
        let mut entry = Self {
            before,
            prev_hash: Some(prev_hash.to_owned()),
            ..Self::unapplied(event, recorded_at, Outcome::Applied, None, Some(after.version))
        };
        entry.after = Some(after);
        entry.hash = Some(entry.digest());
        entry
    }

    /// SHA-256, in hexadecimal, of the canonical JSON (RFC 8785) of the entry without its `hash`.
    pub fn digest(&self) -> String {
        let unsealed = Self { hash: None, ..self.clone() };
        // Texts, whole numbers, lists and maps with text keys: there is nothing in it that JSON cannot hold.
        let canonical = serde_json_canonicalizer::to_vec(&unsealed).unwrap_or_default();
        hex(&Sha256::digest(canonical))
    }
}
