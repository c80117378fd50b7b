//! Every interleaving of up to three changes, explored by a model checker.
//!
//! The code under test is the function's own: [`apply_change_with`], and with it the decision, the merge and the journal
//! entries. The model is what surrounds it: a table with transactions and conditions, a queue that delivers at least once and
//! in any order, with a dead-letter queue and redrives, and two consumers, each of which may crash before and after every call,
//! also while a transaction is on its way.
//!
//! A consumer is the event that it works on and the replies that it got so far. Its next call is found by running the function
//! over these replies; the function depends on nothing else, as clock and pauses are the model's.

mod support;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::thread::available_parallelism;
use std::time::Instant;

use async_trait::async_trait;
use futures_util::FutureExt;
use product_creator::models::change_event::{Actor, Change, ChangeEvent};
use product_creator::models::identifiers::{EventId, ProductId};
use product_creator::models::journal::{CHAIN_START, JournalEntry, Outcome};
use product_creator::models::product_content::ProductContent;
use product_creator::models::product_state::ProductState;
use product_creator::models::product_status::Status;
use product_creator::models::timestamp::Timestamp;
use product_creator::repositories::change_store::{ChangeStore, ChangeStoreError, ClaimWrite, Commit, Committed};
use product_creator::services::apply_change::apply_change_with;
use serde_json::{Value, json};
use stateright::{Checker, HasDiscoveries, Model, Path, Property};
use support::scale::scale;

const PRODUCTS: [&str; 2] = ["3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84", "9b2d7c41-56ae-4f08-8c13-7e5d0a9b3f26"];
const SKUS: [&str; 2] = ["S", "T"];
const CONSUMERS: usize = 2;

const FOLLOWS_FROM_JOURNAL: &str = "no change is without its entry, versions are contiguous, the chain is unbroken";
const ONE_ENTRY: &str = "each event has at most one entry";
const ONE_HOLDER: &str = "each SKU is held by its one active product";
const REJECTED_FOR_HELD_SKU: &str = "a change is rejected for a SKU only while another product holds it";
/// In a system at rest there are no messages, so every accepted change has ended there. It comes to rest from every state:
/// crashes and copies are bounded, and a dead letter can be redriven.
const NOTHING_LOST: &str = "an accepted change is recorded, or has a message";

/// Receives after which a message is moved to the dead-letter queue.
const MAX_RECEIVES: u8 = 2;

/// How far the exploration goes.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Crashes of consumers.
    crashes: u8,
    /// Messages that the queue delivers once more, although they were delivered.
    copies: u8,
}

/// A condition or a rule that is left out, to see that a property finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    /// The journal entry is written whether it exists or not.
    JournalCondition,
    /// The product is written whatever it has become.
    ProductCondition,
    /// A SKU is taken whoever holds it.
    TakeCondition,
    /// A change is rejected although the SKU may be free again.
    CheckCondition,
    /// The product is written first, and the journal entry afterwards.
    Transaction,
    /// The message is deleted before its change is committed.
    Acknowledgement,
}

