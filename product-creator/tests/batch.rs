//! The function without its runtime: batches in, table and journal out, on a real DynamoDB engine.

mod support;

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use product_creator::handler::handle;
use product_creator::models::change_event::{Change, ChangeEvent, ChangeEventDocument};
use product_creator::models::identifiers::ProductId;
use product_creator::models::journal::{CHAIN_START, JournalEntry, Reason};
use product_creator::models::timestamp::Timestamp;
use product_creator::repositories::dynamodb::DynamoDbChanges;
use serde_json::{Value, json};
use support::catalogue::{Catalogue, SHARDS};
use support::changes::{batch, body, content, content_with, content_with_sku, create, delete, event, patch, update};
use support::contract::examples;
use support::products_table::{self, TABLE};

const TIME: Duration = Duration::from_secs(30);

impl Catalogue {
    /// Delivers bodies as one batch and returns the IDs of the messages to redeliver: `m0`, `m1`, …
    async fn deliver(&self, bodies: &[String]) -> Vec<String> {
        let result = handle(batch(bodies), &*self.store, TIME).await.unwrap();
        result.response.batch_item_failures.into_iter().map(|failure| failure.item_identifier).collect()
    }

    async fn deliver_all(&self, events: &[&ChangeEvent]) {
        let bodies: Vec<String> = events.iter().map(|event| body(event)).collect();
        assert_eq!(self.deliver(&bodies).await, [""; 0]);
    }

    /// Outcome and reason of a product's entries, in the order of their events.
    async fn outcomes(&self, id: ProductId) -> Vec<String> {
        let outcome = |entry: JournalEntry| match entry.reason {
            Some(reason) => format!("{:?} {reason:?}", entry.outcome),
            None => format!("{:?}", entry.outcome),
        };
        self.journal(id).await.into_iter().map(outcome).collect()
    }
}

#[tokio::test]
async fn records_creation_update_and_deletion_in_table_and_journal() {
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
    for key in ["GSI1_PK", "GSI1_SK", "GSI2_PK", "GSI2_SK", "GSI3_PK"] {
        assert_eq!(meta.get(key), None, "a deleted product isn't listed");
    }

    let journal = catalogue.journal(id).await;
    assert_eq!(
        journal.iter().map(|entry| entry.event_id).collect::<Vec<_>>(),
        [created, updated, deleted].map(|e| e.event_id)
    );
    assert_eq!(journal[0].before, None);
    let mut previous = CHAIN_START;
    for (index, entry) in journal.iter().enumerate() {
        assert_eq!(entry.prev_hash.as_deref(), Some(previous));
        assert_eq!(entry.hash.as_deref(), Some(entry.digest().as_str()));
        assert_eq!(entry.version, Some(index as u64 + 1));
        if index > 0 {
            assert_eq!(entry.before, journal[index - 1].after);
        }
        previous = entry.hash.as_deref().unwrap();
    }
    assert_eq!(meta["chainHash"], previous);
}

#[tokio::test]
async fn expires_journal_entry_after_90_days() {
    let catalogue = Catalogue::empty().await;
    let id = ProductId::random();
    catalogue.deliver_all(&[&create(id, 1)]).await;

    let items = catalogue.items(id).await;
    let (_, item) = items.iter().find(|(key, _)| key.starts_with("EVENT#")).unwrap();

    let recorded: Timestamp = item["recordedAt"].as_str().unwrap().parse().unwrap();
    assert_eq!(item["expiresAt"], json!(recorded.unix_seconds() + 90 * 86_400));
    assert_eq!(items["META"].get("expiresAt"), None, "a product doesn't expire");
}

