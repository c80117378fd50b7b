//! The port to the table.

use async_trait::async_trait;

use super::store_error::StoreError;
use crate::models::identifiers::{EventId, ProductId};
use crate::models::product::Status;

/// As much of a product as decides whether it can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentProduct {
    pub status: Status,
    pub version: u64,
    pub last_event_id: EventId,
}

/// `dynamodb:GetItem`, and no more.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait CurrentProducts: Send + Sync {
    /// The product as it is now, deleted or not; `None` for an id that was never created.
    /// The read is strongly consistent: what a caller has seen is there.
    async fn current(&self, id: ProductId) -> Result<Option<CurrentProduct>, StoreError>;
}
