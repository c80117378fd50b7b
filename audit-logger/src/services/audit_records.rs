//! The records of one message, each written to the audit log.

use aws_lambda_events::dynamodb::EventRecord;

use crate::models::stream_record::{UnreadableRecord, audit_object};
use crate::repositories::audit_log::{AuditLog, AuditLogError, Written};

/// How many objects a message made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Audited {
    pub written: usize,
    /// There already, from an earlier delivery.
    pub repeated: usize,
    /// Records that are not for the audit log.
    pub ignored: usize,
}

/// Why a message is not done with. What of it is written already is written again to no effect.
#[derive(Debug, thiserror::Error)]
pub enum NotAudited {
    #[error(transparent)]
    Record(#[from] UnreadableRecord),
    #[error(transparent)]
    Log(#[from] AuditLogError),
}

/// Writes what the records ask for.
pub async fn audit_records(log: &dyn AuditLog, records: &[EventRecord]) -> Result<Audited, NotAudited> {
    let mut audited = Audited::default();
    for record in records {
        match audit_object(record)? {
            None => audited.ignored += 1,
            Some(object) => match log.write(&object).await? {
                Written::Now => {
                    tracing::info!(objectKey = object.key, "audited");
                    audited.written += 1;
                }
                Written::Before => audited.repeated += 1,
            },
        }
    }
    Ok(audited)
}
