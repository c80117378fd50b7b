//! The whole function but for the runtime: batches in, the table and the journal out, over a real DynamoDB engine.

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use aws_sdk_dynamodb::Client;
use product_creator::handler::handle;
use product_creator::models::change_event::{Actor, Change, ChangeEvent, ChangeEventDocument};
use product_creator::models::identifiers::{EventId, ProductId};
use product_creator::models::journal::{CHAIN_START, JournalEntry};
use product_creator::models::product::ProductDetails;
use product_creator::models::product_content::ProductContent;
use product_creator::models::timestamp::Timestamp;
use product_creator::repositories::dynamodb::DynamoDbChanges;
use proptest::prelude::*;
use serde_json::{Value, json};
use support::contract::{assert_keeps, examples};
use support::products_table::{self, TABLE};

const TIME: Duration = Duration::from_secs(30);
const SHARDS: u32 = 4;

struct Catalogue {
    client: Client,
    store: DynamoDbChanges,
}

impl Catalogue {
    async fn empty() -> Self {
        let client = products_table::start().await;
        Self { store: DynamoDbChanges::new(client.clone(), TABLE, SHARDS), client }
    }

    /// Delivers bodies as one batch and returns the ids of the messages that must come again: `m0`, `m1`, …
    async fn deliver(&self, bodies: &[String]) -> Vec<String> {
        let result = handle(batch(bodies), &self.store, TIME).await.unwrap();
        result.response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
    }

    async fn deliver_all(&self, events: &[&ChangeEvent]) {
        let bodies: Vec<String> = events.iter().map(|event| body(event)).collect();
        assert_eq!(self.deliver(&bodies).await, [""; 0]);
    }

    /// All items of a product as plain JSON: `META` and the journal.
    async fn items(&self, id: ProductId) -> BTreeMap<String, Value> {
        let answer = self
            .client
            .query()
            .table_name(TABLE)
            .consistent_read(true)
            .key_condition_expression("PK = :pk")
            .expression_attribute_values(":pk", aws_sdk_dynamodb::types::AttributeValue::S(format!("PRODUCT#{id}")))
            .send()
            .await
            .unwrap();
        let items = serde_dynamo::from_items::<_, Value>(answer.items.unwrap()).unwrap();
        items.into_iter().map(|item| (item["SK"].as_str().unwrap().to_owned(), item)).collect()
    }

    async fn journal(&self, id: ProductId) -> Vec<JournalEntry> {
        let items = self.items(id).await;
        items.into_iter().filter(|(key, _)| key.starts_with("EVENT#")).map(|(_, item)| entry(item)).collect()
    }

    /// Outcome and reason of a product's entries, in the order of their events.
    async fn outcomes(&self, id: ProductId) -> Vec<String> {
        let told = |entry: JournalEntry| match entry.reason {
            Some(reason) => format!("{:?} {reason:?}", entry.outcome),
            None => format!("{:?}", entry.outcome),
        };
        self.journal(id).await.into_iter().map(told).collect()
    }
}

/// A stored entry without what only the table needs; it must keep the contract.
fn entry(mut item: Value) -> JournalEntry {
    for attribute in ["PK", "SK", "expiresAt"] {
        assert!(item.as_object_mut().unwrap().remove(attribute).is_some(), "{attribute}");
    }
    assert_keeps("journal-entry", &item);
    serde_json::from_value(item).unwrap()
}

fn batch(bodies: &[String]) -> SqsEvent {
    let message = |(place, body): (usize, &String)| {
        let mut message = SqsMessage::default();
        message.message_id = Some(format!("m{place}"));
        message.body = Some(body.clone());
        message
    };
    let mut event = SqsEvent::default();
    event.records = bodies.iter().enumerate().map(message).collect();
    event
}

fn body(event: &ChangeEvent) -> String {
    let document = serde_json::to_value(ChangeEventDocument::from(event)).unwrap();
    assert_keeps("change-event", &document);
    document.to_string()
}

