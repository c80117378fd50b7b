//! The largest product that the contract admits, before and after the largest patch, fits the message that carries it to the
//! audit log.

mod support;

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use product_creator::handler::handle;
use product_creator::models::change_event::{Change, ChangeEvent};
use product_creator::models::identifiers::ProductId;
use product_creator::models::journal::{Outcome, Reason};
use product_creator::models::product_content::ProductContent;
use serde_json::{Map, Value, json};
use support::catalogue::Catalogue;
use support::changes::{batch, body, event};

/// Bytes of the largest request body of create-product and update-product.
const MAX_BODY: usize = 64 * 1024;
/// Bytes of the largest message of Amazon SNS, of Amazon SQS and of EventBridge Pipes alike.
const MAX_MESSAGE: usize = 256 * 1024;

/// A product whose JSON is exactly as large as a body may be, every field at its limit but for the URLs.
fn largest(letter: char) -> Value {
    let text = |length| letter.to_string().repeat(length);
    let attributes: Map<_, _> = (0..50).map(|name| (format!("{name:02}{}", text(6)), text(450).into())).collect();
    let url = "https://x.example/";
    let mut content = json!({
        "name": text(200), "price": "999999999999.99", "currency": "EUR", "sku": text(64), "description": text(4_000),
        "category": text(100), "tags": (0..20).map(|tag| format!("{tag:02}{}", text(48))).collect::<Vec<_>>(),
        "imageUrls": vec![url; 10], "attributes": attributes,
    });
    for index in 0..10 {
        let missing = MAX_BODY - serde_json::to_vec(&content).unwrap().len();
        content["imageUrls"][index] = format!("{url}{}", "u".repeat(missing.min(2_048 - url.len()))).into();
    }
    assert_eq!(serde_json::to_vec(&content).unwrap().len(), MAX_BODY);
    content
}

fn product(letter: char) -> ProductContent {
    serde_json::from_value(largest(letter)).unwrap()
}

/// An attribute value in DynamoDB's JSON, as it stands in a stream record.
fn dynamodb_json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::Bool(flag) => json!({"BOOL": flag}),
        AttributeValue::L(list) => json!({"L": list.iter().map(dynamodb_json).collect::<Vec<_>>()}),
        AttributeValue::M(map) => json!({"M": image(map)}),
        AttributeValue::Null(_) => json!({"NULL": true}),
        other => panic!("unexpected attribute {other:?}"),
    }
}

fn image(item: &HashMap<String, AttributeValue>) -> Value {
    Value::Object(item.iter().map(|(name, value)| (name.clone(), dynamodb_json(value))).collect::<Map<_, _>>())
}

/// A record of the table's stream, as a pipe sends it.
fn record(old: Option<&HashMap<String, AttributeValue>>, new: &HashMap<String, AttributeValue>) -> String {
    let mut dynamodb = json!({
        "ApproximateCreationDateTime": 1_769_860_800, "Keys": {"PK": dynamodb_json(&new["PK"]), "SK": dynamodb_json(&new["SK"])},
        "SequenceNumber": "1".repeat(30), "SizeBytes": 262_144, "StreamViewType": "NEW_AND_OLD_IMAGES", "NewImage": image(new),
    });
    if let Some(old) = old {
        dynamodb["OldImage"] = image(old);
    }
    json!({
        "eventID": "c81e728d9d4c2f636f067f89cc14862c", "eventName": "MODIFY", "eventVersion": "1.1",
        "eventSource": "aws:dynamodb", "awsRegion": "eu-west-1", "dynamodb": dynamodb,
        "eventSourceARN": "arn:aws:dynamodb:eu-west-1:123456789012:table/products/stream/2026-01-31T00:00:00.000",
    })
    .to_string()
}

/// Delivers a change, which must be applied.
async fn apply(catalogue: &Catalogue, change: &ChangeEvent) {
    let message = body(change);
    assert!(message.len() < MAX_MESSAGE, "a change event of {} bytes", message.len());
    let result = handle(batch(&[message]), &*catalogue.store, Duration::from_secs(30)).await.unwrap();
    assert!(result.response.batch_item_failures.is_empty());
    let journal = catalogue.journal(change.product_id).await;
    let entry = journal.iter().find(|entry| entry.event_id == change.event_id).unwrap();
    assert_eq!((entry.outcome, entry.reason), (Outcome::Applied, None));
}

