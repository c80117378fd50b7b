//! What the `META` item holds beside the product, for its writer.

use serde::{Deserialize, Serialize};

use super::product_item::{Item, UnreadableItem};
use crate::models::identifiers::EventId;
use crate::models::product_state::ProductState;
use crate::models::timestamp::Timestamp;

/// Where the product's present state comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProvenanceItem {
    /// `recordedAt` of the product's newest applied journal entry.
    pub recorded_at: Timestamp,
    /// `hash` of that entry.
    pub chain_hash: String,
    /// The event that created the product, and its fingerprint: they distinguish a repeated request from another one.
    pub create_event_id: EventId,
    pub create_fingerprint: String,
}

impl ProvenanceItem {
    pub fn read(item: Item) -> Result<Self, UnreadableItem> {
        Ok(serde_dynamo::from_item(item)?)
    }
}

impl From<&ProductState> for ProvenanceItem {
    fn from(state: &ProductState) -> Self {
        Self {
            recorded_at: state.recorded_at,
            chain_hash: state.chain_hash.clone(),
            create_event_id: state.create_event_id,
            create_fingerprint: state.create_fingerprint.clone(),
        }
    }
}