fn details(name: &str, price: &str) -> ProductDetails {
    let content = ProductContent {
        name: name.to_owned(),
        price: price.to_owned(),
        currency: "EUR".to_owned(),
        tags: vec!["oak".to_owned()],
        ..ProductContent::default()
    };
    content.check().unwrap()
}

/// An event made `second` seconds after a fixed moment.
fn event(id: ProductId, second: u64, change: Change) -> ChangeEvent {
    let moment = Timestamp::from_unix_millis(1_769_860_800_000 + second * 1_000);
    ChangeEvent {
        event_id: EventId::after(None, moment),
        product_id: id,
        occurred_at: moment,
        actor: Actor { api_key_id: Some("key-1".to_owned()), source_ip: None },
        request_id: format!("req-{second}"),
        change,
    }
}

fn create(id: ProductId, second: u64) -> ChangeEvent {
    event(id, second, Change::Create(details("Oak table", "19.99")))
}

fn update(id: ProductId, second: u64, price: &str) -> ChangeEvent {
    event(id, second, Change::Update { details: details("Oak Table", price), expected_version: None })
}

fn delete(id: ProductId, second: u64) -> ChangeEvent {
    event(id, second, Change::Delete { expected_version: None })
}

#[tokio::test]
async fn a_life_from_creation_to_deletion_is_in_the_table_and_in_the_journal() {
    let catalogue = Catalogue::empty().await;
    let id = ProductId::random();
    let (created, updated, deleted) = (create(id, 1), update(id, 2, "24.5"), delete(id, 3));

    catalogue.deliver_all(&[&created]).await;
    let meta = &catalogue.items(id).await["META"];
    assert_eq!(meta["GSI1_SK"], format!("EUR#0000000000001999#{id}"));
    assert_eq!(meta["GSI2_PK"], "NAME#oak table");
    assert!(meta["GSI1_PK"].as_str().unwrap().starts_with("ACTIVE#"));
    assert_eq!((&meta["priceMinor"], &meta["version"], &meta["status"]), (&json!(1999), &json!(1), &json!("ACTIVE")));

    catalogue.deliver_all(&[&updated]).await;
    let meta = &catalogue.items(id).await["META"];
    assert_eq!((&meta["priceMinor"], &meta["version"]), (&json!(2450), &json!(2)));
    assert_eq!(meta["GSI1_SK"], format!("EUR#0000000000002450#{id}"));
    assert_eq!(meta["createEventId"], created.event_id.to_string());

    catalogue.deliver_all(&[&deleted]).await;
    let meta = &catalogue.items(id).await["META"];
    assert_eq!((&meta["status"], &meta["version"]), (&json!("DELETED"), &json!(3)));
    for key in ["GSI1_PK", "GSI1_SK", "GSI2_PK"] {
        assert_eq!(meta.get(key), None, "a tombstone is in no index");
    }

    let journal = catalogue.journal(id).await;
    assert_eq!(
        journal.iter().map(|entry| entry.event_id).collect::<Vec<_>>(),
        [created, updated, deleted].map(|e| e.event_id)
    );
    assert_eq!(journal[0].before, None);
    let mut previous = CHAIN_START;
    for (place, entry) in journal.iter().enumerate() {
        assert_eq!(entry.prev_hash.as_deref(), Some(previous));
        assert_eq!(entry.hash.as_deref(), Some(entry.digest().as_str()));
        assert_eq!(entry.version, Some(place as u64 + 1));
        if place > 0 {
            assert_eq!(entry.before, journal[place - 1].after);
        }
        previous = entry.hash.as_deref().unwrap();
    }
    assert_eq!(meta["chainHash"], previous);
}

