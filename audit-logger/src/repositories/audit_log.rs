//! The port: everything this function asks of the audit log.

use async_trait::async_trait;

use crate::models::audit_object::AuditObject;

type CauseOf = Box<dyn std::error::Error + Send + Sync>;

/// How an object came to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Now,
    /// The very same object, by an earlier delivery.
    Before,
}

#[derive(Debug, thiserror::Error)]
pub enum AuditLogError {
    /// Not reached, throttled or failing, after the client's own retries. The same call may succeed later.
    #[error("the audit bucket cannot be reached")]
    Unavailable(#[source] CauseOf),
    /// Refused in a way that a repetition cannot change: a missing permission or bucket.
    #[error("the audit bucket refused the call")]
    Refused(#[source] CauseOf),
    /// Something else lies under the key. It must be looked at: two histories of one event cannot both be true.
    #[error("another object lies under {0}")]
    Different(String),
}

/// `s3:PutObject`, and `s3:GetObject` to compare.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Writes the object unless it is there; what is there is never overwritten.
    async fn write(&self, object: &AuditObject) -> Result<Written, AuditLogError>;
}
