//! The whole function but for the runtime: batches in, the table and the journal out, over a real DynamoDB engine.

mod support;

use std::time::Duration;

use product_creator::handler::handle;
use product_creator::models::change_event::{Change, ChangeEvent, ChangeEventDocument};
use product_creator::models::identifiers::ProductId;
use product_creator::models::journal::{CHAIN_START, JournalEntry};
use product_creator::models::timestamp::Timestamp;
use product_creator::repositories::dynamodb::DynamoDbChanges;
use serde_json::{Value, json};
use support::catalogue::{Catalogue, SHARDS};
use support::changes::{batch, body, create, delete, details, event, update};
use support::contract::examples;
use support::products_table::{self, TABLE};

const TIME: Duration = Duration::from_secs(30);

impl Catalogue {
    /// Delivers bodies as one batch and returns the IDs of the messages to redeliver: `m0`, `m1`, …
    async fn deliver(&self, bodies: &[String]) -> Vec<String> {
        let result = handle(batch(bodies), &self.store, TIME).await.unwrap();
        result.response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
    }

    async fn deliver_all(&self, events: &[&ChangeEvent]) {
        let bodies: Vec<String> = events.iter().map(|event| body(event)).collect();
        assert_eq!(self.deliver(&bodies).await, [""; 0]);
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

#[tokio::test]
async fn a_life_from_creation_to_deletion_is_in_the_table_and_in_the_journal() {
    let catalogue = Catalogue::empty().await;
    let id = ProductId::random();
    let (created, updated, deleted) = (create(id, 1), update(id, 2, "24.5"), delete(id, 3));

    catalogue.deliver_all(&[&created]).await;
    let meta = &catalogue.items(id).await["META"];
    assert_eq!(meta["GSI1_SK"], format!("EUR#0000000000001999#{id}"));
    assert_eq!(meta["GSI2_PK"], "NAME#oa");
    assert_eq!(meta["GSI2_SK"], format!("oak table\tEUR#0000000000001999#{id}"));
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
    for key in ["GSI1_PK", "GSI1_SK", "GSI2_PK", "GSI2_SK"] {
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
