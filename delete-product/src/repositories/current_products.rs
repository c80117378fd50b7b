//! The port to the table.

use async_trait::async_trait;

use crate::models::identifiers::{EventId, ProductId};
use crate::models::product_status::Status;

/// As much of a product as decides whether it can be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurrentProduct {
    pub status: Status,
    pub version: u64,
    pub last_event_id: EventId,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the table could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
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

/// `dynamodb:GetItem` only.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait CurrentProducts: Send + Sync {
    /// The product as it is now, deleted or not; `None` for an ID that was never created. The read is strongly consistent.
    async fn current(&self, id: ProductId) -> Result<Option<CurrentProduct>, ReadError>;
}
