//! Takes a batch of the audit queue and returns the messages to redeliver (a partial batch response).

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lambda_events::dynamodb::EventRecord;
use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use futures_util::{FutureExt, StreamExt, stream};
use tokio::time::{Instant, timeout_at};
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
    #[error("failed to write the audit record: batch deadline exceeded")]
    DeadlineExceeded,
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
    let deadline = Instant::now() + time;
    let work =
        stream::iter(event.records.iter().enumerate()).for_each_concurrent(MAX_CONCURRENCY, |(index, message)| {
            let (batch, tally) = (&batch, &tally);
            // At the level of errors, so that error lines have the field whatever the log level is.
            let span = tracing::error_span!("message", messageId = batch.message_id(index));
            let body = message.body.as_deref().unwrap_or_default();
            async move {
                // A bug that panics while it reads one message must not fail the whole batch.
                match AssertUnwindSafe(audit(log, body, tally, deadline)).catch_unwind().await {
                    Ok(true) => batch.set_done(index),
                    Ok(false) => {}
                    Err(_) => log_failure(&FailedMessage::Panicked),
                }
            }
            .instrument(span)
        });
    work.await;

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

/// Audits the records of one message. Returns whether all are done by `deadline`; a failure is logged with the IDs of its
/// record.
async fn audit(log: &dyn AuditLog, body: &str, tally: &Tally, deadline: Instant) -> bool {
    let records = match read(body) {
        Ok(records) => records,
        Err(error) => {
            log_failure(&error);
            return false;
        }
    };
    for record in &records {
        let span = record_span(record);
        match audit_by(deadline, log, record).instrument(span.clone()).await {
            Ok(audited) => *tally.lock().unwrap_or_else(PoisonError::into_inner).entry(audited).or_default() += 1,
            Err(error) => {
                span.in_scope(|| log_failure(&error));
                return false;
            }
        }
    }
    true
}

/// Audits one record by `deadline`. A panic is an error of this record, so that its line has the record's IDs.
async fn audit_by(deadline: Instant, log: &dyn AuditLog, record: &EventRecord) -> Result<Audited, FailedMessage> {
    let audited = AssertUnwindSafe(audit_record(log, record)).catch_unwind();
    let audited = timeout_at(deadline, audited).await.map_err(|_| FailedMessage::DeadlineExceeded)?;
    Ok(audited.map_err(|_| FailedMessage::Panicked)??)
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
    use crate::telemetry::subscriber;
    use async_trait::async_trait;
    use aws_lambda_events::sqs::SqsMessage;
    use serde_json::Value;
    use std::io;
    use std::sync::Arc;

    /// The lines that were logged.
    #[derive(Default)]
    struct Lines(Mutex<Vec<u8>>);

    impl io::Write for &Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// Panics over one object and never finishes another. (A generated mock can't be used after a panic.)
    struct Fragile;

    #[async_trait]
    impl AuditLog for Fragile {
        async fn write(&self, object: &AuditObject) -> Result<Written, AuditLogError> {
            if object.key.contains("slow") {
                std::future::pending::<()>().await;
            }
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
                "Keys":{{"PK":{{"S":"PRODUCT#1"}},"SK":{{"S":"META"}}}},"OldImage":{{"PK":{{"S":"PRODUCT#1"}},"eventId":{{"S":"e-{id}"}},"requestId":{{"S":"r-{id}"}}}}}}}}"#
        ));
        message
    }

    // One test for all of it: `tracing` caches whether a log statement is enabled, and a test without a subscriber that runs
    // at the same time would disable the statements of the handler.
    #[tokio::test]
    async fn processes_other_messages_and_logs_the_ids_when_one_panics_or_misses_the_deadline() {
        let mut event = SqsEvent::default();
        event.records = ["good", "bad", "again", "slow"].map(message).to_vec();
        let log = Arc::new(Lines::default());
        let _logged = tracing::subscriber::set_default(subscriber("error", log.clone()));

        let result = handle(event, &Fragile, Duration::from_millis(100)).await.unwrap();

        let failed: Vec<_> = result.response.batch_item_failures.iter().map(|item| &item.item_identifier).collect();
        assert_eq!(failed, ["bad", "slow"]);
        let counts: Vec<_> = result.metrics.iter().map(|metric| (metric.name, metric.values[0])).collect();
        assert_eq!(
            counts,
            [
                ("BatchItemFailures", 2),
                ("AuditObjectsWritten", 1),
                ("AuditObjectsRepeated", 1),
                ("JournalEntriesExpired", 0),
            ]
        );
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let ids = |line: &Value| ["messageId", "eventId", "productId", "requestId"].map(|id| line[id].clone());
        assert_eq!(
            lines.iter().map(ids).collect::<Vec<_>>(),
            [["bad", "e-bad", "1", "r-bad"], ["slow", "e-slow", "1", "r-slow"]]
        );
        let errors: Vec<_> = lines.iter().map(|line| line["error"].as_str().unwrap()).collect();
        let prefix = "failed to write the audit record: ";
        assert_eq!(errors, [format!("{prefix}the code panicked"), format!("{prefix}batch deadline exceeded")]);
    }
}