#[tokio::test]
async fn a_journal_entry_expires_after_ninety_days() {
    let catalogue = Catalogue::empty().await;
    let id = ProductId::random();
    catalogue.deliver_all(&[&create(id, 1)]).await;

    let items = catalogue.items(id).await;
    let (_, item) = items.iter().find(|(key, _)| key.starts_with("EVENT#")).unwrap();

    let recorded: Timestamp = item["recordedAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(item["expiresAt"], json!(recorded.unix_seconds() + 90 * 86_400));
    assert_eq!(items["META"].get("expiresAt"), None, "a product does not");
}

#[tokio::test]
async fn what_cannot_be_done_is_journalled_and_done_with() {
    let catalogue = Catalogue::empty().await;
    let id = ProductId::random();
    let expecting = |second, expected_version| {
        event(id, second, Change::Update { details: details("x", "1"), expected_version: Some(expected_version) })
    };
    catalogue.deliver_all(&[&update(id, 1, "1")]).await;
    catalogue.deliver_all(&[&create(id, 2), &expecting(4, 7), &delete(id, 9)]).await;
    catalogue.deliver_all(&[&update(id, 5, "1"), &update(id, 10, "1"), &delete(id, 11), &create(id, 12)]).await;
    // By the time of their events: 1, 2, 4, 5, 9, 10, 11, 12.
    assert_eq!(
        catalogue.outcomes(id).await,
        [
            "Rejected NotFound",
            "Applied",
            "Rejected PreconditionFailed",
            "Superseded",
            "Applied",
            "Rejected NotFound",
            "Duplicate",
            "Rejected AlreadyExists",
        ]
    );
    assert_eq!(catalogue.items(id).await["META"]["version"], 2);
}

#[tokio::test]
async fn a_redelivered_event_changes_nothing() {
    let catalogue = Catalogue::empty().await;
    let id = ProductId::random();
    let life = [create(id, 1), update(id, 2, "1"), update(id, 3, "2")];
    catalogue.deliver_all(&life.each_ref()).await;
    let before = catalogue.items(id).await;

    for event in [&life[2], &life[0], &life[1]] {
        catalogue.deliver_all(&[event, event]).await;
    }

    assert_eq!(catalogue.items(id).await, before);
}

#[tokio::test]
async fn what_cannot_be_read_comes_again_and_takes_nobody_with_it() {
    let catalogue = Catalogue::empty().await;
    let id = ProductId::random();
    let mut later = serde_json::to_value(ChangeEventDocument::from(&create(ProductId::random(), 1))).unwrap();
    later["schemaVersion"] = json!(2);
    let bodies = ["".to_owned(), body(&create(id, 1)), "{}".to_owned(), "not JSON".to_owned(), later.to_string()];

    assert_eq!(catalogue.deliver(&bodies).await, ["m0", "m2", "m3", "m4"]);
    assert_eq!(catalogue.outcomes(id).await, ["Applied"]);
}

#[tokio::test]
async fn each_event_that_breaks_the_contract_comes_again() {
    let catalogue = Catalogue::empty().await;
    for (name, text) in examples("change-event", "invalid") {
        assert_eq!(catalogue.deliver(&[text]).await, ["m0"], "{name}");
    }
    for (name, text) in examples("change-event", "valid") {
        assert_eq!(catalogue.deliver(&[text]).await, [""; 0], "{name}");
    }
}

#[tokio::test]
async fn a_table_that_cannot_be_reached_sends_every_message_back() {
    let store = DynamoDbChanges::new(products_table::unreachable(), TABLE, SHARDS);
    let (one, other) = (ProductId::random(), ProductId::random());
    let bodies = [create(one, 1), update(one, 2, "1"), create(other, 1)].map(|event| body(&event));

    let result = handle(batch(&bodies), &store, TIME).await.unwrap();

    assert_eq!(result.response.batch_item_failures.len(), 3);
    let failures = result.metrics.iter().find(|metric| metric.name == "BatchItemFailures").unwrap();
    assert_eq!(failures.values, [3]);
}

#[tokio::test]
async fn what_is_not_done_in_time_is_sent_back() {
    let catalogue = Catalogue::empty().await;
    let body = body(&create(ProductId::random(), 1));

    let result = handle(batch(&[body]), &catalogue.store, Duration::ZERO).await.unwrap();

    assert_eq!(result.response.batch_item_failures[0].item_identifier, "m0");
}

#[tokio::test]
async fn a_failure_that_cannot_be_named_fails_the_batch() {
    let catalogue = Catalogue::empty().await;
    for id in [None, Some(String::new())] {
        let mut batch = batch(&["not JSON".to_owned()]);
        batch.records[0].message_id = id;
        assert!(handle(batch, &catalogue.store, TIME).await.is_err());
    }
}

#[tokio::test]
async fn changes_that_meet_are_all_applied_one_after_another() {
    let catalogue = Catalogue::empty().await;
    let id = ProductId::random();
    catalogue.deliver_all(&[&create(id, 1)]).await;
    let updates: Vec<ChangeEvent> = (2..10).map(|second| update(id, second, "1")).collect();

    // Eight instances of the function, each with one of the changes.
    let deliveries = updates.iter().map(|update| async {
        let bodies = [body(update)];
        while !catalogue.deliver(&bodies).await.is_empty() {}
    });
    futures_util::future::join_all(deliveries).await;

    let journal = catalogue.journal(id).await;
    assert_eq!(journal.len(), 9);
    let applied = journal.iter().filter(|entry| entry.hash.is_some()).count() as u64;
    let meta = &catalogue.items(id).await["META"];
    assert_eq!(meta["version"], json!(applied));
    assert_eq!(meta["lastEventId"], updates[7].event_id.to_string(), "the newest has the last word");
}

/// A change of a random history, by number.
fn change(kind: u8, second: u64, id: ProductId) -> ChangeEvent {
    match kind {
        0 => create(id, second),
        1 => event(id, second, Change::Create(details("Another", "5"))),
        2 => update(id, second, "1"),
        3 => event(id, second, Change::Update { details: details("x", "2"), expected_version: Some(second % 4 + 1) }),
        _ => delete(id, second),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20, ..ProptestConfig::default() })]

    /// Whatever the order and however often: nothing is lost, nothing is done twice, the chain holds.
    #[test]
    fn any_history_delivered_three_times_in_any_order_is_whole(
        kinds in proptest::collection::vec(0..5_u8, 1..10),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 40),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let catalogue = Catalogue::empty().await;
            let id = ProductId::random();
            let events: Vec<ChangeEvent> =
                kinds.iter().zip(1..).map(|(kind, second)| change(*kind, second, id)).collect();
            let mut deliveries: Vec<String> = events.iter().flat_map(|event| [body(event), body(event), body(event)]).collect();
            for (place, pick) in order.iter().enumerate().take(deliveries.len()) {
                let other = pick.index(deliveries.len());
                deliveries.swap(place, other);
            }
            for bodies in deliveries.chunks(4) {
                assert_eq!(catalogue.deliver(bodies).await, [""; 0]);
            }

            let journal = catalogue.journal(id).await;
            let recorded: Vec<EventId> = journal.iter().map(|entry| entry.event_id).collect();
            assert_eq!(recorded, events.iter().map(|event| event.event_id).collect::<Vec<_>>(), "one entry an event");
            let mut previous = CHAIN_START.to_owned();
            let mut after = None;
            for (entry, version) in journal.iter().filter(|entry| entry.hash.is_some()).zip(1_u64..) {
                assert_eq!((entry.version, entry.prev_hash.as_ref()), (Some(version), Some(&previous)));
                assert_eq!(entry.hash.as_ref(), Some(&entry.digest()));
                assert_eq!(entry.before, after);
                previous = entry.hash.clone().unwrap();
                after = entry.after.clone();
            }
            let items = catalogue.items(id).await;
            assert_eq!(items.get("META").map(|meta| &meta["chainHash"]), after.is_some().then(|| json!(previous)).as_ref());
        });
    }
}

#[test]
fn the_golden_journal_entries_are_read_and_written_as_they_are() {
    for (name, text) in examples("journal-entry", "valid") {
        let entry: JournalEntry = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(serde_json::to_value(&entry).unwrap(), serde_json::from_str::<Value>(&text).unwrap(), "{name}");
        if entry.hash.is_some() {
            assert_eq!(entry.hash.as_ref(), Some(&entry.digest()), "{name}: the hash that the contract computes");
        }
    }
}
