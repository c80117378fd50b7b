//! The port to the change queue.

use async_trait::async_trait;

use crate::models::change_event::ChangeEvent;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the queue did not confirm a change. It may have it all the same (the confirmation was lost).
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The queue was unreachable, throttled or failing, after the client's own retries. The same call may succeed later.
    #[error("the change queue is unavailable")]
    Unavailable(#[source] Cause),
    /// The queue refused the call, and will refuse it again: a missing permission or queue, an invalid message.
    #[error("the change queue refused the call")]
    Refused(#[source] Cause),
}

/// `sqs:SendMessage` only.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait ChangePublisher: Send + Sync {
    /// Puts the change on the queue. After `Ok` it cannot be lost; sent twice, it is applied once.
    async fn publish(&self, event: &ChangeEvent) -> Result<(), PublishError>;
}
