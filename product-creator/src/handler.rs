//! A batch of the change queue in, the messages that must come again out (a partial batch response).

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use futures_util::{FutureExt, StreamExt, stream};

use crate::batch::{Batch, Unnamed};
use crate::metrics::{Metric, Unit};
use crate::models::change_event::{ChangeEvent, ChangeEventDocument, InvalidEvent};
use crate::models::identifiers::ProductId;
use crate::models::journal::Outcome;
use crate::models::timestamp::Timestamp;
use crate::repositories::change_store::ChangeStore;
use crate::services::apply_change::{NotRecorded, apply_change};

/// Products of a batch that are worked on at once. More would only wait: for DynamoDB's connections when the function
/// starts, and for its throttling when it is busy.
const AT_ONCE: usize = 32;

/// Why a message comes again, and in the end goes to the DLQ.
#[derive(Debug, thiserror::Error)]
enum Unhandled {
    #[error("the body is not a change event: {0:?} error at line {1}, column {2}")]
    Unreadable(serde_json::error::Category, usize, usize),
    #[error("the body is not a change event: {0}")]
    Invalid(#[from] InvalidEvent),
    #[error("the change could not be recorded")]
    NotRecorded(#[from] NotRecorded),
    #[error("the code panicked")]
    Panicked,
}

/// What became of a batch.
#[derive(Debug)]
pub struct BatchResult {
    pub response: SqsBatchResponse,
    pub metrics: Vec<Metric>,
}

/// Applies the changes of a batch within `time`.
///
/// Different products are worked on at the same time, the changes of one in the order of their event ids. If one of a
/// product's changes fails, those after it come again with it. What is not done in `time` comes again as well: it is
/// then known to the queue, not lost with the process.
pub async fn handle(event: SqsEvent, store: &dyn ChangeStore, time: Duration) -> Result<BatchResult, Unnamed> {
    let batch = Batch::new(&event);
    let tally = Mutex::new(Tally::default());
    let mut products: BTreeMap<ProductId, Vec<(usize, ChangeEvent)>> = BTreeMap::new();
    for (place, message) in event.records.iter().enumerate() {
        match read(message.body.as_deref().unwrap_or_default()) {
            Ok(change) => products.entry(change.product_id).or_default().push((place, change)),
            Err(error) => batch.failed(place, &error),
        }
    }
    let work = stream::iter(products.into_values()).for_each_concurrent(AT_ONCE, |mut changes| {
        changes.sort_by_key(|(_, change)| change.event_id);
        apply_in_order(store, changes, &batch, &tally)
    });
    if tokio::time::timeout(time, work).await.is_err() {
        tracing::error!("the batch was not done in time");
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

/// What the metrics of a batch are made of.
#[derive(Default)]
struct Tally {
    /// Milliseconds from the acceptance of a change to its record.
    lags: Vec<u64>,
    outcomes: BTreeMap<&'static str, usize>,
}

fn read(body: &str) -> Result<ChangeEvent, Unhandled> {
    // serde_json's own words may quote the body; its category and place do not.
    let document: ChangeEventDocument = serde_json::from_str(body)
        .map_err(|error| Unhandled::Unreadable(error.classify(), error.line(), error.column()))?;
    Ok(document.try_into()?)
}

async fn apply_in_order(
    store: &dyn ChangeStore,
    changes: Vec<(usize, ChangeEvent)>,
    batch: &Batch,
    tally: &Mutex<Tally>,
) {
    for (place, event) in changes {
        // One message must not take the batch with it, not even by a mistake in this code.
        let applied = AssertUnwindSafe(apply_change(store, &event)).catch_unwind().await;
        let recorded = match applied.map_err(|_| Unhandled::Panicked).and_then(|applied| Ok(applied?)) {
            Ok(recorded) => recorded,
            Err(error) => return batch.failed(place, &error),
        };
        let lag = Timestamp::now().unix_millis().saturating_sub(event.occurred_at.unix_millis());
        let name = recorded.map_or("Redelivered", |recorded| match recorded.outcome {
            Outcome::Applied => "Applied",
            Outcome::Duplicate => "Duplicate",
            Outcome::Rejected => "Rejected",
            Outcome::Superseded => "Superseded",
        });
        batch.done(place);
        {
            let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            tally.lags.extend(recorded.map(|_| lag));
            *tally.outcomes.entry(name).or_default() += 1;
        }
        tracing::info!(
            eventId = %event.event_id,
            productId = %event.product_id,
            requestId = event.request_id,
            messageId = batch.message_id(place),
            changeType = ?event.change_type(),
            outcome = name,
            reason = recorded.and_then(|recorded| recorded.reason).map(tracing::field::debug),
            version = recorded.and_then(|recorded| recorded.version),
            lagMs = lag,
            "change handled"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::change_event::{Actor, Change};
    use crate::models::identifiers::EventId;
    use crate::repositories::change_store::{ChangeStoreError, Commit, Committed, MockChangeStore};
    use crate::services::decide::ProductState;
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

    /// Panics over one product. (A generated mock could not be used after that.)
    struct Fragile {
        bad: ProductId,
    }

    #[async_trait]
    impl ChangeStore for Fragile {
        async fn current(&self, id: ProductId) -> Result<Option<ProductState>, ChangeStoreError> {
            assert_ne!(id, self.bad, "this one is beyond the code");
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
    async fn a_panic_over_one_message_leaves_the_other_products_alone() {
        let (good, bad) = (ProductId::random(), ProductId::random());
        let store = Fragile { bad };
        assert_eq!(failed(vec![message("a", bad, 1), message("b", good, 1)], &store).await, ["a"]);
    }

    #[tokio::test]
    async fn what_follows_a_failed_change_of_its_product_comes_again_with_it() {
        let (down, up) = (ProductId::random(), ProductId::random());
        let mut store = MockChangeStore::new();
        store.expect_current().times(2).returning(move |id| {
            if id == down { Err(ChangeStoreError::Unavailable("throttled".into())) } else { Ok(None) }
        });
        store.expect_commit().times(1).returning(|_| Ok(Committed::Done));
        // Delivered newest first; the older one is tried first, and the newer one not at all.
        let messages = vec![message("newer", down, 2), message("older", down, 1), message("other", up, 1)];
        assert_eq!(failed(messages, &store).await, ["newer", "older"]);
    }
}
