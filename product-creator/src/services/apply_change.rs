//! A change is read against the product, decided, and committed together with its journal entry; if the product changed
//! meanwhile, all that is done again.

use std::time::Duration;

use super::decide::{Decision, ProductState, decide};
use crate::models::change_event::ChangeEvent;
use crate::models::identifiers::EventId;
use crate::models::journal::{CHAIN_START, JournalEntry, Outcome, Reason};
use crate::models::product::{Product, ProductDocument};
use crate::models::timestamp::Timestamp;
use crate::repositories::change_store::{ChangeStore, ChangeStoreError, Commit, Committed};

/// Two changes of one product that meet cost one of them another round; more than a few in a row mean that something
/// else is wrong, and the queue is the better place to wait.
const ROUNDS: u32 = 8;
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    /// The product's version, if there is a product.
    pub version: Option<u64>,
}

/// Why an event is not recorded. It must come again.
#[derive(Debug, thiserror::Error)]
pub enum NotRecorded {
    #[error(transparent)]
    Store(#[from] ChangeStoreError),
    #[error("the product was changed by others {ROUNDS} times while this change was applied")]
    Contended,
}

/// Applies one event. `Ok(None)` means that it had been recorded before: a redelivery.
///
/// After an error nothing, or everything, of it is in the table; applying it again is right in both cases.
pub async fn apply_change(store: &dyn ChangeStore, event: &ChangeEvent) -> Result<Option<Recorded>, NotRecorded> {
    for round in 0..ROUNDS {
        let current = store.current(event.product_id).await?;
        let decision = decide(current.as_ref(), event);
        let Some(commit) = prepare(current, event, decision, Timestamp::now()) else { return Ok(None) };
        match store.commit(&commit).await? {
            Committed::Done => {
                let JournalEntry { outcome, reason, version, .. } = commit.entry;
                return Ok(Some(Recorded { outcome, reason, version }));
            }
            Committed::AlreadyRecorded => return Ok(None),
            Committed::Outdated => pause(round).await,
        }
    }
    Err(NotRecorded::Contended)
}

/// What is to be written for a decision; `None` for nothing.
fn prepare(current: Option<ProductState>, event: &ChangeEvent, decision: Decision, now: Timestamp) -> Option<Commit> {
    let seen = current.as_ref().map(|state| state.product.last_event_id);
    let version = current.as_ref().map(|state| state.product.version);
    let unapplied = |outcome, reason| Commit {
        seen,
        next: None,
        entry: JournalEntry::unapplied(event, now, outcome, reason, version),
    };
    match decision {
        Decision::Redelivered => None,
        Decision::Duplicate => Some(unapplied(Outcome::Duplicate, None)),
        Decision::Supersede => Some(unapplied(Outcome::Superseded, None)),
        Decision::Reject(reason) => Some(unapplied(Outcome::Rejected, Some(reason))),
        Decision::Apply(product) => Some(applied(seen, current, event, *product, now)),
    }
}

fn applied(
    seen: Option<EventId>,
    current: Option<ProductState>,
    event: &ChangeEvent,
    product: Product,
    now: Timestamp,
) -> Commit {
    let prev_hash = current.as_ref().map_or(CHAIN_START, |state| &state.chain_hash);
    let before = current.as_ref().map(|state| ProductDocument::from(state.product.clone()));
    let entry = JournalEntry::applied(event, now, before, product.clone().into(), prev_hash);
    let chain_hash = entry.hash.clone().unwrap_or_default();
    let next = match current {
        Some(state) => ProductState { product, chain_hash, ..state },
        None => ProductState {
            product,
            chain_hash,
            create_event_id: event.event_id,
            create_fingerprint: event.fingerprint(),
        },
    };
    Commit { seen, next: Some(next), entry }
}

/// Full jitter: whoever met once should not meet again.
async fn pause(round: u32) {
    let most = SHORTEST_PAUSE.saturating_mul(1 << round.min(5));
    tokio::time::sleep(most.mul_f64(fastrand::f64())).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::change_event::{Actor, Change};
    use crate::models::identifiers::ProductId;
    use crate::repositories::change_store::MockChangeStore;

    fn event() -> ChangeEvent {
        let now = Timestamp::now();
        ChangeEvent {
            event_id: EventId::after(None, now),
            product_id: ProductId::random(),
            occurred_at: now,
            actor: Actor::default(),
            request_id: "req-1".to_owned(),
            change: Change::Delete { expected_version: None },
        }
    }

    fn store_that_answers(answers: Vec<Committed>) -> MockChangeStore {
        let mut store = MockChangeStore::new();
        store.expect_current().times(answers.len()).returning(|_| Ok(None));
        let mut answers = answers.into_iter();
        store.expect_commit().returning(move |_| Ok(answers.next().expect("no further round")));
        store
    }

    #[tokio::test]
    async fn a_product_that_changed_meanwhile_is_read_and_decided_again() {
        let store = store_that_answers(vec![Committed::Outdated, Committed::Outdated, Committed::Done]);
        let recorded = apply_change(&store, &event()).await.unwrap().unwrap();
        assert_eq!((recorded.outcome, recorded.reason), (Outcome::Rejected, Some(Reason::NotFound)));
    }

    #[tokio::test]
    async fn a_redelivery_is_no_error_and_no_second_outcome() {
        assert_eq!(apply_change(&store_that_answers(vec![Committed::AlreadyRecorded]), &event()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_product_that_never_rests_is_left_to_the_queue() {
        let store = store_that_answers(vec![Committed::Outdated; ROUNDS as usize]);
        assert!(matches!(apply_change(&store, &event()).await, Err(NotRecorded::Contended)));
    }

    #[tokio::test]
    async fn an_outage_is_an_error() {
        let mut store = MockChangeStore::new();
        store.expect_current().returning(|_| Err(ChangeStoreError::Unavailable("down".into())));
        assert!(matches!(apply_change(&store, &event()).await, Err(NotRecorded::Store(_))));
    }
}
