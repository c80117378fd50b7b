//! The largest product that the contract admits, before and after a change, fits the message that carries it to the audit
//! log.

mod support;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use product_creator::handler::handle;
use product_creator::models::change_event::{Change, ChangeEvent};
use product_creator::models::identifiers::ProductId;
use product_creator::models::product_content::ProductContent;
use serde_json::{Map, Value, json};
use support::catalogue::Catalogue;
use support::changes::{batch, body, event};

/// Bytes of the largest body that create-product and update-product take.
const LARGEST_BODY: usize = 64 * 1024;
/// Bytes of the largest message of Amazon SNS, of Amazon SQS and of EventBridge Pipes alike.
const LARGEST_MESSAGE: usize = 256 * 1024;

/// A product whose JSON is exactly as large as a body may be, every field at its limit but for the URLs.
fn largest(letter: char) -> ProductContent {
    let text = |length| letter.to_string().repeat(length);
    let mut content = ProductContent {
        name: text(200),
        price: "999999999999.99".to_owned(),
        currency: "EUR".to_owned(),
        sku: Some(text(64)),
        description: Some(text(4_000)),
        category: Some(text(100)),
        tags: (0..20).map(|tag| format!("{tag:02}{}", text(48))).collect(),
        image_urls: vec![],
        attributes: (0..50).map(|name| (format!("{name:02}{}", text(6)), text(450))).collect::<BTreeMap<_, _>>(),
    };
    while content.image_urls.len() < 10 {
        content.image_urls.push("https://x.example/".to_owned());
    }
    for place in 0..10 {
        let missing = LARGEST_BODY - serde_json::to_vec(&content).unwrap().len();
        let url = &mut content.image_urls[place];
        url.push_str(&"u".repeat(missing.min(2_048 - url.len())));
    }
    assert_eq!(serde_json::to_vec(&content).unwrap().len(), LARGEST_BODY);
    content
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
        other => panic!("no attribute of this table is {other:?}"),
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

#[tokio::test]
async fn before_and_after_fit_one_message() {
    let (catalogue, id) = (Catalogue::empty().await, ProductId::random());
    let details = |letter| largest(letter).check().unwrap();
    let deliver = async |change: &ChangeEvent| {
        let message = body(change);
        assert!(message.len() < LARGEST_MESSAGE, "a change event of {} bytes", message.len());
        let result = handle(batch(&[message]), &catalogue.store, Duration::from_secs(30)).await.unwrap();
        assert!(result.response.batch_item_failures.is_empty());
    };
    let items = async || -> HashMap<String, HashMap<String, AttributeValue>> {
        let answer = catalogue.client.scan().table_name("products").send().await.unwrap();
        answer.items.unwrap().into_iter().map(|item| (item["SK"].as_s().unwrap().clone(), item)).collect()
    };

    deliver(&event(id, 1, Change::Create(details('ü')))).await;
    let before = items().await;
    let change = event(id, 2, Change::Update { details: details('é'), expected_version: None });
    deliver(&change).await;
    let after = items().await;

    let entry = record(None, &after[&format!("EVENT#{}", change.event_id)]);
    let product = record(Some(&before["META"]), &after["META"]);
    println!("largest records: journal entry {} bytes, product {} bytes", entry.len(), product.len());
    assert!(entry.len() > 2 * LARGEST_BODY && product.len() > 2 * LARGEST_BODY, "both hold the product twice");
    assert!(entry.len() < LARGEST_MESSAGE && product.len() < LARGEST_MESSAGE);
}
