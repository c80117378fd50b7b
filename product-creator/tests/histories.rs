//! Histories of products that share SKUs, delivered three times over, in any order, with crashes: each event is recorded
//! once, with the outcome of the contract's table, and products and SKU claims follow from the applied ones.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::{Arc, Mutex};
use std::thread::{self, available_parallelism};
use std::time::Duration;

use async_trait::async_trait;
use product_creator::handler::handle;
use product_creator::models::change_event::{Change, ChangeEvent};
use product_creator::models::identifiers::{EventId, ProductId};
use product_creator::models::journal::JournalEntry;
use product_creator::models::product_state::ProductState;
use product_creator::repositories::change_store::{ChangeStore, ChangeStoreError, Commit, Committed};
use product_creator::repositories::dynamodb::DynamoDbChanges;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use support::catalogue::Catalogue;
use support::changes::{batch, body, content, content_with_sku, create, delete, event, patch, update};
use support::model::Model;
use support::queue::Queue;
use support::scale::scale;
use tokio::sync::Notify;

/// A fault of one commit.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// Nothing is written, and the caller gets an error.
    Refused,
    /// Everything is written, and the caller gets an error: the response was lost.
    ResponseLost,
    /// The process ends before the commit.
    CrashBefore,
    /// The process ends after the commit.
    CrashAfter,
}

/// The table with faults. It notes the order in which events are recorded.
struct FaultyStore<'a> {
    table: &'a Arc<DynamoDbChanges>,
    faults: Mutex<Vec<Option<Fault>>>,
    crashed: Notify,
    /// Locked during a commit, so that the order is the table's.
    recorded: Arc<tokio::sync::Mutex<Vec<EventId>>>,
}

impl FaultyStore<'_> {
    async fn crash(&self) -> ! {
        self.crashed.notify_one();
        std::future::pending().await
    }

    /// Commits in a task of its own: a request that was sent arrives, even if the process that sent it has crashed.
    async fn commit_and_note(&self, commit: &Commit) -> Result<Committed, ChangeStoreError> {
        let (table, recorded, commit) = (self.table.clone(), self.recorded.clone(), commit.clone());
        let sent = tokio::spawn(async move {
            let mut recorded = recorded.lock().await;
            let committed = table.commit(&commit).await?;
            if committed == Committed::Done {
                recorded.push(commit.entry.event_id);
            }
            Ok(committed)
        });
        sent.await.unwrap()
    }
}

#[async_trait]
impl ChangeStore for FaultyStore<'_> {
    async fn current(&self, id: ProductId) -> Result<Option<ProductState>, ChangeStoreError> {
        self.table.current(id).await
    }

    async fn holder(&self, sku: &str) -> Result<Option<ProductId>, ChangeStoreError> {
        self.table.holder(sku).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, ChangeStoreError> {
        let fault = self.faults.lock().unwrap().pop().flatten();
        match fault {
            Some(Fault::Refused) => return Err(ChangeStoreError::Unavailable("refused".into())),
            Some(Fault::CrashBefore) => self.crash().await,
            _ => {}
        }
        let committed = self.commit_and_note(commit).await?;
        match fault {
            Some(Fault::ResponseLost) => Err(ChangeStoreError::Unavailable("the response was lost".into())),
            Some(Fault::CrashAfter) => self.crash().await,
            _ => Ok(committed),
        }
    }
}

#[derive(Clone, Debug)]
struct History {
    /// Kind and product of each event.
    events: Vec<(u8, usize)>,
    /// Indexes of `events`, each three times, in the order of their delivery.
    deliveries: Vec<usize>,
    batch_size: usize,
    faults: Vec<Option<Fault>>,
}

const PRODUCTS: usize = 3;
const KINDS: u8 = 16;

fn histories() -> impl Strategy<Value = History> {
    let fault = select(vec![Fault::Refused, Fault::ResponseLost, Fault::CrashBefore, Fault::CrashAfter]);
    let faults = prop::collection::vec(prop::option::weighted(0.3, fault), 0..24);
    let events = prop::collection::vec((0..KINDS, 0..PRODUCTS), 1..=14);
    (events, 1..=10_usize, faults).prop_flat_map(|(events, batch_size, faults)| {
        let deliveries: Vec<usize> = (0..events.len()).flat_map(|index| [index; 3]).collect();
        Just(deliveries).prop_shuffle().prop_map(move |deliveries| History {
            events: events.clone(),
            deliveries,
            batch_size,
            faults: faults.clone(),
        })
    })
}

