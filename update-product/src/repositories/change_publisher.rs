//! The port to the change queue.

use async_trait::async_trait;

use super::store_error::StoreError;
use crate::models::change_event::ChangeEvent;

/// `sqs:SendMessage`, and no more.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait ChangePublisher: Send + Sync {
    /// Puts the change on the queue. `Ok` means that the queue has it: from here on it is not lost.
    ///
    /// After an error the queue may have it all the same (the answer was lost); a change that is sent twice is applied
    /// once.
    async fn publish(&self, event: &ChangeEvent) -> Result<(), StoreError>;
}
