//! A change as the journal records it, read only: what became of a request to create, update or delete a product.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::identifiers::{EventId, ProductId};
use super::product::ProductDocument;
use super::timestamp::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ChangeType {
    Create,
    Update,
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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

/// A journal entry without the members that callers don't see: the actor and the fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordedChange {
    pub event_id: EventId,
    pub product_id: ProductId,
    #[serde(rename = "type")]
    pub change_type: ChangeType,
    pub outcome: Outcome,
    /// Why the change was rejected.
    pub reason: Option<String>,
    /// The product's version after the change, if there is a product.
    pub version: Option<u64>,
    pub occurred_at: Timestamp,
    pub recorded_at: Timestamp,
    pub request_id: String,
    /// The requested product or patch, as `{"product":…}` or `{"patch":…}`.
    pub requested: Option<Value>,
    pub before: Option<ProductDocument>,
    pub after: Option<ProductDocument>,
    pub prev_hash: Option<String>,
    pub hash: Option<String>,
}

impl RecordedChange {
    /// Whether this change created its product.
    pub fn is_creation(&self) -> bool {
        self.change_type == ChangeType::Create && self.outcome == Outcome::Applied
    }
}
