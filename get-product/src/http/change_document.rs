//! A change in JSON, as callers get it.

use serde::Serialize;
use serde_json::Value;

use crate::models::change::{ChangeType, Outcome, RecordedChange};
use crate::models::identifiers::{EventId, ProductId};
use crate::models::product::ProductDocument;
use crate::models::timestamp::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
enum Status {
    Pending,
    Applied,
    Duplicate,
    Rejected,
    Superseded,
}

impl From<Outcome> for Status {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Applied => Self::Applied,
            Outcome::Duplicate => Self::Duplicate,
            Outcome::Rejected => Self::Rejected,
            Outcome::Superseded => Self::Superseded,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeDocument {
    event_id: EventId,
    product_id: ProductId,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    change_type: Option<ChangeType>,
    status: Status,
    /// Whether the outcome is final.
    done: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<u64>,
    occurred_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    requested: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<ProductDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<ProductDocument>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
}

impl ChangeDocument {
    /// A change that is not recorded yet. Only its IDs are known, and the time in the event ID.
    pub fn pending(product_id: ProductId, event_id: EventId) -> Self {
        Self {
            event_id,
            product_id,
            change_type: None,
            status: Status::Pending,
            done: false,
            reason: None,
            version: None,
            occurred_at: event_id.timestamp(),
            recorded_at: None,
            request_id: None,
            requested: None,
            before: None,
            after: None,
            prev_hash: None,
            hash: None,
        }
    }
}

impl From<RecordedChange> for ChangeDocument {
    fn from(change: RecordedChange) -> Self {
        Self {
            event_id: change.event_id,
            product_id: change.product_id,
            change_type: Some(change.change_type),
            status: change.outcome.into(),
            done: true,
            reason: change.reason,
            version: change.version,
            occurred_at: change.occurred_at,
            recorded_at: Some(change.recorded_at),
            request_id: Some(change.request_id),
            requested: change.requested,
            before: change.before,
            after: change.after,
            prev_hash: change.prev_hash,
            hash: change.hash,
        }
    }
}
