//! Brings one record of the stream to the audit log.

use aws_lambda_events::dynamodb::EventRecord;

use crate::models::stream_record::{AuditAction, UnreadableRecord, audit_action};
use crate::repositories::audit_log::{AuditLog, AuditLogError, Written};

/// The result of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Audited {
    Written,
    /// The object exists from an earlier delivery.
    Repeated,
    /// A journal entry expired in the table.
    Expired,
    Ignored,
}

/// Why a record was not audited. Its message must be redelivered.
#[derive(Debug, thiserror::Error)]
pub enum NotAudited {
    #[error(transparent)]
    Record(#[from] UnreadableRecord),
    #[error(transparent)]
    Log(#[from] AuditLogError),
}

pub async fn audit_record(log: &dyn AuditLog, record: &EventRecord) -> Result<Audited, NotAudited> {
    let object = match audit_action(record)? {
        AuditAction::Write(object) => object,
        AuditAction::CountExpired => return Ok(Audited::Expired),
        AuditAction::Ignore => return Ok(Audited::Ignored),
    };
    match log.write(&object).await? {
        Written::Created => {
            tracing::info!(objectKey = object.key, "audit record written");
            Ok(Audited::Written)
        }
        Written::Existed => Ok(Audited::Repeated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repositories::audit_log::MockAuditLog;

    fn removal(pk: &str) -> EventRecord {
        serde_json::from_value(serde_json::json!({
            "eventID": "1", "eventName": "REMOVE", "awsRegion": "eu-west-1",
            "dynamodb": {
                "ApproximateCreationDateTime": 1_769_860_800, "SizeBytes": 26,
                "Keys": {"PK": {"S": pk}, "SK": {"S": "META"}}, "OldImage": {"PK": {"S": pk}},
            },
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn distinguishes_written_repeated_and_ignored_records() {
        for (pk, written, expected) in [
            ("PRODUCT#1", Some(Written::Created), Audited::Written),
            ("PRODUCT#1", Some(Written::Existed), Audited::Repeated),
            ("SOMETHING#1", None, Audited::Ignored),
        ] {
            let mut log = MockAuditLog::new();
            log.expect_write().times(usize::from(written.is_some())).returning(move |_| Ok(written.unwrap()));
            assert_eq!(audit_record(&log, &removal(pk)).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn returns_error_when_object_is_not_written() {
        let mut log = MockAuditLog::new();
        log.expect_write().times(1).returning(|object| Err(AuditLogError::Different(object.key.clone())));
        let audited = audit_record(&log, &removal("PRODUCT#1")).await;
        assert!(matches!(audited, Err(NotAudited::Log(AuditLogError::Different(_)))));
    }
}