/// What a consumer asks of the table, or does without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Call {
    Read,
    ReadClaim(u8),
    /// A commit, by its number.
    Commit(u32),
    /// The change is recorded: the message is deleted.
    Acknowledge,
    /// The message is returned to the queue.
    Return,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Reply {
    /// A product's state, by its number.
    Product(Option<u32>),
    /// The product that holds the SKU.
    Holder(Option<u8>),
    Done,
    AlreadyRecorded,
    Outdated,
    ClaimFailed(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Message {
    event: u8,
    receives: u8,
    dead: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Work {
    message: Message,
    replies: Vec<Reply>,
    /// A commit whose journal entry is still to be written; only while transactions are broken.
    half: Option<u32>,
}

/// The table, the queue and the consumers. Messages and consumers are sorted: their order means nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct System {
    products: [Option<u32>; 2],
    claims: [Option<u8>; 2],
    /// The entries that were written for each event, by their numbers.
    journal: Vec<Vec<u32>>,
    messages: Vec<Message>,
    consumers: Vec<Option<Work>>,
    /// Commits whose consumer crashed while they were on their way. They may arrive at any time.
    on_their_way: Vec<u32>,
    crashes: u8,
    copies: u8,
    /// A change was rejected for a SKU that no other product held at that moment.
    rejected_for_free_sku: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Receive(Message),
    /// The consumer's next call.
    Call(usize),
    Crash(usize),
    /// A crash after the commit was sent.
    CrashWhileCommitting(usize),
    /// The commit of a crashed consumer.
    Arrive(u32),
    /// The queue delivers a message once more, while it is on the queue or with a consumer.
    Copy(Message),
    Redrive(Message),
}

/// Values that a state names by their numbers, so that states are small.
#[derive(Default)]
struct Values {
    products: Numbered<ProductState>,
    commits: Numbered<Commit>,
    entries: Numbered<JournalEntry>,
    /// The next call after these replies.
    calls: HashMap<(u8, Vec<Reply>), Call>,
    /// Replies, outcomes and reasons that occurred.
    reached: BTreeSet<String>,
}

struct Numbered<T> {
    values: Vec<Arc<T>>,
    numbers: HashMap<String, u32>,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { values: Vec::new(), numbers: HashMap::new() }
    }
}

impl<T: std::fmt::Debug> Numbered<T> {
    fn number(&mut self, value: T) -> u32 {
        let next = u32::try_from(self.values.len()).unwrap();
        *self.numbers.entry(format!("{value:?}")).or_insert_with(|| {
            self.values.push(Arc::new(value));
            next
        })
    }

    fn value(&self, number: u32) -> Arc<T> {
        self.values[number as usize].clone()
    }
}

/// Some changes, accepted in this order and delivered in any.
struct Scenario {
    events: Vec<ChangeEvent>,
    bounds: Bounds,
    broken: Option<Broken>,
    values: Mutex<Values>,
}

/// Replies of the table to a consumer, and the first call that has no reply yet.
struct Replay<'a> {
    scenario: &'a Scenario,
    replies: Mutex<std::vec::IntoIter<Reply>>,
    call: Mutex<Option<Call>>,
}

impl Replay<'_> {
    async fn reply(&self, call: impl FnOnce() -> Call) -> Reply {
        let reply = self.replies.lock().unwrap().next();
        if let Some(reply) = reply {
            return reply;
        }
        *self.call.lock().unwrap() = Some(call());
        std::future::pending().await
    }
}

#[async_trait]
impl ChangeStore for Replay<'_> {
    async fn current(&self, _: ProductId) -> Result<Option<ProductState>, ChangeStoreError> {
        match self.reply(|| Call::Read).await {
            Reply::Product(number) => Ok(number.map(|number| self.scenario.product(number).as_ref().clone())),
            other => panic!("{other:?} to a read"),
        }
    }

    async fn holder(&self, sku: &str) -> Result<Option<ProductId>, ChangeStoreError> {
        match self.reply(|| Call::ReadClaim(sku_number(sku))).await {
            Reply::Holder(holder) => Ok(holder.map(product_id)),
            other => panic!("{other:?} to a read of a claim"),
        }
    }

    async fn commit(&self, commit: &Commit) -> Result<Committed, ChangeStoreError> {
        let call = || Call::Commit(self.scenario.values.lock().unwrap().commits.number(commit.clone()));
        Ok(match self.reply(call).await {
            Reply::Done => Committed::Done,
            Reply::AlreadyRecorded => Committed::AlreadyRecorded,
            Reply::Outdated => Committed::Outdated,
            Reply::ClaimFailed(sku) => Committed::ClaimFailed(SKUS[usize::from(sku)].to_owned()),
            other => panic!("{other:?} to a commit"),
        })
    }
}

fn product_id(number: u8) -> ProductId {
    PRODUCTS[usize::from(number)].parse().unwrap()
}

fn product_number(id: ProductId) -> u8 {
    u8::from(id != product_id(0))
}

fn sku_number(sku: &str) -> u8 {
    u8::from(sku != SKUS[0])
}

fn clock() -> Timestamp {
    Timestamp::from_unix_millis(1_769_860_900_000)
}

impl Scenario {
    fn new(changes: &[(u8, Change)], bounds: Bounds, broken: Option<Broken>) -> Self {
        let event = |(index, (product, change)): (usize, &(u8, Change))| ChangeEvent {
            event_id: format!("019c1941-fe{index:02}-7d2e-9f10-2b3c4d5e6f70").parse().unwrap(),
            product_id: product_id(*product),
            occurred_at: Timestamp::from_unix_millis(1_769_860_800_000),
            actor: Actor::default(),
            request_id: format!("req-{index}"),
            change: change.clone(),
        };
        Self { events: changes.iter().enumerate().map(event).collect(), bounds, broken, values: Mutex::default() }
    }

    fn product(&self, number: u32) -> Arc<ProductState> {
        self.values.lock().unwrap().products.value(number)
    }