/// An event of a history: mostly creations and updates, so that most histories get somewhere.
fn change(kind: u8, second: u64, id: ProductId, skus: &[String; 2]) -> ChangeEvent {
    match kind {
        0 | 1 => create(id, second),
        2 => event(id, second, Change::Create(content("Another", "5"))),
        3 | 4 => event(id, second, Change::Create(content_with_sku("Oak table", "19.99", &skus[0]))),
        5 => update(id, second, "1"),
        6 | 7 => {
            let content = content_with_sku("Oak table", "2", &skus[usize::from(kind) - 6]);
            event(id, second, Change::Update { content, expected_version: None })
        }
        8 => event(id, second, Change::Update { content: content("x", "2"), expected_version: Some(second % 4 + 1) }),
        9 => patch(id, second, json!({"price": "24.50", "attributes": {(second % 3).to_string(): "x", "1": null}})),
        10 => patch(id, second, json!({"sku": skus[0], "tags": []})),
        11 => patch(id, second, json!({"sku": null, "description": "patched"})),
        12 => patch(id, second, json!({"currency": "JPY"})),
        13 => {
            let patch = serde_json::from_value(json!({"sku": skus[1]})).unwrap();
            event(id, second, Change::Patch { patch, expected_version: Some(second % 3 + 1) })
        }
        14 => event(id, second, Change::Delete { expected_version: Some(second % 3 + 1) }),
        _ => delete(id, second),
    }
}

/// Delivers a history and checks the result. Returns the outcomes, for the report.
async fn run(catalogue: &Catalogue, history: History) -> Vec<&'static str> {
    let ids: [ProductId; PRODUCTS] = std::array::from_fn(|_| ProductId::random());
    let skus = [0, 1].map(|number| format!("{}-{number}", ids[0]));
    let events: Vec<ChangeEvent> = history
        .events
        .iter()
        .zip(1..)
        .map(|((kind, product), second)| change(*kind, second, ids[*product], &skus))
        .collect();
    let store = FaultyStore {
        table: &catalogue.store,
        faults: Mutex::new(history.faults),
        crashed: Notify::new(),
        recorded: Arc::default(),
    };
    let mut queue = Queue::without_dead_letters(history.deliveries.into_iter().map(|index| body(&events[index])));
    while !queue.is_empty() {
        let messages = queue.receive(history.batch_size);
        let bodies: Vec<String> = messages.iter().map(|message| message.body.clone()).collect();
        tokio::select! {
            result = handle(batch(&bodies), &store, Duration::from_secs(30)) => {
                let failures = result.unwrap().response.batch_item_failures;
                let failed: BTreeSet<usize> =
                    failures.iter().map(|failure| failure.item_identifier[1..].parse().unwrap()).collect();
                queue.settle(messages, &failed);
            }
            () = store.crashed.notified() => queue.abandon(messages),
        }
    }

    let by_id: BTreeMap<EventId, &ChangeEvent> = events.iter().map(|event| (event.event_id, event)).collect();
    let mut model = Model::default();
    store.recorded.lock().await.iter().for_each(|id| model.record(by_id[id]));
    let mut outcomes = BTreeMap::new();
    for id in ids {
        let of_product: Vec<&ChangeEvent> = events.iter().filter(|event| event.product_id == id).collect();
        let journal = catalogue.check_whole(id, &of_product).await;
        assert_eq!(newest_content(&journal).as_ref(), model.content(id), "{id}: the content");
        outcomes.extend(journal.iter().map(outcome));
    }
    let expected: BTreeMap<EventId, String> =
        model.outcomes().iter().map(|(id, outcome)| (*id, (*outcome).to_owned())).collect();
    assert_eq!(outcomes, expected);
    for sku in &skus {
        assert_eq!(catalogue.claim(sku).await.as_ref(), model.claims().get(sku), "the claim of {sku}");
    }
    model.outcomes().values().copied().collect()
}

/// Outcome and reason of an entry.
fn outcome(entry: &JournalEntry) -> (EventId, String) {
    let json = serde_json::to_value(entry).unwrap();
    let words = [json["outcome"].as_str(), json["reason"].as_str()];
    (entry.event_id, words.into_iter().flatten().collect::<Vec<_>>().join(" "))
}

/// The content in the newest applied entry.
fn newest_content(journal: &[JournalEntry]) -> Option<Value> {
    let after = journal.iter().rev().find_map(|entry| entry.after.as_ref())?;
    let mut content = serde_json::to_value(after).unwrap();
    for member in ["productId", "status", "version", "createdAt", "updatedAt", "lastEventId"] {
        content.as_object_mut().unwrap().remove(member);
    }
    Some(content)
}

#[test]
fn records_each_event_once_when_delivered_three_times_in_any_order_with_crashes() {
    let threads = u32::try_from(available_parallelism().map_or(1, NonZero::get)).unwrap();
    let cases = scale(500, 10_000_u32).div_ceil(threads);
    let tally = Mutex::new(BTreeMap::<&str, u32>::new());
    let run_cases = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // One table for all histories: they share no product and no SKU.
        let catalogue = runtime.block_on(Catalogue::empty());
        TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
            .run(&histories(), |history| {
                let outcomes = runtime.block_on(run(&catalogue, history));
                let mut tally = tally.lock().unwrap();
                outcomes.into_iter().for_each(|outcome| *tally.entry(outcome).or_default() += 1);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{error}"));
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run_cases)).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    let tally = tally.into_inner().unwrap();
    println!("{} histories, outcomes: {tally:?}", cases * threads);
    assert_eq!(tally.len(), 8, "each outcome was reached: {tally:?}");
}
