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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repositories::audit_log::MockAuditLog;

    fn removal(table_key: &str) -> EventRecord {
        serde_json::from_value(serde_json::json!({
            "eventID": "1", "eventName": "REMOVE", "awsRegion": "eu-west-1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_769_860_800, "SizeBytes": 26,
                "Keys": {"PK": {"S": table_key}, "SK": {"S": "META"}}, "OldImage": {"PK": {"S": table_key}},
            },
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn counts_what_it_writes_finds_and_leaves_out() {
        let mut log = MockAuditLog::new();
        let mut answers = [Written::Now, Written::Before].into_iter();
        log.expect_write().times(2).returning(move |_| Ok(answers.next().unwrap()));
        let records = [removal("PRODUCT#1"), removal("PRODUCT#2"), removal("SOMETHING#1")];
        let audited = audit_records(&log, &records).await.unwrap();
        assert_eq!(audited, Audited { written: 1, repeated: 1, ignored: 1 });
    }

    #[tokio::test]
    async fn an_object_that_is_not_written_is_an_error() {
        let mut log = MockAuditLog::new();
        log.expect_write().times(1).returning(|object| Err(AuditLogError::Different(object.key.clone())));
        let audited = audit_records(&log, &[removal("PRODUCT#1"), removal("PRODUCT#2")]).await;
        assert!(matches!(audited, Err(NotAudited::Log(AuditLogError::Different(_)))));
    }
}