    fn entry(&self, number: u32) -> Arc<JournalEntry> {
        self.values.lock().unwrap().entries.value(number)
    }

    fn reach(&self, what: String) {
        self.values.lock().unwrap().reached.insert(what);
    }

    /// What the function does after these replies.
    fn next_call(&self, event: u8, replies: &[Reply]) -> Call {
        let key = (event, replies.to_vec());
        if let Some(call) = self.values.lock().unwrap().calls.get(&key) {
            return *call;
        }
        let replay = Replay { scenario: self, replies: Mutex::new(key.1.clone().into_iter()), call: Mutex::default() };
        let applied = apply_change_with(&replay, &self.events[usize::from(event)], clock, |_| std::future::ready(()));
        let call = match applied.now_or_never() {
            None => replay.call.into_inner().unwrap().expect("only the table keeps the function waiting"),
            Some(Ok(_)) => Call::Acknowledge,
            Some(Err(_)) => Call::Return,
        };
        self.values.lock().unwrap().calls.insert(key, call);
        call
    }

    /// All of the commit or nothing, as DynamoDB does it.
    fn transact(&self, system: &mut System, number: u32) -> Reply {
        let commit = self.values.lock().unwrap().commits.value(number);
        let reply = self.failed_condition(system, &commit).unwrap_or(Reply::Done);
        self.reach(format!("{reply:?}").split('(').next().unwrap().to_owned());
        if reply == Reply::Done {
            self.write_product(system, &commit);
            if self.broken != Some(Broken::Transaction) {
                self.write_entry(system, &commit);
            }
        }
        reply
    }

    fn failed_condition(&self, system: &System, commit: &Commit) -> Option<Reply> {
        let is_kept = |broken: Broken| self.broken != Some(broken);
        let me = product_number(commit.entry.product_id);
        if !system.journal[self.index(commit.entry.event_id)].is_empty() && is_kept(Broken::JournalCondition) {
            return Some(Reply::AlreadyRecorded);
        }
        let last = system.products[usize::from(me)].map(|number| self.product(number).product.last_event_id);
        if commit.seen != last && is_kept(Broken::ProductCondition) {
            return Some(Reply::Outdated);
        }
        let failed = commit.claims.iter().find(|claim| {
            let holder = system.claims[usize::from(sku_number(claim.sku()))];
            match claim {
                ClaimWrite::Take { .. } => holder.is_some_and(|holder| holder != me) && is_kept(Broken::TakeCondition),
                ClaimWrite::Release { .. } => holder != Some(me),
                ClaimWrite::Check { holder: other, .. } => {
                    holder != Some(product_number(*other)) && is_kept(Broken::CheckCondition)
                }
            }
        });
        failed.map(|claim| Reply::ClaimFailed(sku_number(claim.sku())))
    }

    fn write_product(&self, system: &mut System, commit: &Commit) {
        let me = product_number(commit.entry.product_id);
        if let Some(next) = &commit.next {
            let number = self.values.lock().unwrap().products.number(next.clone());
            system.products[usize::from(me)] = Some(number);
        }
        for claim in &commit.claims {
            let held = &mut system.claims[usize::from(sku_number(claim.sku()))];
            match claim {
                ClaimWrite::Take { .. } => *held = Some(me),
                ClaimWrite::Release { .. } => *held = None,
                ClaimWrite::Check { .. } => system.rejected_for_free_sku |= held.is_none_or(|holder| holder == me),
            }
        }
    }

    fn write_entry(&self, system: &mut System, commit: &Commit) {
        let entry = &commit.entry;
        let words =
            format!("{:?} {}", entry.outcome, entry.reason.map_or(String::new(), |reason| format!("{reason:?}")));
        self.reach(words.trim_end().to_owned());
        let number = self.values.lock().unwrap().entries.number(entry.clone());
        system.journal[self.index(entry.event_id)].push(number);
    }

    fn index(&self, event: EventId) -> usize {
        self.events.iter().position(|known| known.event_id == event).unwrap()
    }

