//! What can go wrong between a function and the services it calls.

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

use super::product_item::UnreadableItem;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a port could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Not reached, throttled or failing, after the client's own retries. The same call may succeed later.
    #[error("cannot be reached")]
    Unavailable(#[source] Cause),
    /// Refused in a way that a repetition cannot change: a missing permission or table, an invalid request.
    #[error("refused the call")]
    Refused(#[source] Cause),
    /// Something is stored that no function writes.
    #[error("holds an item that cannot be read")]
    Unreadable(#[from] UnreadableItem),
}

/// Codes with which AWS services say "later" rather than "no"; 5xx and failures on the way are "later" too.
const LATER: [&str; 6] = [
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "Throttling",
    "ThrottlingException",
    "RequestThrottled",
    "TransactionInProgressException",
];

impl<E> From<SdkError<E>> for StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Self {
        let refused = match &error {
            SdkError::ServiceError(answer) => {
                let code = answer.err().code().unwrap_or_default();
                !LATER.contains(&code) && answer.raw().status().is_client_error()
            }
            SdkError::ConstructionFailure(_) => true,
            _ => false,
        };
        if refused { Self::Refused(error.into()) } else { Self::Unavailable(error.into()) }
    }
}