/// The product's items by sort key.
async fn items(catalogue: &Catalogue) -> HashMap<String, HashMap<String, AttributeValue>> {
    let response = catalogue.client.scan().table_name("products").send().await.unwrap();
    let items = response.items.unwrap().into_iter();
    items.map(|item| (item["SK"].as_s().unwrap().clone(), item)).collect()
}

/// The sizes of the stream's records of a change: of the journal entry and of the product.
async fn record_sizes(catalogue: &Catalogue, change: &ChangeEvent) -> (usize, usize) {
    let before = items(catalogue).await;
    apply(catalogue, change).await;
    let after = items(catalogue).await;
    let entry = record(None, &after[&format!("EVENT#{}", change.event_id)]);
    let product = record(Some(&before["META"]), &after["META"]);
    (entry.len(), product.len())
}

#[tokio::test]
async fn fits_largest_product_before_and_after_replacement_into_message() {
    let (catalogue, id) = (Catalogue::empty().await, ProductId::random());
    apply(&catalogue, &event(id, 1, Change::Create(product('ü')))).await;

    let change = event(id, 2, Change::Update { content: product('é'), expected_version: None });
    let (entry, product) = record_sizes(&catalogue, &change).await;

    println!("largest records of a replacement: journal entry {entry} bytes, product {product} bytes");
    assert!(entry > 2 * MAX_BODY && product > 2 * MAX_BODY, "both hold the product twice");
    assert!(entry < MAX_MESSAGE && product < MAX_MESSAGE);
}

#[tokio::test]
async fn fits_largest_product_before_and_after_largest_patch_into_message() {
    let (catalogue, id) = (Catalogue::empty().await, ProductId::random());
    apply(&catalogue, &event(id, 1, Change::Create(product('ü')))).await;

    // Each field with a new value, and each attribute of the former content removed: the largest patch that makes a valid product.
    let mut patch = largest('é');
    let attributes = patch["attributes"].as_object_mut().unwrap();
    for name in largest('ü')["attributes"].as_object().unwrap().keys() {
        attributes.insert(name.clone(), Value::Null);
    }
    // A body has at most 64 KiB.
    let excess = serde_json::to_vec(&patch).unwrap().len() - MAX_BODY;
    let url = patch["imageUrls"][0].as_str().unwrap().to_owned();
    patch["imageUrls"][0] = json!(url[..url.len() - excess]);
    assert_eq!(serde_json::to_vec(&patch).unwrap().len(), MAX_BODY);
    let change = event(id, 2, Change::Patch { patch: serde_json::from_value(patch).unwrap(), expected_version: None });
    let (entry, product) = record_sizes(&catalogue, &change).await;

    println!("largest records of a patch: journal entry {entry} bytes, product {product} bytes");
    assert!(entry > 3 * MAX_BODY - 2_048, "the entry holds the product twice, and the patch");
    assert!(entry < MAX_MESSAGE && product < MAX_MESSAGE);
}

#[tokio::test]
async fn rejects_patch_that_makes_product_larger_than_request_body() {
    let (catalogue, id) = (Catalogue::empty().await, ProductId::random());
    apply(&catalogue, &event(id, 1, Change::Create(product('ü')))).await;
    let longer = json!({"attributes": {"00üüüüüü": "ü".repeat(500)}});
    let patch = event(id, 2, Change::Patch { patch: serde_json::from_value(longer).unwrap(), expected_version: None });

    handle(batch(&[body(&patch)]), &*catalogue.store, Duration::from_secs(30)).await.unwrap();

    let journal = catalogue.journal(id).await;
    let rejected = (Outcome::Applied, Outcome::Rejected);
    assert_eq!((journal[0].outcome, journal[1].outcome), rejected);
    assert_eq!(journal[1].reason, Some(Reason::InvalidResult));
}
