//! The port to the table.

use async_trait::async_trait;

use crate::models::identifiers::{EventId, ProductId};
use crate::models::product_content::Sku;

/// How a product came into being.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creation {
    pub event_id: EventId,
    pub fingerprint: String,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the table could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// The table was unreachable, throttled or failing, after the client's own retries. The same call may succeed later.
    #[error("the products table is unavailable")]
    Unavailable(#[source] Cause),
    /// The table refused the call, and will refuse it again: a missing permission or table, an invalid request.
    #[error("the products table refused the call")]
    Refused(#[source] Cause),
    /// The table holds an item that no version of the functions writes.
    #[error("the products table holds an unreadable item")]
    Unreadable(#[source] Cause),
}

/// `dynamodb:GetItem` only. Both reads are strongly consistent.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait ProductLookup: Send + Sync {
    /// The creation of a product, which may have been changed or deleted since; `None` if there was none so far.
    /// Called only for a request with an idempotency key.
    async fn creation(&self, id: ProductId) -> Result<Option<Creation>, LookupError>;

    /// The active product that has the SKU. Called only for a request with a SKU.
    async fn sku_holder(&self, sku: &Sku) -> Result<Option<ProductId>, LookupError>;
}
