//! The port: everything this function asks of the table.

use async_trait::async_trait;

use crate::models::identifiers::{EventId, ProductId};
use crate::models::journal::JournalEntry;
use crate::models::product_state::ProductState;

/// What is written about one event, all of it or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The product's last event when it was read; `None` if there was no product.
    pub seen: Option<EventId>,
    /// The product as it becomes; `None` if it stays as it is.
    pub next: Option<ProductState>,
    pub entry: JournalEntry,
    /// At most one for each SKU.
    pub claims: Vec<ClaimWrite>,
}

/// What a commit does to the claim of a SKU, and on which condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClaimWrite {
    /// The product takes the SKU, unless another product holds it.
    Take { sku: String },
    /// The product releases the SKU, which it holds.
    Release { sku: String },
    /// Nothing is written, provided that `holder` still holds the SKU.
    Check { sku: String, holder: ProductId },
}

impl ClaimWrite {
    pub fn sku(&self) -> &str {
        match self {
            Self::Take { sku } | Self::Release { sku } | Self::Check { sku, .. } => sku,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Committed {
    Done,
    /// The journal holds the event already. Nothing was written.
    AlreadyRecorded,
    /// The product is no longer as it was read, or another transaction is under way. Nothing was written.
    Outdated,
    /// The condition on this claim failed. Nothing was written.
    ClaimFailed(String),
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

/// `dynamodb:GetItem`, and one `TransactWriteItems` (`PutItem`, `DeleteItem`, `ConditionCheckItem`).
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait ChangeStore: Send + Sync {
    /// The product as it is now, deleted or not; `None` for an ID that was never created. Strongly consistent.
    async fn current(&self, id: ProductId) -> Result<Option<ProductState>, ChangeStoreError>;

    /// The product that holds the SKU now. Strongly consistent.
    async fn holder(&self, sku: &str) -> Result<Option<ProductId>, ChangeStoreError>;

    /// Writes product, journal entry and claims in one transaction, provided that the product's last event is still the
    /// one that was seen, that the journal does not hold the event, and that the conditions of the claims hold.
    ///
    /// After `Unavailable` it may have been written nevertheless (the response was lost).
    async fn commit(&self, commit: &Commit) -> Result<Committed, ChangeStoreError>;
}