#[tokio::test]
async fn records_rejected_changes() {
    let catalogue = Catalogue::empty().await;
    let id = ProductId::random();
    let expecting = |second, expected_version| {
        event(id, second, Change::Update { content: content("x", "1"), expected_version: Some(expected_version) })
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
async fn changes_nothing_for_redelivered_event() {
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
async fn returns_unreadable_messages_only() {
    let catalogue = Catalogue::empty().await;
    let id = ProductId::random();
    let mut later = serde_json::to_value(ChangeEventDocument::from(&create(ProductId::random(), 1))).unwrap();
    later["schemaVersion"] = json!(2);
    let bodies = ["".to_owned(), body(&create(id, 1)), "{}".to_owned(), "not JSON".to_owned(), later.to_string()];

    assert_eq!(catalogue.deliver(&bodies).await, ["m0", "m2", "m3", "m4"]);
    assert_eq!(catalogue.outcomes(id).await, ["Applied"]);
}

#[tokio::test]
async fn returns_events_that_violate_contract() {
    let catalogue = Catalogue::empty().await;
    for (name, text) in examples("change-event", "invalid") {
        assert_eq!(catalogue.deliver(&[text]).await, ["m0"], "{name}");
    }
    for (name, text) in examples("change-event", "valid") {
        assert_eq!(catalogue.deliver(&[text]).await, [""; 0], "{name}");
    }
}

#[tokio::test]
async fn returns_every_message_when_table_is_unreachable() {
    let store = DynamoDbChanges::new(products_table::unreachable(), TABLE, SHARDS);
    let (one, other) = (ProductId::random(), ProductId::random());
    let bodies = [create(one, 1), update(one, 2, "1"), create(other, 1)].map(|event| body(&event));

    let result = handle(batch(&bodies), &store, TIME).await.unwrap();

    assert_eq!(result.response.batch_item_failures.len(), 3);
    let failures = result.metrics.iter().find(|metric| metric.name == "BatchItemFailures").unwrap();
    assert_eq!(failures.values, [3]);
}

#[tokio::test]
async fn counts_outcomes_and_the_lag_of_each_recorded_change() {
    let catalogue = Catalogue::empty().await;
    let [one, two, three] = std::array::from_fn(|_| create(ProductId::random(), 1));
    catalogue.deliver_all(&[&three]).await;
    let unknown = [1, 2].map(|second| delete(ProductId::random(), second));
    let bodies = [&one, &two, &three, &unknown[0], &unknown[1]].map(body);

    let result = handle(batch(&bodies), &*catalogue.store, TIME).await.unwrap();

    let values = |name: &str| result.metrics.iter().find(|metric| metric.name == name).map(|metric| &metric.values[..]);
    assert_eq!(values("Applied"), Some(&[2][..]));
    assert_eq!(values("Rejected"), Some(&[2][..]));
    assert_eq!(values("Redelivered"), Some(&[1][..]));
    assert_eq!(values("BatchItemFailures"), Some(&[0][..]));
    assert_eq!(values("Superseded"), None, "an outcome that didn't happen has no value");
    assert_eq!(values("ChangeLagMs").map(<[u64]>::len), Some(4), "a redelivered change was recorded before");
}

#[tokio::test]
async fn returns_messages_not_done_within_deadline() {
    let catalogue = Catalogue::empty().await;
    let body = body(&create(ProductId::random(), 1));

    let result = handle(batch(&[body]), &*catalogue.store, Duration::ZERO).await.unwrap();

    assert_eq!(result.response.batch_item_failures[0].item_identifier, "m0");
}

#[tokio::test]
async fn fails_batch_when_failed_message_has_no_id() {
    let catalogue = Catalogue::empty().await;
    for id in [None, Some(String::new())] {
        let mut batch = batch(&["not JSON".to_owned()]);
        batch.records[0].message_id = id;
        assert!(handle(batch, &*catalogue.store, TIME).await.is_err());
    }
}

#[tokio::test]
async fn applies_concurrent_changes_one_after_another() {
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
    assert_eq!(meta["lastEventId"], updates[7].event_id.to_string(), "the newest change wins");
}

fn create_with_sku(id: ProductId, second: u64, sku: &str) -> ChangeEvent {
    event(id, second, Change::Create(content_with_sku("Oak table", "19.99", sku)))
}

#[tokio::test]
async fn writes_keys_of_all_indexes() {
    let catalogue = Catalogue::empty().await;
    let id = ProductId::random();
    let name = format!("Straße {}", "\u{390}".repeat(190));
    let content = content_with(&name, "19.99", json!({"category": "Garden  FURNITURE"}));
    catalogue.deliver_all(&[&event(id, 1, Change::Create(content))]).await;

    let meta = &catalogue.items(id).await["META"];
    let price_sk = format!("EUR#0000000000001999#{id}");
    assert_eq!(meta["GSI1_SK"], price_sk);
    assert_eq!(meta["GSI2_PK"], "NAME#st");
    let name_sk = meta["GSI2_SK"].as_str().unwrap();
    assert!(name_sk.starts_with("strasse \u{3b9}\u{308}\u{301}") && name_sk.ends_with(&format!("\t{price_sk}")));
    assert!(name_sk.len() <= 1_024, "{} bytes", name_sk.len());
    assert_eq!(meta["GSI3_PK"], "CATEGORY#garden furniture");
    assert!(meta["GSI4_PK"].as_str().unwrap().starts_with("FEED#"));
    assert_eq!(meta["GSI4_SK"], format!("{}#{id}", meta["recordedAt"].as_str().unwrap()));

    catalogue.deliver_all(&[&delete(id, 2)]).await;
    let meta = &catalogue.items(id).await["META"];
    assert_eq!(meta["GSI4_SK"], format!("{}#{id}", meta["recordedAt"].as_str().unwrap()), "the feed lists deletions");
    assert_eq!((meta.get("GSI1_SK"), meta.get("GSI2_SK"), meta.get("GSI3_PK")), (None, None, None));
}

#[tokio::test]
async fn merges_patches_in_order() {
    let catalogue = Catalogue::empty().await;
    let id = ProductId::random();
    let patches = [json!({"price": "24.50", "description": "Solid"}), json!({"description": null, "tags": ["beech"]})];
    let [first, second] = [(2, &patches[0]), (3, &patches[1])].map(|(at, merge)| patch(id, at, merge.clone()));
    let creation = create(id, 1);
    // Both were sent before either was recorded.
    catalogue.deliver_all(&[&second, &first, &creation]).await;

    let journal = catalogue.check_whole(id, &[&creation, &first, &second]).await;
    let after = serde_json::to_value(journal[2].after.as_ref().unwrap()).unwrap();
    assert_eq!((&after["price"], &after["tags"]), (&json!("24.50"), &json!(["beech"])));
    assert_eq!(after.get("description"), None);
    let requested = serde_json::to_value(&journal[1].requested).unwrap();
    assert_eq!(requested, json!({"patch": patches[0]}), "an applied patch is recorded as sent");
}

#[tokio::test]
async fn records_requested_change_of_rejected_and_superseded_entries() {
    let catalogue = Catalogue::empty().await;
    let id = ProductId::random();
    let newest = update(id, 9, "1.50");
    catalogue.deliver_all(&[&create(id, 1), &newest]).await;
    let (older, yen) = (update(id, 5, "2"), patch(id, 10, json!({"currency": "JPY"})));
    let another = event(id, 11, Change::Create(content("Another", "5")));
    let deletion = event(id, 12, Change::Delete { expected_version: Some(7) });
    let repeated = ChangeEvent { event_id: create(id, 13).event_id, ..create(id, 1) };
    catalogue.deliver_all(&[&older, &yen, &another, &deletion, &repeated]).await;

    let journal = catalogue.journal(id).await;
    let requested = |event: &ChangeEvent| {
        let entry = journal.iter().find(|entry| entry.event_id == event.event_id).unwrap();
        let json = serde_json::to_value(entry).unwrap();
        (json["outcome"].as_str().unwrap().to_owned(), json["reason"].clone(), json.get("requested").cloned())
    };
    let expected = |event: &ChangeEvent| Some(serde_json::to_value(event.requested()).unwrap());
    assert_eq!(requested(&older), ("SUPERSEDED".to_owned(), Value::Null, expected(&older)));
    assert_eq!(requested(&yen), ("REJECTED".to_owned(), json!("INVALID_RESULT"), expected(&yen)));
    assert_eq!(requested(&another), ("REJECTED".to_owned(), json!("ALREADY_EXISTS"), expected(&another)));
    assert_eq!(requested(&deletion), ("REJECTED".to_owned(), json!("PRECONDITION_FAILED"), None), "nothing");
    assert_eq!(requested(&repeated), ("DUPLICATE".to_owned(), Value::Null, None));
    assert_eq!(requested(&newest), ("APPLIED".to_owned(), Value::Null, None), "after shows it");
}

#[tokio::test]
async fn lets_one_of_twelve_concurrent_creations_take_a_sku() {
    let catalogue = Catalogue::empty().await;
    let creations: Vec<ChangeEvent> =
        (1..=12).map(|second| create_with_sku(ProductId::random(), second, "OAK-1")).collect();
    let deliveries = creations.iter().map(|creation| async {
        let bodies = [body(creation)];
        while !catalogue.deliver(&bodies).await.is_empty() {}
    });
    futures_util::future::join_all(deliveries).await;

    let mut winners = Vec::new();
    for creation in &creations {
        let journal = catalogue.check_whole(creation.product_id, &[creation]).await;
        match journal[0].reason {
            None => winners.push((creation.product_id, creation.event_id)),
            reason => assert_eq!(reason, Some(Reason::SkuTaken)),
        }
    }
    assert_eq!(winners.len(), 1);
    assert_eq!(catalogue.claim("OAK-1").await, Some(winners[0]));
}

#[tokio::test]
async fn moves_sku_from_product_to_product() {
    let catalogue = Catalogue::empty().await;
    let (one, other) = (ProductId::random(), ProductId::random());
    let first = create_with_sku(one, 1, "A");
    catalogue.deliver_all(&[&first, &create_with_sku(other, 2, "B")]).await;
    catalogue.deliver_all(&[&update(one, 3, "2")]).await;
    assert_eq!(catalogue.claim("A").await, None, "a replacement without SKU releases it");
    let taking = patch(other, 4, json!({"sku": "A"}));
    catalogue.deliver_all(&[&taking]).await;
    assert_eq!(catalogue.claim("A").await, Some((other, taking.event_id)));
    assert_eq!(catalogue.claim("B").await, None);

    catalogue.deliver_all(&[&patch(one, 5, json!({"sku": "A"}))]).await;
    assert_eq!(catalogue.outcomes(one).await, ["Applied", "Applied", "Rejected SkuTaken"]);
    catalogue.deliver_all(&[&patch(other, 6, json!({"price": "3"}))]).await;
    assert_eq!(catalogue.claim("A").await, Some((other, taking.event_id)), "a kept SKU keeps its claim");
    catalogue.deliver_all(&[&delete(other, 7)]).await;
    assert_eq!(catalogue.claim("A").await, None, "a deletion releases it");
    catalogue.deliver_all(&[&patch(one, 8, json!({"sku": "a"}))]).await;
    assert!(catalogue.claim("a").await.is_some() && catalogue.claim("A").await.is_none(), "SKUs are case-sensitive");
}

#[tokio::test]
async fn applies_changes_of_product_whose_claim_was_removed_by_hand() {
    let catalogue = Catalogue::empty().await;
    let id = ProductId::random();
    catalogue.deliver_all(&[&create_with_sku(id, 1, "A")]).await;
    let keys =
        [("PK", "SKU#A"), ("SK", "CLAIM")].map(|(name, value)| (name.to_owned(), AttributeValue::S(value.to_owned())));
    catalogue.client.delete_item().table_name(TABLE).set_key(Some(keys.into())).send().await.unwrap();

    catalogue.deliver_all(&[&patch(id, 2, json!({"sku": "B"})), &delete(id, 3)]).await;

    assert_eq!(catalogue.outcomes(id).await, ["Applied"; 3]);
    assert_eq!(catalogue.claim("B").await, None);
}

#[test]
fn preserves_golden_journal_entries() {
    for (name, text) in examples("journal-entry", "valid") {
        let entry: JournalEntry = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(serde_json::to_value(&entry).unwrap(), serde_json::from_str::<Value>(&text).unwrap(), "{name}");
        if entry.hash.is_some() {
            assert_eq!(entry.hash.as_ref(), Some(&entry.digest()), "{name}: the hash of the contract");
        }
    }
}
