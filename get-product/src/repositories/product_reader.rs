//! The port: everything this function asks of the table.

use async_trait::async_trait;

use crate::models::identifiers::ProductId;
use crate::models::product::Product;

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
pub trait ProductReader: Send + Sync {
    /// The product, deleted or not; `None` for an id that was never created.
    ///
    /// The read is eventually consistent: it costs half, and a client that waits for a change polls anyway.
    async fn read(&self, id: ProductId) -> Result<Option<Product>, ReadError>;
}