    fn call(&self, system: &mut System, consumer: usize) {
        let mut work = system.consumers[consumer].take().unwrap();
        if let Some(commit) = work.half.take() {
            let commit = self.values.lock().unwrap().commits.value(commit);
            self.write_entry(system, &commit);
            system.consumers[consumer] = Some(work);
            return;
        }
        let event = &self.events[usize::from(work.message.event)];
        let reply = match self.next_call(work.message.event, &work.replies) {
            Call::Read => Reply::Product(system.products[usize::from(product_number(event.product_id))]),
            Call::ReadClaim(sku) => Reply::Holder(system.claims[usize::from(sku)]),
            Call::Commit(number) => {
                let reply = self.transact(system, number);
                work.half = Some(number).filter(|_| reply == Reply::Done && self.broken == Some(Broken::Transaction));
                reply
            }
            Call::Acknowledge => return,
            Call::Return => return self.give_back(system, work.message),
        };
        work.replies.push(reply);
        system.consumers[consumer] = Some(work);
    }

    /// The message of a consumer that failed.
    fn give_back(&self, system: &mut System, message: Message) {
        let dead = message.receives >= MAX_RECEIVES;
        if dead {
            self.reach("DeadLetter".to_owned());
        }
        if self.broken != Some(Broken::Acknowledgement) {
            system.messages.push(Message { dead, ..message });
        }
    }

    fn crash(&self, system: &mut System, consumer: usize) {
        let work = system.consumers[consumer].take().unwrap();
        system.crashes += 1;
        self.give_back(system, work.message);
    }

    fn is_recorded(system: &System, event: usize) -> bool {
        !system.journal[event].is_empty()
    }

    /// Applied entries of a product in the order of their versions.
    fn applied(&self, system: &System, product: u8) -> Vec<Arc<JournalEntry>> {
        let entries = system.journal.iter().flatten().map(|number| self.entry(*number));
        let mut applied: Vec<_> = entries
            .filter(|entry| entry.product_id == product_id(product) && entry.outcome == Outcome::Applied)
            .collect();
        applied.sort_by_key(|entry| entry.version);
        applied
    }

    /// Versions are contiguous, each entry continues the chain and the product of the one before it, and the product is what
    /// the last one says.
    fn follows_from_journal(&self, system: &System, product: u8) -> bool {
        let (mut version, mut previous, mut after, mut last) = (0, CHAIN_START.to_owned(), None, None);
        for entry in self.applied(system, product) {
            version += 1;
            let is_next = entry.version == Some(version)
                && entry.prev_hash.as_ref() == Some(&previous)
                && entry.hash.as_ref() == Some(&entry.digest())
                && entry.before == after
                && Some(entry.event_id) > last;
            if !is_next {
                return false;
            }
            (previous, after, last) = (entry.hash.clone().unwrap(), entry.after.clone(), Some(entry.event_id));
        }
        match system.products[usize::from(product)] {
            None => version == 0,
            Some(number) => {
                let state = self.product(number);
                after.as_ref() == Some(&state.product)
                    && state.product.version == version
                    && Some(state.product.last_event_id) == last
                    && state.chain_hash == previous
            }
        }
    }

    /// Each active product holds the claim of its SKU, and each claim is held by such a product.
    fn claims_match(&self, system: &System) -> bool {
        let mut expected = [None; 2];
        for (index, number) in system.products.iter().enumerate() {
            let Some(state) = number.map(|number| self.product(number)) else { continue };
            if state.product.status == Status::Active
                && let Some(sku) = state.product.claimed_sku()
            {
                let claim = &mut expected[usize::from(sku_number(sku))];
                if claim.is_some() {
                    return false;
                }
                *claim = Some(u8::try_from(index).unwrap());
            }
        }
        expected == system.claims
    }
}

impl Model for Scenario {
    type State = System;
    type Action = Action;

    fn init_states(&self) -> Vec<System> {
        let message = |event| Message { event, receives: 0, dead: false };
        let events = u8::try_from(self.events.len()).unwrap();
        vec![System {
            products: [None; 2],
            claims: [None; 2],
            journal: vec![Vec::new(); self.events.len()],
            messages: (0..events).map(message).collect(),
            consumers: vec![None; CONSUMERS],
            on_their_way: Vec::new(),
            crashes: 0,
            copies: 0,
            rejected_for_free_sku: false,
        }]
    }

