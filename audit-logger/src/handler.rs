//! Takes a batch of the audit queue and returns the messages to redeliver (a partial batch response).

use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::Duration;

use aws_lambda_events::dynamodb::EventRecord;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use futures_util::{FutureExt, StreamExt, stream};

use crate::batch::{Batch, Unnamed};
use crate::metrics::Metric;
use crate::repositories::audit_log::AuditLog;
use crate::services::audit_records::{Audited, NotAudited, audit_records};

/// Messages of a batch that are worked on at once; more would only wait for connections.
const AT_ONCE: usize = 32;

/// Why a message is redelivered and, after its last attempt, moved to the DLQ.
#[derive(Debug, thiserror::Error)]
enum Unhandled {
    #[error("the body is not a record of a DynamoDB stream: {0:?} error at line {1}, column {2}")]
    Unreadable(serde_json::error::Category, usize, usize),
    #[error("the record could not be written to the audit log")]
    NotAudited(#[from] NotAudited),
    #[error("the code panicked")]
    Panicked,
}

/// What became of a batch.
#[derive(Debug)]
pub struct BatchResult {
    pub response: SqsBatchResponse,
    pub metrics: Vec<Metric>,
}

/// Writes the records of a batch to the audit log within `time`. Records that aren't written by then are redelivered.
pub async fn handle(event: SqsEvent, log: &dyn AuditLog, time: Duration) -> Result<BatchResult, Unnamed> {
    let batch = Batch::new(&event);
    let total = Mutex::new(Audited::default());
    let work = stream::iter(event.records.iter().enumerate()).for_each_concurrent(AT_ONCE, |(place, message)| {
        let (batch, total) = (&batch, &total);
        async move {
            // One message must not take the batch with it, not even by a mistake in this code.
            let body = message.body.as_deref().unwrap_or_default();
            let audited = AssertUnwindSafe(audit(log, body)).catch_unwind().await;
            match audited.unwrap_or(Err(Unhandled::Panicked)) {
                Ok(audited) => {
                    batch.done(place);
                    if let Ok(mut total) = total.lock() {
                        total.written += audited.written;
                        total.repeated += audited.repeated;
                        total.ignored += audited.ignored;
                    }
                }
                Err(error) => batch.failed(place, &error),
            }
        }
    });
    if tokio::time::timeout(time, work).await.is_err() {
        tracing::error!("the batch was not done in time");
    }

    let response = batch.into_response()?;
    let total = total.into_inner().unwrap_or_default();
    let metrics = vec![
        Metric::count("BatchItemFailures", response.batch_item_failures.len()),
        Metric::count("AuditObjectsWritten", total.written),
        Metric::count("AuditObjectsRepeated", total.repeated),
    ];
    Ok(BatchResult { response, metrics })
}

/// The body is a stream record. EventBridge Pipes sends each on its own; a list of them is taken as well, since that is
/// the form in which a pipe hands a batch to other kinds of target.
async fn audit(log: &dyn AuditLog, body: &str) -> Result<Audited, Unhandled> {
    let read = |error: serde_json::Error| Unhandled::Unreadable(error.classify(), error.line(), error.column());
    let records: Vec<EventRecord> = if body.trim_start().starts_with('[') {
        serde_json::from_str(body).map_err(read)?
    } else {
        vec![serde_json::from_str(body).map_err(read)?]
    };
    Ok(audit_records(log, &records).await?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::audit_object::AuditObject;
    use crate::repositories::audit_log::{AuditLogError, Written};
    use async_trait::async_trait;
    use aws_lambda_events::sqs::SqsMessage;

    /// Panics over one object. (A generated mock could not be used after that.)
    struct Fragile;

    #[async_trait]
    impl AuditLog for Fragile {
        async fn write(&self, object: &AuditObject) -> Result<Written, AuditLogError> {
            assert!(!object.key.contains("bad"), "this one is beyond the code");
            Ok(if object.key.contains("again") { Written::Before } else { Written::Now })
        }
    }

    /// A record of a product's removal by hand, with this id of its own.
    fn message(id: &str) -> SqsMessage {
        let mut message = SqsMessage::default();
        message.message_id = Some(id.to_owned());
        message.body = Some(format!(
            r#"{{"eventID":"{id}","eventName":"REMOVE","awsRegion":"eu-west-1","dynamodb":{{
                "ApproximateCreationDateTime":1769860800,"SizeBytes":26,
                "Keys":{{"PK":{{"S":"PRODUCT#1"}},"SK":{{"S":"META"}}}},"OldImage":{{"PK":{{"S":"PRODUCT#1"}}}}}}}}"#
        ));
        message
    }

    #[tokio::test]
    async fn a_panic_over_one_message_leaves_the_others_alone() {
        let mut event = SqsEvent::default();
        event.records = ["good", "bad", "again"].map(message).to_vec();

        let result = handle(event, &Fragile, Duration::from_secs(5)).await.unwrap();

        let failed: Vec<_> = result.response.batch_item_failures.iter().map(|item| &item.item_identifier).collect();
        assert_eq!(failed, ["bad"]);
        let counts: Vec<_> = result.metrics.iter().map(|metric| (metric.name, metric.values[0])).collect();
        assert_eq!(counts, [("BatchItemFailures", 1), ("AuditObjectsWritten", 1), ("AuditObjectsRepeated", 1)]);
    }
}
