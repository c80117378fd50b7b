//! A product: its content, and what the catalogue adds.

use serde::{Deserialize, Serialize};

use super::identifiers::{EventId, ProductId};
use super::product_content::ProductContent;
use super::product_status::Status;
use super::timestamp::Timestamp;

/// A product. Its JSON is what clients receive, and the before and after of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Product {
    #[serde(rename = "productId")]
    pub id: ProductId,
    #[serde(flatten)]
    pub content: ProductContent,
    pub status: Status,
    /// 1 for a new product, incremented by every applied change.
    pub version: u64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// The change that made this version.
    pub last_event_id: EventId,
}
