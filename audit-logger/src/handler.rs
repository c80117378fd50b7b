//! Takes a batch of the audit queue and returns the messages to redeliver (a partial batch response).

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lambda_events::dynamodb::EventRecord;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use futures_util::{FutureExt, StreamExt, stream};
use tracing::{Instrument, Span};

use crate::batch::{Batch, MissingMessageId, with_causes};
use crate::metrics::Metric;
use crate::models::stream_record::RecordIds;
use crate::repositories::audit_log::AuditLog;
use crate::services::audit_record::{Audited, NotAudited, audit_record};

/// Messages of a batch that are processed concurrently: all of a batch.
const MAX_CONCURRENCY: usize = 10;

/// Why a message is redelivered and, in the end, moved to the dead-letter queue.
#[derive(Debug, thiserror::Error)]
enum FailedMessage {
    /// The category and the location of serde_json's error. Its message may quote the body.
    #[error("malformed stream record: {0:?} error at line {1}, column {2}")]
    Malformed(serde_json::error::Category, usize, usize),
    #[error("failed to write the audit record")]
    NotAudited(#[from] NotAudited),
    #[error("failed to write the audit record: the code panicked")]
    Panicked,
}

#[derive(Debug)]
pub struct BatchResult {
    pub response: SqsBatchResponse,
    pub metrics: Vec<Metric>,
}

/// Counts of the results of a batch's records.
type Tally = Mutex<BTreeMap<Audited, usize>>;

/// Writes the records of a batch to the audit log within `time`. Messages not done by then are redelivered.
pub async fn handle(event: SqsEvent, log: &dyn AuditLog, time: Duration) -> Result<BatchResult, MissingMessageId> {
    let batch = Batch::new(&event);
    let tally = Tally::default();
    let work =
        stream::iter(event.records.iter().enumerate()).for_each_concurrent(MAX_CONCURRENCY, |(index, message)| {
            let (batch, tally) = (&batch, &tally);
            // At the level of errors, so that error lines have the field whatever the log level is.
            let span = tracing::error_span!("message", messageId = batch.message_id(index));
            let body = message.body.as_deref().unwrap_or_default();
            async move {
                // A bug that panics over one message must not fail the whole batch.
                match AssertUnwindSafe(audit(log, body, tally)).catch_unwind().await {
                    Ok(true) => batch.set_done(index),
                    Ok(false) => {}
                    Err(_) => log_failure(&FailedMessage::Panicked),
                }
            }
            .instrument(span)
        });
    if tokio::time::timeout(time, work).await.is_err() {
        tracing::error!("batch deadline exceeded");
    }

    let response = batch.into_response()?;
    let tally = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    let count = |audited| tally.get(&audited).copied().unwrap_or_default();
    let metrics = vec![
        Metric::count("BatchItemFailures", response.batch_item_failures.len()),
        Metric::count("AuditObjectsWritten", count(Audited::Written)),
        Metric::count("AuditObjectsRepeated", count(Audited::Repeated)),
        Metric::count("JournalEntriesExpired", count(Audited::Expired)),
    ];
    Ok(BatchResult { response, metrics })
}

/// Audits the records of one message. Returns whether all are done; a failure is logged with the IDs of its record.
async fn audit(log: &dyn AuditLog, body: &str, tally: &Tally) -> bool {
    let records = match read(body) {
        Ok(records) => records,
        Err(error) => {
            log_failure(&error);
            return false;
        }
    };
    for record in &records {
        let span = record_span(record);
        match audit_record(log, record).instrument(span.clone()).await {
            Ok(audited) => *tally.lock().unwrap_or_else(PoisonError::into_inner).entry(audited).or_default() += 1,
            Err(error) => {
                span.in_scope(|| log_failure(&FailedMessage::NotAudited(error)));
                return false;
            }
        }
    }
    true
}

/// The span of a record. Its fields are on each line that is logged about the record.
fn record_span(record: &EventRecord) -> Span {
    let RecordIds { event_id, product_id, request_id } = RecordIds::of(record);
    tracing::error_span!("record", eventId = event_id, productId = product_id, requestId = request_id)
}

fn log_failure(error: &FailedMessage) {
    tracing::error!(error = with_causes(error), "message returned for redelivery");
}

/// The body is a stream record. EventBridge Pipes sends each record on its own. An array of records is accepted as well,
/// since a pipe sends a batch to other kinds of targets in that form.
fn read(body: &str) -> Result<Vec<EventRecord>, FailedMessage> {
    let malformed = |error: serde_json::Error| FailedMessage::Malformed(error.classify(), error.line(), error.column());
    if body.trim_start().starts_with('[') {
        serde_json::from_str(body).map_err(malformed)
    } else {
        Ok(vec![serde_json::from_str(body).map_err(malformed)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::audit_object::AuditObject;
    use crate::repositories::audit_log::{AuditLogError, Written};
    use async_trait::async_trait;
    use aws_lambda_events::sqs::SqsMessage;

    /// Panics over one object. (A generated mock can't be used after a panic.)
    struct Fragile;

    #[async_trait]
    impl AuditLog for Fragile {
        async fn write(&self, object: &AuditObject) -> Result<Written, AuditLogError> {
            assert!(!object.key.contains("bad"), "a bug");
            Ok(if object.key.contains("again") { Written::Existed } else { Written::Created })
        }
    }

    /// A stream record with this ID, of a product that was removed by hand.
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
    async fn processes_other_messages_when_one_panics() {
        let mut event = SqsEvent::default();
        event.records = ["good", "bad", "again"].map(message).to_vec();

        let result = handle(event, &Fragile, Duration::from_secs(5)).await.unwrap();

        let failed: Vec<_> = result.response.batch_item_failures.iter().map(|item| &item.item_identifier).collect();
        assert_eq!(failed, ["bad"]);
        let counts: Vec<_> = result.metrics.iter().map(|metric| (metric.name, metric.values[0])).collect();
        assert_eq!(
            counts,
            [
                ("BatchItemFailures", 1),
                ("AuditObjectsWritten", 1),
                ("AuditObjectsRepeated", 1),
                ("JournalEntriesExpired", 0),
            ]
        );
    }
}
