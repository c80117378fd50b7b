//! A batch of the change queue in, the messages that must come again out (a partial batch response).

use std::collections::{BTreeMap, HashSet};
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::time::Duration;

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures_util::{FutureExt, StreamExt, stream};

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
    #[error("the body is not a change event: {0}")]
    Unreadable(String),
    #[error("the body is not a change event: {0}")]
    Invalid(#[from] InvalidEvent),
    #[error("the change could not be recorded")]
    NotRecorded(#[from] NotRecorded),
    #[error("the code panicked")]
    Panicked,
}

/// A batch whose failures could not be named: an empty name would mean that all succeeded, so the whole batch fails.
#[derive(Debug, thiserror::Error)]
#[error("a message without an id failed")]
pub struct Unnamed;

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
pub async fn handle(batch: SqsEvent, store: &dyn ChangeStore, time: Duration) -> Result<BatchResult, Unnamed> {
    let tally = Tally::default();
    let ids: Vec<Option<String>> = batch.records.iter().map(|message| message.message_id.clone()).collect();
    let mut products: BTreeMap<ProductId, Vec<(usize, ChangeEvent)>> = BTreeMap::new();
    for (place, message) in batch.records.into_iter().enumerate() {
        match read(&message) {
            Ok(event) => products.entry(event.product_id).or_default().push((place, event)),
            Err(error) => log_failure(ids[place].as_deref(), &error),
        }
    }
    let work = stream::iter(products.into_values()).for_each_concurrent(AT_ONCE, |mut changes| {
        changes.sort_by_key(|(_, event)| event.event_id);
        apply_in_order(store, changes, &ids, &tally)
    });
    if tokio::time::timeout(time, work).await.is_err() {
        tracing::error!("the batch was not done in time");
    }

    let Counts { done, lags, outcomes } = tally.0.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut response = SqsBatchResponse::default();
    for (place, id) in ids.into_iter().enumerate() {
        if !done.contains(&place) {
            let mut failure = BatchItemFailure::default();
            failure.item_identifier = id.filter(|id| !id.is_empty()).ok_or(Unnamed)?;
            response.batch_item_failures.push(failure);
        }
    }
    let mut metrics = vec![
        Metric::count("BatchItemFailures", response.batch_item_failures.len()),
        Metric { name: "ChangeLagMs", unit: Unit::Milliseconds, values: lags },
    ];
    metrics.extend(outcomes.into_iter().map(|(name, count)| Metric::count(name, count)));
    Ok(BatchResult { response, metrics })
}

/// What has been done so far; it outlives work that is cut short.
#[derive(Default)]
struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    /// Places, in the batch, of the messages that are done with.
    done: HashSet<usize>,
    /// Milliseconds from the acceptance of a change to its record.
    lags: Vec<u64>,
    outcomes: BTreeMap<&'static str, usize>,
}

impl Tally {
    fn add(&self, place: usize, outcome: &'static str, lag: Option<u64>) {
        let mut counts = self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        counts.done.insert(place);
        counts.lags.extend(lag);
        *counts.outcomes.entry(outcome).or_default() += 1;
    }
}

fn read(message: &SqsMessage) -> Result<ChangeEvent, Unhandled> {
    let body = message.body.as_deref().unwrap_or_default();
    // serde_json's own words may quote the body; its category and place do not.
    let document: ChangeEventDocument = serde_json::from_str(body).map_err(|error| {
        Unhandled::Unreadable(format!(
            "{:?} error at line {}, column {}",
            error.classify(),
            error.line(),
            error.column()
        ))
    })?;
    Ok(document.try_into()?)
}

async fn apply_in_order(
    store: &dyn ChangeStore,
    changes: Vec<(usize, ChangeEvent)>,
    ids: &[Option<String>],
    tally: &Tally,
) {
    for (place, event) in changes {
        // One message must not take the batch with it, not even by a mistake in this code.
        let applied = AssertUnwindSafe(apply_change(store, &event)).catch_unwind().await;
        let recorded = match applied.map_err(|_| Unhandled::Panicked).and_then(|applied| Ok(applied?)) {
            Ok(recorded) => recorded,
            Err(error) => return log_failure(ids[place].as_deref(), &error),
        };
        let lag = Timestamp::now().unix_millis().saturating_sub(event.occurred_at.unix_millis());
        let name = recorded.map_or("Redelivered", |recorded| match recorded.outcome {
            Outcome::Applied => "Applied",
            Outcome::Duplicate => "Duplicate",
            Outcome::Rejected => "Rejected",
            Outcome::Superseded => "Superseded",
        });
        tally.add(place, name, recorded.map(|_| lag));
        tracing::info!(
            eventId = %event.event_id,
            productId = %event.product_id,
            apiRequestId = event.request_id,
            messageId = ids[place],
            changeType = ?event.change_type(),
            outcome = name,
            reason = ?recorded.and_then(|recorded| recorded.reason),
            version = recorded.and_then(|recorded| recorded.version),
            lagMs = lag,
            "change handled"
        );
    }
}

fn log_failure(message_id: Option<&str>, error: &(dyn std::error::Error + 'static)) {
    let mut causes = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push_str(": ");
        causes.push_str(&cause.to_string());
        next = cause.source();
    }
    tracing::error!(messageId = message_id, error = causes, "message will come again");
}
