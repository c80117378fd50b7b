//! The port: everything this function asks of the table.

use async_trait::async_trait;

use crate::models::identifiers::{EventId, ProductId};
use crate::models::journal::JournalEntry;
use crate::services::decide::ProductState;

/// What is written about one event, all of it or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The product's last event when it was read; `None` if there was no product.
    pub seen: Option<EventId>,
    /// The product as it becomes; `None` if it stays as it is.
    pub next: Option<ProductState>,
    pub entry: JournalEntry,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Committed {
    Done,
    /// The journal holds the event already. Nothing was written.
    AlreadyRecorded,
    /// The product is no longer as it was read, or another change is under way. Nothing was written.
    Outdated,
}

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the table did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ChangeStoreError {
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

/// `dynamodb:GetItem`, and one `TransactWriteItems` (`PutItem`, `ConditionCheckItem`).
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait ChangeStore: Send + Sync {
    /// The product as it is now, deleted or not; `None` for an id that was never created. Strongly consistent.
    async fn current(&self, id: ProductId) -> Result<Option<ProductState>, ChangeStoreError>;

    /// Writes the product and the journal entry in one transaction, provided that the product's last event is still
    /// the one that was seen and that the journal does not hold the event.
    ///
    /// After `Unavailable` it may have been written all the same (the answer was lost).
    async fn commit(&self, commit: &Commit) -> Result<Committed, ChangeStoreError>;
}
