//! The port: everything this function asks of the table.

use async_trait::async_trait;

use crate::models::change::RecordedChange;
use crate::models::identifiers::{EventId, ProductId};
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

/// Recorded changes of one product, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordedChanges {
    pub changes: Vec<RecordedChange>,
    /// Whether there are older ones.
    pub more: bool,
}

/// `dynamodb:GetItem` and `dynamodb:Query` on the table only.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait ProductReader: Send + Sync {
    /// The product, deleted or not; `None` for an id that was never created.
    ///
    /// The read is eventually consistent: it costs half, and a client that waits for a change polls anyway.
    async fn read(&self, id: ProductId) -> Result<Option<Product>, ReadError>;

    /// The event that created the product, deleted or not; `None` for an ID that was never created. Strongly consistent.
    async fn creation(&self, id: ProductId) -> Result<Option<EventId>, ReadError>;

    /// The journal entry of a change; `None` if there is none, or no longer. Strongly consistent: a client that has read
    /// an outcome must not see it pending again.
    async fn change(&self, id: ProductId, event_id: EventId) -> Result<Option<RecordedChange>, ReadError>;

    /// At most `limit` of the product's journal entries older than `before`, newest first. Strongly consistent.
    ///
    /// Fewer than `limit` don't mean that there are no more: DynamoDB reads at most 1 MB at once.
    async fn changes(&self, id: ProductId, before: Option<EventId>, limit: usize)
    -> Result<RecordedChanges, ReadError>;
}
