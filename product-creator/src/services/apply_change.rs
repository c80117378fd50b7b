//! Applies a change: read the product, decide, and commit the product together with its journal entry. If the product or a
//! SKU claim changed in the meantime, start again.

use std::time::Duration;

use super::decide::{Decision, decide};
use crate::models::change_event::ChangeEvent;
use crate::models::journal::{CHAIN_START, JournalEntry, Outcome, Reason};
use crate::models::product::Product;
use crate::models::product_state::{KnownClaims, ProductState};
use crate::models::timestamp::Timestamp;
use crate::repositories::change_store::{ChangeStore, ChangeStoreError, ClaimWrite, Commit, Committed};

/// Concurrent changes of one product cost one of them another attempt. More than a few in a row mean another problem, and
/// the queue is the better place to wait.
const MAX_ATTEMPTS: u32 = 8;
const MIN_PAUSE: Duration = Duration::from_millis(10);

/// The outcome of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub outcome: Outcome,
    pub reason: Option<Reason>,
    /// The product's version, if there is a product.
    pub version: Option<u64>,
}

/// Why an event was not recorded. It must be redelivered.
#[derive(Debug, thiserror::Error)]
pub enum NotRecorded {
    #[error(transparent)]
    Store(#[from] ChangeStoreError),
    #[error("other changes interfered in {MAX_ATTEMPTS} attempts")]
    Contended,
}

/// Applies one event. `Ok(None)` means that the event was recorded before: a redelivery.
///
/// After an error, either nothing or all of it is in the table. Applying it again is right in both cases.
pub async fn apply_change(store: &dyn ChangeStore, event: &ChangeEvent) -> Result<Option<Recorded>, NotRecorded> {
    apply_change_with(store, event, Timestamp::now, pause).await
}

/// The same with another clock, and another way to wait before an attempt: `tests/model.rs` has neither.
pub async fn apply_change_with<Pause: Future<Output = ()>>(
    store: &dyn ChangeStore,
    event: &ChangeEvent,
    now: impl Fn() -> Timestamp,
    pause: impl Fn(u32) -> Pause,
) -> Result<Option<Recorded>, NotRecorded> {
    let mut claims = KnownClaims::default();
    for attempt in 0..MAX_ATTEMPTS {
        let current = store.current(event.product_id).await?;
        let decision = decide(current.as_ref(), event, &claims);
        let Some(commit) = prepare(current, event, decision, &claims, now()) else { return Ok(None) };
        match store.commit(&commit).await? {
            Committed::Done => {
                let JournalEntry { outcome, reason, version, .. } = commit.entry;
                return Ok(Some(Recorded { outcome, reason, version }));
            }
            Committed::AlreadyRecorded => return Ok(None),
            Committed::Outdated => pause(attempt).await,
            Committed::ClaimFailed(sku) => {
                let holder = store.holder(&sku).await?;
                claims.insert(sku, holder);
            }
        }
    }
    Err(NotRecorded::Contended)
}

/// What is to be written for a decision; `None` for nothing.
fn prepare(
    current: Option<ProductState>,
    event: &ChangeEvent,
    decision: Decision,
    claims: &KnownClaims,
    now: Timestamp,
) -> Option<Commit> {
    let seen = current.as_ref().map(|state| state.product.last_event_id);
    let version = current.as_ref().map(|state| state.product.version);
    let unapplied = |outcome, reason| Commit {
        seen,
        next: None,
        entry: JournalEntry::unapplied(event, now, outcome, reason, version),
        claims: vec![],
    };
    match decision {
        Decision::Redelivered => None,
        Decision::Duplicate => Some(unapplied(Outcome::Duplicate, None)),
        Decision::Supersede => Some(unapplied(Outcome::Superseded, None)),
        Decision::Reject(reason) => Some(unapplied(Outcome::Rejected, Some(reason))),
        Decision::RejectSku { sku, holder } => Some(Commit {
            claims: vec![ClaimWrite::Check { sku, holder }],
            ..unapplied(Outcome::Rejected, Some(Reason::SkuTaken))
        }),
        Decision::Apply(product) => Some(applied(current, event, *product, claims, now)),
    }
}

fn applied(
    current: Option<ProductState>,
    event: &ChangeEvent,
    product: Product,
    claims: &KnownClaims,
    now: Timestamp,
) -> Commit {
    let seen = current.as_ref().map(|state| state.product.last_event_id);
    let claims = claim_writes(current.as_ref().map(|state| &state.product), &product, claims);
    let prev_hash = current.as_ref().map_or(CHAIN_START, |state| &state.chain_hash);
    let before = current.as_ref().map(|state| state.product.clone());
    let (entry, chain_hash) = JournalEntry::applied(event, now, before, product.clone(), prev_hash);
    let next = match current {
        Some(state) => ProductState { product, recorded_at: now, chain_hash, ..state },
        None => ProductState {
            product,
            recorded_at: now,
            chain_hash,
            create_event_id: event.event_id,
            create_fingerprint: event.fingerprint(),
        },
    };
    Commit { seen, next: Some(next), entry, claims }
}

/// A change that keeps the SKU writes no claim, so that a claim names the event that took it.
fn claim_writes(before: Option<&Product>, after: &Product, claims: &KnownClaims) -> Vec<ClaimWrite> {
    let (former, next) = (before.and_then(Product::claimed_sku), after.claimed_sku());
    if former == next {
        return vec![];
    }
    let take = next.map(|sku| ClaimWrite::Take { sku: sku.to_owned() });
    // A claim that the product has lost (removed by hand) is not released: the condition would fail for ever.
    let release =
        former.filter(|sku| !claims.is_lost(sku, after.id)).map(|sku| ClaimWrite::Release { sku: sku.to_owned() });
    take.into_iter().chain(release).collect()
}

/// Full jitter, so that two changes that met once do not meet again.
async fn pause(attempt: u32) {
    tokio::time::sleep(max_pause(attempt).mul_f64(fastrand::f64())).await;
}

/// Twice as long after each attempt, and 320 ms at most.
fn max_pause(attempt: u32) -> Duration {
    MIN_PAUSE * 2_u32.pow(attempt.min(5))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::change_event::{Actor, Change};
    use crate::models::identifiers::{EventId, ProductId};
    use crate::models::product_content::ProductContent;
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

    fn store_with_results(results: Vec<Committed>) -> MockChangeStore {
        let mut store = MockChangeStore::new();
        store.expect_current().times(results.len()).returning(|_| Ok(None));
        let mut results = results.into_iter();
        store.expect_commit().returning(move |_| Ok(results.next().expect("no further attempt")));
        store
    }

    #[tokio::test]
    async fn reads_and_decides_again_after_concurrent_change() {
        let store = store_with_results(vec![Committed::Outdated, Committed::Outdated, Committed::Done]);
        let recorded = apply_change(&store, &event()).await.unwrap().unwrap();
        assert_eq!((recorded.outcome, recorded.reason), (Outcome::Rejected, Some(Reason::NotFound)));
    }

    #[tokio::test]
    async fn returns_nothing_for_redelivered_event() {
        assert_eq!(apply_change(&store_with_results(vec![Committed::AlreadyRecorded]), &event()).await.unwrap(), None);
    }

    #[test]
    fn pauses_twice_as_long_after_each_attempt() {
        assert_eq!([0, 1, 5, 6].map(|attempt| max_pause(attempt).as_millis()), [10, 20, 320, 320]);
    }

    #[tokio::test]
    async fn leaves_contended_product_to_queue() {
        let started = std::time::Instant::now();
        let store = store_with_results(vec![Committed::Outdated; MAX_ATTEMPTS as usize]);
        assert!(matches!(apply_change(&store, &event()).await, Err(NotRecorded::Contended)));
        assert!(started.elapsed() > MIN_PAUSE, "pauses between attempts, for 635 ms on average");
    }

    #[tokio::test]
    async fn returns_error_during_outage() {
        let mut store = MockChangeStore::new();
        store.expect_current().returning(|_| Err(ChangeStoreError::Unavailable("down".into())));
        assert!(matches!(apply_change(&store, &event()).await, Err(NotRecorded::Store(_))));
    }

    fn create(sku: &str) -> ChangeEvent {
        ChangeEvent { change: Change::Create(content(Some(sku))), ..event() }
    }

    fn content(sku: Option<&str>) -> ProductContent {
        let content = serde_json::json!({"name": "Oak table", "price": "19.99", "currency": "EUR", "sku": sku});
        serde_json::from_value(content).unwrap()
    }

    /// A store that takes commits, and the commits that it took.
    async fn committed(
        event: &ChangeEvent,
        current: Option<ProductState>,
        failed: &str,
        holder: Option<ProductId>,
    ) -> Vec<Commit> {
        let commits = std::sync::Arc::new(std::sync::Mutex::new(Vec::<Commit>::new()));
        let (taken, failed) = (commits.clone(), failed.to_owned());
        let mut store = MockChangeStore::new();
        store.expect_current().returning(move |_| Ok(current.clone()));
        store.expect_holder().returning(move |_| Ok(holder));
        store.expect_commit().returning(move |commit| {
            let mut taken = taken.lock().unwrap();
            taken.push(commit.clone());
            let fails = taken.len() == 1 && commit.claims.iter().any(|claim| claim.sku() == failed);
            Ok(if fails { Committed::ClaimFailed(failed.clone()) } else { Committed::Done })
        });
        apply_change(&store, event).await.unwrap().unwrap();
        drop(store);
        std::sync::Arc::into_inner(commits).unwrap().into_inner().unwrap()
    }

    fn take(sku: &str) -> ClaimWrite {
        ClaimWrite::Take { sku: sku.to_owned() }
    }

    fn release(sku: &str) -> ClaimWrite {
        ClaimWrite::Release { sku: sku.to_owned() }
    }

    /// The product that `create(sku)` makes, and an event that changes its SKU.
    async fn product_and_replacement(sku: &str, next_sku: Option<&str>) -> (ProductState, ChangeEvent) {
        let create = create(sku);
        let state = committed(&create, None, "", None).await.remove(0).next.unwrap();
        let event = ChangeEvent {
            event_id: EventId::after(Some(create.event_id), create.occurred_at),
            change: Change::Update { content: content(next_sku), expected_version: None },
            ..create
        };
        (state, event)
    }

    #[tokio::test]
    async fn takes_new_sku_and_releases_former_one() {
        for (next, expected) in
            [(Some("B"), vec![take("B"), release("A")]), (Some("A"), vec![]), (None, vec![release("A")])]
        {
            let (state, event) = product_and_replacement("A", next).await;
            let commits = committed(&event, Some(state.clone()), "", None).await;
            assert_eq!(commits[0].claims, expected, "A to {next:?}");
        }
        let (state, event) = product_and_replacement("A", None).await;
        let deletion = ChangeEvent { change: Change::Delete { expected_version: None }, ..event };
        assert_eq!(committed(&deletion, Some(state), "", None).await[0].claims, [release("A")]);
        assert_eq!(committed(&create("A"), None, "", None).await[0].claims, [take("A")]);
    }

    #[tokio::test]
    async fn rejects_change_after_reading_failed_claim() {
        let holder = ProductId::random();
        let commits = committed(&create("A"), None, "A", Some(holder)).await;
        assert_eq!(commits.len(), 2);
        assert_eq!(commits[1].claims, [ClaimWrite::Check { sku: "A".to_owned(), holder }]);
        assert_eq!((commits[1].entry.outcome, commits[1].entry.reason), (Outcome::Rejected, Some(Reason::SkuTaken)));
        assert_eq!(commits[1].next, None);
    }

    #[tokio::test]
    async fn takes_sku_that_was_released_before_failed_claim_was_read() {
        let commits = committed(&create("A"), None, "A", None).await;
        assert_eq!((&commits[1].claims, commits[1].entry.outcome), (&vec![take("A")], Outcome::Applied));
    }

    #[tokio::test]
    async fn applies_change_of_product_that_lost_its_claim() {
        let (state, event) = product_and_replacement("A", Some("B")).await;
        let commits = committed(&event, Some(state), "A", Some(ProductId::random())).await;
        assert_eq!((&commits[1].claims, commits[1].entry.outcome), (&vec![take("B")], Outcome::Applied));
    }
}
