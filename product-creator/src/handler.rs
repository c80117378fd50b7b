//! Takes a batch of the change queue and returns the messages to redeliver (a partial batch response).

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use futures_util::{FutureExt, StreamExt, stream};
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
        apply_in_order(store, messages, &batch, &tally)
    });
    if tokio::time::timeout(time, work).await.is_err() {
        tracing::error!("batch deadline exceeded");
    }

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

async fn apply_in_order(store: &dyn ChangeStore, messages: Vec<Message>, batch: &Batch, tally: &Mutex<Tally>) {
    for Message { index, event, span } in messages {
        // A bug that panics over one message must not fail the whole batch.
        let applied = AssertUnwindSafe(apply_change(store, &event)).catch_unwind().instrument(span.clone()).await;
        let _entered = span.enter();
        match applied.map_err(|_| FailedMessage::Panicked).and_then(|applied| Ok(applied?)) {
            Ok(recorded) => {
                batch.set_done(index);
                count(&event, recorded, tally);
            }
            Err(error) => return log_failure(&error),
        }
    }
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
    use crate::repositories::change_store::{ChangeStoreError, Commit, Committed, MockChangeStore};
    use async_trait::async_trait;
    use aws_lambda_events::sqs::SqsMessage;

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

    /// Panics over one product. (A generated mock can't be used after a panic.)
    struct Fragile {
        bad: ProductId,
    }

    #[async_trait]
    impl ChangeStore for Fragile {
        async fn current(&self, id: ProductId) -> Result<Option<ProductState>, ChangeStoreError> {
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
        let result = handle(event, store, Duration::from_secs(5)).await.unwrap();
        result.response.batch_item_failures.into_iter().map(|item| item.item_identifier).collect()
    }

    #[tokio::test]
    async fn processes_other_products_when_one_panics() {
        let (good, bad) = (ProductId::random(), ProductId::random());
        let store = Fragile { bad };
        assert_eq!(failed(vec![message("a", bad, 1), message("b", good, 1)], &store).await, ["a"]);
    }

    #[tokio::test]
    async fn returns_later_changes_of_product_with_failed_one() {
        let (down, up) = (ProductId::random(), ProductId::random());
        let mut store = MockChangeStore::new();
        store.expect_current().times(2).returning(move |id| {
            if id == down { Err(ChangeStoreError::Unavailable("throttled".into())) } else { Ok(None) }
        });
        store.expect_commit().times(1).returning(|_| Ok(Committed::Done));
        // Delivered newest first. The older one is tried first, and the newer one not at all.
        let messages = vec![message("newer", down, 2), message("older", down, 1), message("other", up, 1)];
        assert_eq!(failed(messages, &store).await, ["newer", "older"]);
    }
}
