//! The port to the table.

use async_trait::async_trait;

use super::store_error::StoreError;
use crate::models::identifiers::{EventId, ProductId};

/// How a product came into being.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    pub event_id: EventId,
    pub fingerprint: String,
}

/// `dynamodb:GetItem`, and no more; and only for requests with an idempotency key.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait CreationReader: Send + Sync {
    /// The creation of a product, which may have been changed or deleted since; `None` if there was none so far.
    /// The read is strongly consistent.
    async fn creation(&self, id: ProductId) -> Result<Option<Creation>, StoreError>;
}