    fn actions(&self, system: &System, actions: &mut Vec<Action>) {
        let waiting: BTreeSet<Message> = system.messages.iter().copied().collect();
        if system.consumers.iter().any(Option::is_none) {
            actions.extend(waiting.iter().filter(|message| !message.dead).copied().map(Action::Receive));
        }
        actions.extend(waiting.iter().filter(|message| message.dead).copied().map(Action::Redrive));
        for (index, work) in system.consumers.iter().enumerate() {
            let Some(work) = work else { continue };
            actions.push(Action::Call(index));
            if system.crashes < self.bounds.crashes {
                actions.push(Action::Crash(index));
                let call = self.next_call(work.message.event, &work.replies);
                if matches!(call, Call::Commit(_)) && self.broken != Some(Broken::Transaction) {
                    actions.push(Action::CrashWhileCommitting(index));
                }
            }
        }
        actions.extend(system.on_their_way.iter().copied().map(Action::Arrive));
        if system.copies < self.bounds.copies {
            let with_consumers = system.consumers.iter().flatten().map(|work| work.message);
            let delivered: BTreeSet<Message> = waiting.iter().copied().chain(with_consumers).collect();
            actions.extend(delivered.into_iter().filter(|message| !message.dead).map(Action::Copy));
        }
    }

    fn next_state(&self, last: &System, action: Action) -> Option<System> {
        let mut system = last.clone();
        let take = |messages: &mut Vec<Message>, message: Message| {
            let index = messages.iter().position(|waiting| *waiting == message).unwrap();
            messages.remove(index)
        };
        match action {
            Action::Receive(message) => {
                let message = take(&mut system.messages, message);
                let message = Message { receives: message.receives + 1, ..message };
                let idle = system.consumers.iter().position(Option::is_none).unwrap();
                system.consumers[idle] = Some(Work { message, replies: Vec::new(), half: None });
            }
            Action::Call(consumer) => self.call(&mut system, consumer),
            Action::Crash(consumer) => self.crash(&mut system, consumer),
            Action::CrashWhileCommitting(consumer) => {
                let work = system.consumers[consumer].as_ref().unwrap();
                let Call::Commit(number) = self.next_call(work.message.event, &work.replies) else { unreachable!() };
                self.crash(&mut system, consumer);
                system.on_their_way.push(number);
            }
            Action::Arrive(number) => {
                system.on_their_way.retain(|on_its_way| *on_its_way != number);
                self.transact(&mut system, number);
            }
            Action::Copy(message) => {
                system.copies += 1;
                system.messages.push(message);
            }
            Action::Redrive(message) => {
                let message = take(&mut system.messages, message);
                system.messages.push(Message { receives: 0, dead: false, ..message });
            }
        }
        system.messages.sort();
        system.consumers.sort();
        system.on_their_way.sort_unstable();
        Some(system)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(FOLLOWS_FROM_JOURNAL, |model, system| {
                (0..2).all(|product| model.follows_from_journal(system, product))
            }),
            Property::always(ONE_ENTRY, |_, system: &System| system.journal.iter().all(|entries| entries.len() <= 1)),
            Property::always(ONE_HOLDER, Self::claims_match),
            Property::always(REJECTED_FOR_HELD_SKU, |_, system: &System| !system.rejected_for_free_sku),
            Property::always(NOTHING_LOST, |_, system: &System| {
                (0..system.journal.len()).all(|event| {
                    let is_of = |message: &Message| usize::from(message.event) == event;
                    Self::is_recorded(system, event)
                        || system.messages.iter().any(is_of)
                        || system.consumers.iter().flatten().any(|work| is_of(&work.message))
                })
            }),
        ]
    }
}

fn content(price: &str, sku: Option<&str>) -> ProductContent {
    serde_json::from_value(json!({"name": "Oak table", "price": price, "currency": "EUR", "sku": sku})).unwrap()
}

fn patch(patch: Value, expected_version: Option<u64>) -> Change {
    Change::Patch { patch: serde_json::from_value(patch).unwrap(), expected_version }
}

/// The changes that scenarios are made of, each with its product.
fn alphabet() -> Vec<(u8, Change)> {
    let [s, t] = SKUS;
    let replace = |sku, expected_version| Change::Update { content: content("2.00", sku), expected_version };
    vec![
        (0, Change::Create(content("1.00", Some(s)))),
        (0, Change::Create(content("5.00", None))),
        (1, Change::Create(content("1.00", Some(s)))),
        (0, replace(Some(t), None)),
        (0, replace(Some(s), Some(1))),
        (0, patch(json!({"sku": t, "description": "Solid"}), None)),
        (0, patch(json!({"currency": "JPY"}), None)),
        (1, patch(json!({"sku": t}), None)),
        (1, patch(json!({"sku": null}), Some(1))),
        (0, Change::Delete { expected_version: None }),
        (1, Change::Delete { expected_version: Some(2) }),
    ]
}

