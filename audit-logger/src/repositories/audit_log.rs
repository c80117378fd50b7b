//! The port: everything this function asks of the audit log.

use async_trait::async_trait;

use crate::models::audit_object::AuditObject;

type Cause = Box<dyn std::error::Error + Send + Sync>;

/// How an object came to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Created,
    /// An earlier delivery wrote the same object.
    Existed,
}

#[derive(Debug, thiserror::Error)]
pub enum AuditLogError {
    /// The bucket was unreachable, throttled or failing, after the client's own retries. The same call may succeed later.
    #[error("the audit bucket is unavailable")]
    Unavailable(#[source] Cause),
    /// The bucket refused the call, and will refuse it again: a missing permission or bucket.
    #[error("the audit bucket refused the call")]
    Refused(#[source] Cause),
    /// The key has another object. Somebody must look at it: two records of one event can't both be true.
    #[error("the audit bucket has a different object with key {0}")]
    Different(String),
}

/// `s3:PutObject`, and `s3:GetObject` to compare.
#[cfg_attr(test, mockall::automock)]
#[async_trait]
pub trait AuditLog: Send + Sync {
    /// Writes the object unless it exists. An existing object is never overwritten.
    async fn write(&self, object: &AuditObject) -> Result<Written, AuditLogError>;
}
