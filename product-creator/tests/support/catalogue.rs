//! The products table in a real engine, and its invariants.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use product_creator::models::canonical_json::canonical_digest;
use product_creator::models::change_event::ChangeEvent;
use product_creator::models::identifiers::{EventId, ProductId};
use product_creator::models::journal::{CHAIN_START, JournalEntry, Outcome};
use product_creator::models::product::Product;
use product_creator::repositories::dynamodb::DynamoDbChanges;
use serde_json::{Value, json};

use super::contract::assert_keeps;
use super::model::patched;
use super::products_table::{self, Engine, TABLE};

pub const SHARDS: u32 = 4;

pub struct Catalogue {
    pub client: Client,
    pub store: Arc<DynamoDbChanges>,
}

impl Catalogue {
    pub async fn empty() -> Self {
        Self::with_engine().await.0
    }

    /// The same, and its engine.
    pub async fn with_engine() -> (Self, Engine) {
        let engine = products_table::start_engine().await;
        let client = engine.client.clone();
        (Self { store: Arc::new(DynamoDbChanges::new(client.clone(), TABLE, SHARDS)), client }, engine)
    }

    /// All items of a product as plain JSON: `META` and the journal.
    pub async fn items(&self, id: ProductId) -> BTreeMap<String, Value> {
        let response = self
            .client
            .query()
            .table_name(TABLE)
            .consistent_read(true)
            .key_condition_expression("PK = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(format!("PRODUCT#{id}")))
            .send()
            .await
            .unwrap();
        let items = serde_dynamo::from_items::<_, Value>(response.items.unwrap()).unwrap();
        items.into_iter().map(|item| (item["SK"].as_str().unwrap().to_owned(), item)).collect()
    }

    /// The claim of a SKU: its holder, and the event that took it.
    pub async fn claim(&self, sku: &str) -> Option<(ProductId, EventId)> {
        let get = self.client.get_item().table_name(TABLE).consistent_read(true);
        let get =
            get.key("PK", AttributeValue::S(format!("SKU#{sku}"))).key("SK", AttributeValue::S("CLAIM".to_owned()));
        let item = get.send().await.unwrap().item?;
        let id = |attribute: &str| item[attribute].as_s().unwrap();
        assert_eq!(item.len(), 4, "PK, SK, productId, eventId: {item:?}");
        Some((id("productId").parse().unwrap(), id("eventId").parse().unwrap()))
    }

    pub async fn journal(&self, id: ProductId) -> Vec<JournalEntry> {
        journal(self.items(id).await)
    }

    /// Fails unless exactly these events are recorded of the product, each once, and product, versions and chain follow from
    /// the applied ones. Returns the journal.
    pub async fn check_whole(&self, id: ProductId, events: &[&ChangeEvent]) -> Vec<JournalEntry> {
        let items = self.items(id).await;
        let meta = items.get("META").cloned();
        let journal = journal(items);
        let recorded: Vec<EventId> = journal.iter().map(|entry| entry.event_id).collect();
        let expected: BTreeSet<EventId> = events.iter().map(|event| event.event_id).collect();
        assert_eq!(recorded, expected.into_iter().collect::<Vec<_>>(), "{id}: one entry for each event");

        // In the order of their ids the applied ones must be in the order of their versions.
        let (mut version, mut previous, mut after, mut last) = (0, CHAIN_START.to_owned(), None, None);
        for entry in journal.iter().filter(|entry| entry.outcome == Outcome::Applied) {
            version += 1;
            assert_eq!(entry.version, Some(version), "{id}: versions are contiguous");
            assert_eq!(entry.prev_hash.as_ref(), Some(&previous), "{id}: the chain is unbroken");
            assert_eq!(entry.hash.as_ref(), Some(&entry.digest()), "{id}: the hash is the entry's");
            assert_eq!(entry.before, after, "{id}: before is the former after");
            check_patch(entry);
            (previous, after, last) = (entry.hash.clone().unwrap(), entry.after.clone(), Some(entry));
        }
        let Some(meta) = meta else {
            assert_eq!(version, 0, "{id}: a change was applied, and the product is missing");
            return journal;
        };
        assert_eq!((&meta["version"], &meta["chainHash"]), (&json!(version), &json!(previous)), "{id}");
        let last = last.unwrap();
        assert_eq!(meta["lastEventId"], last.event_id.to_string(), "{id}");
        assert_eq!(meta["recordedAt"], last.recorded_at.to_string(), "{id}");
        assert_eq!(meta["GSI4_SK"], format!("{}#{id}", last.recorded_at), "{id}: the feed's position");
        assert!(meta["GSI4_PK"].as_str().unwrap().starts_with("FEED#"), "{id}");
        let after = serde_json::to_value(after.unwrap()).unwrap();
        assert_eq!((&meta["status"], &meta["name"]), (&after["status"], &after["name"]), "{id}");
        assert_eq!(meta.get("GSI1_PK").is_some(), meta["status"] == "ACTIVE", "{id}: only an active product is listed");
        journal
    }
}

fn journal(items: BTreeMap<String, Value>) -> Vec<JournalEntry> {
    items.into_iter().filter(|(key, _)| key.starts_with("EVENT#")).map(|(_, item)| entry(item)).collect()
}

/// An auditor's check of an applied patch: the patch is the one that the fingerprint is of, and makes `after` of `before`.
fn check_patch(entry: &JournalEntry) {
    let Some(requested) = &entry.requested else { return };
    assert_eq!(entry.fingerprint, canonical_digest(requested));
    let content = |product: &Option<Product>| {
        let mut content = serde_json::to_value(product).unwrap();
        for member in ["productId", "status", "version", "createdAt", "updatedAt", "lastEventId"] {
            content.as_object_mut().unwrap().remove(member);
        }
        content
    };
    let patch = &serde_json::to_value(requested).unwrap()["patch"];
    assert_eq!(content(&entry.after), patched(content(&entry.before), patch), "the patch makes after of before");
}

/// A stored entry without the attributes that only the table has. It conforms to the contract.
fn entry(mut item: Value) -> JournalEntry {
    for attribute in ["PK", "SK", "expiresAt"] {
        assert!(item.as_object_mut().unwrap().remove(attribute).is_some(), "{attribute}");
    }
    assert_keeps("journal-entry", &item);
    serde_json::from_value(item).unwrap()
}