/// Every sequence of this many changes.
fn sequences(length: usize) -> Vec<Vec<(u8, Change)>> {
    let mut sequences = vec![Vec::new()];
    for _ in 0..length {
        let longer = |sequence: &Vec<(u8, Change)>| {
            alphabet().into_iter().map(|change| [sequence.clone(), vec![change]].concat()).collect::<Vec<_>>()
        };
        sequences = sequences.iter().flat_map(longer).collect();
    }
    sequences
}

#[derive(Debug, Default)]
struct Explored {
    scenarios: usize,
    states: usize,
    transitions: usize,
    reached: BTreeSet<String>,
}

/// Explores the scenarios completely. A violated property is a panic with the path to it.
fn explore(scenarios: impl IntoIterator<Item = Vec<(u8, Change)>>, bounds: Bounds, explored: &mut Explored) {
    let threads = available_parallelism().map_or(1, std::num::NonZero::get);
    for changes in scenarios {
        let checker = Scenario::new(&changes, bounds, None).checker().threads(threads).spawn_bfs().join();
        checker.assert_properties();
        assert!(checker.is_done());
        explored.scenarios += 1;
        explored.states += checker.unique_state_count();
        explored.transitions += checker.state_count();
        explored.reached.append(&mut checker.model().values.lock().unwrap().reached.clone());
    }
}

#[test]
fn keeps_every_property_in_every_interleaving() {
    let started = Instant::now();
    let mut explored = Explored::default();
    explore(sequences(1), Bounds { crashes: 2, copies: 1 }, &mut explored);
    if scale(false, true) {
        explore(sequences(2), Bounds { crashes: 2, copies: 1 }, &mut explored);
        explore(sequences(3), Bounds { crashes: 1, copies: 0 }, &mut explored);
    } else {
        explore(sequences(2), Bounds { crashes: 1, copies: 1 }, &mut explored);
        explore(sequences(2).into_iter().step_by(7), Bounds { crashes: 2, copies: 0 }, &mut explored);
        explore(sequences(3).into_iter().step_by(23), Bounds { crashes: 0, copies: 0 }, &mut explored);
    }
    println!(
        "{} scenarios, {} states, {} transitions in {:?}; reached: {:?}",
        explored.scenarios,
        explored.states,
        explored.transitions,
        started.elapsed(),
        explored.reached
    );
    for word in [
        "Applied",
        "Duplicate",
        "Superseded",
        "Rejected AlreadyExists",
        "Rejected NotFound",
        "Rejected PreconditionFailed",
        "Rejected SkuTaken",
        "Rejected InvalidResult",
        "Done",
        "AlreadyRecorded",
        "Outdated",
        "ClaimFailed",
        "DeadLetter",
    ] {
        assert!(explored.reached.contains(word), "{word} is not reached: {:?}", explored.reached);
    }
}

/// The shortest way to a state that violates the property.
fn counterexample(changes: &[usize], broken: Broken, bounds: Bounds, property: &'static str) -> Option<Vec<Action>> {
    let changes: Vec<_> = changes.iter().map(|index| alphabet()[*index].clone()).collect();
    let found = HasDiscoveries::AnyOf([property].into());
    // A checker stops within a block of states, not at the first: the depth makes the way the shortest.
    (1..20).find_map(|depth| {
        let scenario = Scenario::new(&changes, bounds, Some(broken));
        let checker = scenario.checker().target_max_depth(depth).finish_when(found.clone()).spawn_bfs().join();
        checker.discovery(property).map(Path::into_actions)
    })
}

#[test]
fn finds_each_condition_that_is_left_out() {
    let bounds = |crashes, copies| Bounds { crashes, copies };
    for (broken, changes, bounds, property) in [
        (Broken::JournalCondition, &[9][..], bounds(0, 1), ONE_ENTRY),
        (Broken::ProductCondition, &[0, 1], bounds(0, 0), FOLLOWS_FROM_JOURNAL),
        (Broken::TakeCondition, &[0, 2], bounds(0, 0), ONE_HOLDER),
        (Broken::CheckCondition, &[0, 2, 3], bounds(0, 0), REJECTED_FOR_HELD_SKU),
        (Broken::Transaction, &[0], bounds(1, 0), FOLLOWS_FROM_JOURNAL),
        (Broken::Acknowledgement, &[0], bounds(1, 0), NOTHING_LOST),
    ] {
        let actions = counterexample(changes, broken, bounds, property);
        let actions = actions.unwrap_or_else(|| panic!("{broken:?} is not found"));
        println!("without {broken:?}, {} actions violate \"{property}\": {actions:?}", actions.len());
    }
}
