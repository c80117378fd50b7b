//! Takes a batch of the change queue and returns the messages to redeliver (a partial batch response).

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use futures_util::{FutureExt, StreamExt, stream};
use tokio::time::{Instant, timeout_at};
use tracing::{Instrument, Span};

use crate::batch::{Batch, MissingMessageId, with_causes};
use crate::metrics::{Metric, Unit};
use crate::models::change_event::{ChangeEvent, ChangeEventDocument, InvalidEvent};
use crate::models::identifiers::ProductId;
use crate::models::journal::Outcome;
use crate::models::timestamp::Timestamp;
use crate::repositories::change_store::ChangeStore;
use crate::services::apply_change::{NotRecorded, Recorded, apply_change};

/// Products of a batch that are processed concurrently: as many as a batch has messages.
const MAX_CONCURRENCY: usize = 10;

/// Why a message is redelivered and, in the end, moved to the dead-letter queue.
#[derive(Debug, thiserror::Error)]
enum FailedMessage {
    /// The category and the location of serde_json's error. Its message may quote the body.
    #[error("malformed change event: {0:?} error at line {1}, column {2}")]
    Malformed(serde_json::error::Category, usize, usize),
    #[error("invalid change event")]
    Invalid(#[from] InvalidEvent),
    #[error("failed to record the change")]
    NotRecorded(#[from] NotRecorded),
    #[error("failed to record the change: the code panicked")]
    Panicked,
    #[error("failed to record the change: batch deadline exceeded")]
    DeadlineExceeded,
    #[error("change not attempted: an earlier change of the product in this batch failed")]
    EarlierFailed,
}

#[derive(Debug)]
pub struct BatchResult {
    pub response: SqsBatchResponse,
    pub metrics: Vec<Metric>,
}

/// A change of the batch, with the span of its message.
struct Message {
    index: usize,
    event: ChangeEvent,
    span: Span,
}

/// Applies the changes of a batch within `time`.
///
/// Different products are processed concurrently, the changes of one product in the order of their event IDs. If one of
/// them fails, the later ones of its product are redelivered with it. So are the messages that are not done within `time`:
/// the queue then knows about them, and they are not lost with the process.
pub async fn handle(event: SqsEvent, store: &dyn ChangeStore, time: Duration) -> Result<BatchResult, MissingMessageId> {
    let batch = Batch::new(&event);
    let tally = Mutex::new(Tally::default());
    let deadline = Instant::now() + time;
    let mut products: BTreeMap<ProductId, Vec<Message>> = BTreeMap::new();
    for (index, message) in event.records.iter().enumerate() {
        let span = message_span(batch.message_id(index));
        match span.in_scope(|| read(message.body.as_deref().unwrap_or_default(), &span)) {
            Ok(event) => products.entry(event.product_id).or_default().push(Message { index, event, span }),
            Err(error) => span.in_scope(|| log_failure(&error)),
        }
    }
    let work = stream::iter(products.into_values()).for_each_concurrent(MAX_CONCURRENCY, |mut messages| {
        messages.sort_by_key(|message| message.event.event_id);
        apply_in_order(store, messages, deadline, &batch, &tally)
    });
    work.await;

    let Tally { lags, outcomes } = tally.into_inner().unwrap_or_else(PoisonError::into_inner);
    let response = batch.into_response()?;
    let mut metrics = vec![
        Metric::count("BatchItemFailures", response.batch_item_failures.len()),
        Metric { name: "ChangeLagMs", unit: Unit::Milliseconds, values: lags },
    ];
    metrics.extend(outcomes.into_iter().map(|(name, count)| Metric::count(name, count)));
    Ok(BatchResult { response, metrics })
}

/// The values of a batch's metrics.
#[derive(Default)]
struct Tally {
    /// Milliseconds from the acceptance of a change to its record.
    lags: Vec<u64>,
    outcomes: BTreeMap<&'static str, usize>,
}

/// The span of a message. Its fields are on each line that is logged about the message, as far as they are known.
fn message_span(message_id: Option<&str>) -> Span {
    // At the level of errors, so that error lines have the fields whatever the log level is.
    tracing::error_span!(
        "message",
        messageId = message_id,
        eventId = tracing::field::Empty,
        productId = tracing::field::Empty,
        requestId = tracing::field::Empty,
    )
}

fn log_failure(error: &FailedMessage) {
    tracing::error!(error = with_causes(error), "message returned for redelivery");
}

/// Reads a body. The IDs of an invalid event are recorded in the span too.
fn read(body: &str, span: &Span) -> Result<ChangeEvent, FailedMessage> {
    let document = ChangeEventDocument::parse(body)
        .map_err(|error| FailedMessage::Malformed(error.classify(), error.line(), error.column()))?;
    span.record("eventId", tracing::field::display(document.event_id));
    span.record("productId", tracing::field::display(document.product_id));
    span.record("requestId", &document.request_id);
    Ok(document.try_into()?)
}

/// Applies the changes of one product until one fails. Each one that isn't done has an error line of its own, so that a search
/// by any of its IDs finds why it was redelivered.
async fn apply_in_order(
    store: &dyn ChangeStore,
    messages: Vec<Message>,
    deadline: Instant,
    batch: &Batch,
    tally: &Mutex<Tally>,
) {
    let mut messages = messages.into_iter();
    for Message { index, event, span } in messages.by_ref() {
        let applied = apply_by(deadline, store, &event).instrument(span.clone()).await;
        let _entered = span.enter();
        match applied {
            Ok(recorded) => {
                batch.set_done(index);
                count(&event, recorded, tally);
            }
            Err(error) => {
                log_failure(&error);
                break;
            }
        }
    }
    for Message { span, .. } in messages {
        span.in_scope(|| log_failure(&FailedMessage::EarlierFailed));
    }
}

/// Applies one change by `deadline`. A bug that panics over it is an error of its message, and must not fail the whole batch.
async fn apply_by(
    deadline: Instant,
    store: &dyn ChangeStore,
    event: &ChangeEvent,
) -> Result<Option<Recorded>, FailedMessage> {
    let applied = AssertUnwindSafe(apply_change(store, event)).catch_unwind();
    let applied = timeout_at(deadline, applied).await.map_err(|_| FailedMessage::DeadlineExceeded)?;
    Ok(applied.map_err(|_| FailedMessage::Panicked)??)
}

/// Counts and logs a change that is done.
fn count(event: &ChangeEvent, recorded: Option<Recorded>, tally: &Mutex<Tally>) {
    let lag = Timestamp::now().unix_millis().saturating_sub(event.occurred_at.unix_millis());
    let outcome = recorded.map_or("Redelivered", |recorded| match recorded.outcome {
        Outcome::Applied => "Applied",
        Outcome::Duplicate => "Duplicate",
        Outcome::Rejected => "Rejected",
        Outcome::Superseded => "Superseded",
    });
    {
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.lags.extend(recorded.map(|_| lag));
        *tally.outcomes.entry(outcome).or_default() += 1;
    }
    tracing::info!(
        changeType = ?event.change_type(),
        outcome,
        reason = recorded.and_then(|recorded| recorded.reason).map(tracing::field::debug),
        version = recorded.and_then(|recorded| recorded.version),
        lagMs = lag,
        "change processed"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::change_event::{Actor, Change};
    use crate::models::identifiers::EventId;
    use crate::models::product_state::ProductState;
    use crate::repositories::change_store::{ChangeStoreError, Commit, Committed};
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

    fn message(id: &str, product_id: ProductId, second: u64) -> SqsMessage {
        let moment = Timestamp::from_unix_millis(1_769_860_800_000 + second * 1_000);
        let change = ChangeEvent {
            event_id: EventId::after(None, moment),
            product_id,
            occurred_at: moment,
            actor: Actor::default(),
            request_id: "req-1".to_owned(),
            change: Change::Delete { expected_version: None },
        };
        let mut message = SqsMessage::default();
        message.message_id = Some(id.to_owned());
        message.body = Some(serde_json::to_string(&ChangeEventDocument::from(&change)).unwrap());
        message
    }

    /// Panics over one product, never finishes another, and can't reach a third. (A generated mock can't be used after a
    /// panic.)
    struct Fragile {
        bad: ProductId,
        slow: ProductId,
        down: ProductId,
    }

    #[async_trait]
    impl ChangeStore for Fragile {
        async fn current(&self, id: ProductId) -> Result<Option<ProductState>, ChangeStoreError> {
            if id == self.slow {
                std::future::pending::<()>().await;
            }
            if id == self.down {
                return Err(ChangeStoreError::Unavailable("throttled".into()));
            }
            assert_ne!(id, self.bad, "a bug");
            Ok(None)
        }

        async fn holder(&self, _: &str) -> Result<Option<ProductId>, ChangeStoreError> {
            Ok(None)
        }

        async fn commit(&self, _: &Commit) -> Result<Committed, ChangeStoreError> {
            Ok(Committed::Done)
        }
    }

    async fn failed(messages: Vec<SqsMessage>, store: &dyn ChangeStore) -> Vec<String> {
        let mut event = SqsEvent::default();
        event.records = messages;
        let result = handle(event, store, Duration::from_millis(500)).await.unwrap();
        result.response.batch_item_failures.into_iter().map(|item| item.item_identifier).collect()
    }

    // One test for all of it: `tracing` caches whether a log statement is enabled, and a test without a subscriber that runs
    // at the same time would disable the statements of the handler.
    #[tokio::test]
    async fn returns_only_failed_changes_and_later_ones_of_their_product_and_logs_their_ids() {
        let [good, bad, slow, down] = std::array::from_fn(|_| ProductId::random());
        let mut unreadable = message("unreadable", good, 1);
        unreadable.body = Some("{".to_owned());
        let messages = vec![
            message("panics", bad, 1),
            message("good", good, 1),
            message("late", slow, 1),
            // Delivered newest first. The older one is tried first, and the newer one not at all.
            message("newer", down, 2),
            message("older", down, 1),
            unreadable,
        ];
        let event_id = |message: &SqsMessage| {
            let event: Value = serde_json::from_str(message.body.as_deref().unwrap()).unwrap_or_default();
            event["eventId"].as_str().map(str::to_owned)
        };
        let event_ids: BTreeMap<String, Option<String>> =
            messages.iter().map(|message| (message.message_id.clone().unwrap(), event_id(message))).collect();
        let log = Arc::new(Lines::default());
        let _logged = tracing::subscriber::set_default(subscriber("error", log.clone()));

        let failed = failed(messages, &Fragile { bad, slow, down }).await;

        assert_eq!(failed, ["panics", "late", "newer", "older", "unreadable"]);
        let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        let lines: BTreeMap<String, Value> = log
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|line| (line["messageId"].as_str().unwrap().to_owned(), line))
            .collect();
        assert_eq!((log.lines().count(), lines.len()), (5, 5), "one line for each message: {log}");
        for (id, product, error) in [
            ("panics", bad, "failed to record the change: the code panicked"),
            ("late", slow, "failed to record the change: batch deadline exceeded"),
            ("older", down, "failed to record the change: the products table is unavailable: throttled"),
            ("newer", down, "change not attempted: an earlier change of the product in this batch failed"),
        ] {
            let line = &lines[id];
            assert_eq!(line["error"], error, "{line}");
            assert_eq!(line["productId"], product.to_string(), "{line}");
            assert_eq!(line["eventId"].as_str(), event_ids[id].as_deref(), "{line}");
            assert_eq!(line["requestId"], "req-1", "{line}");
        }
        assert!(lines["unreadable"]["error"].as_str().unwrap().starts_with("malformed change event"), "{log}");
    }
}
