//! Histories of a product, delivered three times over, in any order, with crashes on the way: every event is recorded once,
//! as the contract's table says, and the product is what the applied ones make.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::sync::Mutex;
use std::thread::{self, available_parallelism};
use std::time::Duration;

use async_trait::async_trait;
use product_creator::handler::handle;
use product_creator::models::change_event::{Change, ChangeEvent};
use product_creator::models::identifiers::{EventId, ProductId};
use product_creator::repositories::change_store::{ChangeStore, ChangeStoreError, Commit, Committed};
use product_creator::repositories::dynamodb::DynamoDbChanges;
use product_creator::services::decide::ProductState;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use support::catalogue::Catalogue;
use support::changes::{batch, body, create, delete, details, event, update};
use support::model::Model;
use support::queue::Queue;
use support::scale::scale;
use tokio::sync::Notify;

/// What befalls a commit.
#[derive(Clone, Copy, Debug)]
enum Fault {
    /// It is not made, and the caller is told of an error.
    Refused,
    /// It is made, and the caller is told of an error: the answer was lost.
    AnswerLost,
    /// The process ends before it.
    CrashBefore,
    /// The process ends after it.
    CrashAfter,
}

/// The table, with faults. It notes which events were recorded, in which order.
struct Faulty<'a> {
    table: &'a DynamoDbChanges,
    faults: Mutex<Vec<Option<Fault>>>,
    crashed: Notify,
    recorded: Mutex<Vec<EventId>>,
}

impl Faulty<'_> {
    async fn crash(&self) -> ! {
        self.crashed.notify_one();
        std::future::pending().await
    }
}

#[async_trait]
impl ChangeStore for Faulty<'_> {
    async fn current(&self, id: ProductId) -> Result<Option<ProductState>, ChangeStoreError> {
        self.table.current(id).await
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, ChangeStoreError> {
        let fault = self.faults.lock().unwrap().pop().flatten();
        match fault {
            Some(Fault::Refused) => return Err(ChangeStoreError::Unavailable("refused".into())),
            Some(Fault::CrashBefore) => self.crash().await,
            _ => {}
        }
        let committed = self.table.commit(commit).await?;
        if committed == Committed::Done {
            self.recorded.lock().unwrap().push(commit.entry.event_id);
        }
        match fault {
            Some(Fault::AnswerLost) => Err(ChangeStoreError::Unavailable("the answer was lost".into())),
            Some(Fault::CrashAfter) => self.crash().await,
            _ => Ok(committed),
        }
    }
}

#[derive(Clone, Debug)]
struct History {
    kinds: Vec<u8>,
    /// Places of `kinds`, each three times, in the order of their delivery.
    deliveries: Vec<usize>,
    batch_size: usize,
    faults: Vec<Option<Fault>>,
}

fn histories() -> impl Strategy<Value = History> {
    let fault = select(vec![Fault::Refused, Fault::AnswerLost, Fault::CrashBefore, Fault::CrashAfter]);
    let faults = prop::collection::vec(prop::option::weighted(0.3, fault), 0..24);
    (prop::collection::vec(0..8_u8, 1..=12), 1..=10_usize, faults).prop_flat_map(|(kinds, batch_size, faults)| {
        let deliveries: Vec<usize> = (0..kinds.len()).flat_map(|place| [place; 3]).collect();
        Just(deliveries).prop_shuffle().prop_map(move |deliveries| History {
            kinds: kinds.clone(),
            deliveries,
            batch_size,
            faults: faults.clone(),
        })
    })
}

/// An event of a history: mostly creations and changes, so that most histories get somewhere.
fn change(kind: u8, second: u64, id: ProductId) -> ChangeEvent {
    match kind {
        0 | 1 => create(id, second),
        2 => event(id, second, Change::Create(details("Another", "5"))),
        3 | 4 => update(id, second, "1"),
        5 => event(id, second, Change::Update { details: details("x", "2"), expected_version: Some(second % 4 + 1) }),
        6 => event(id, second, Change::Delete { expected_version: Some(second % 3 + 1) }),
        _ => delete(id, second),
    }
}

/// Delivers a history and checks what came of it. Returns the outcomes, for the record.
async fn live(catalogue: &Catalogue, history: History) -> Vec<&'static str> {
    let id = ProductId::random();
    let events: Vec<ChangeEvent> =
        history.kinds.iter().zip(1..).map(|(kind, second)| change(*kind, second, id)).collect();
    let store = Faulty {
        table: &catalogue.store,
        faults: Mutex::new(history.faults),
        crashed: Notify::new(),
        recorded: Mutex::default(),
    };
    let mut queue = Queue::patient(history.deliveries.into_iter().map(|place| body(&events[place])));
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

    let journal = catalogue.check_whole(id, &events.iter().collect::<Vec<_>>()).await;
    let by_id: BTreeMap<EventId, &ChangeEvent> = events.iter().map(|event| (event.event_id, event)).collect();
    let mut model = Model::default();
    store.recorded.lock().unwrap().iter().for_each(|id| model.record(by_id[id]));
    let outcomes: BTreeMap<EventId, String> = journal
        .iter()
        .map(|entry| {
            let json = serde_json::to_value(entry).unwrap();
            let words = [json["outcome"].as_str(), json["reason"].as_str()];
            (entry.event_id, words.into_iter().flatten().collect::<Vec<_>>().join(" "))
        })
        .collect();
    let expected: BTreeMap<EventId, String> =
        model.outcomes().iter().map(|(id, outcome)| (*id, (*outcome).to_owned())).collect();
    assert_eq!(outcomes, expected);
    model.outcomes().values().copied().collect()
}

#[test]
fn any_history_delivered_three_times_in_any_order_with_crashes_is_whole() {
    let threads = u32::try_from(available_parallelism().map_or(1, NonZero::get)).unwrap();
    let cases = scale(500, 10_000_u32).div_ceil(threads);
    let tally = Mutex::new(BTreeMap::<&str, u32>::new());
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // One table for all: what happens to a product is no other's business.
        let catalogue = runtime.block_on(Catalogue::empty());
        TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
            .run(&histories(), |history| {
                let outcomes = runtime.block_on(live(&catalogue, history));
                let mut tally = tally.lock().unwrap();
                outcomes.into_iter().for_each(|outcome| *tally.entry(outcome).or_default() += 1);
                Ok(())
            })
            .unwrap_or_else(|error| panic!("{error}"));
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|_| scope.spawn(run)).collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    let tally = tally.into_inner().unwrap();
    println!("{} histories, outcomes: {tally:?}", cases * threads);
    assert_eq!(tally.len(), 6, "every outcome was met: {tally:?}");
}
