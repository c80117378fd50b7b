//! Change events for tests.

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use product_creator::models::change_event::{Actor, Change, ChangeEvent, ChangeEventDocument};
use product_creator::models::identifiers::{EventId, ProductId};
use product_creator::models::product_content::ProductContent;
use product_creator::models::timestamp::Timestamp;
use serde_json::{Value, json};

use super::contract::assert_keeps;

pub fn content(name: &str, price: &str) -> ProductContent {
    content_with(name, price, json!({}))
}

/// The same with a SKU.
pub fn content_with_sku(name: &str, price: &str, sku: &str) -> ProductContent {
    content_with(name, price, json!({"sku": sku}))
}

/// The same with further fields. An amount gets the decimals of its currency.
pub fn content_with(name: &str, price: &str, fields: Value) -> ProductContent {
    let mut content = json!({"name": name, "price": price, "currency": "EUR", "tags": ["oak"]});
    content.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    serde_json::from_value(content).unwrap()
}

/// An event made `second` seconds after a fixed moment.
pub fn event(id: ProductId, second: u64, change: Change) -> ChangeEvent {
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

pub fn create(id: ProductId, second: u64) -> ChangeEvent {
    event(id, second, Change::Create(content("Oak table", "19.99")))
}

pub fn update(id: ProductId, second: u64, price: &str) -> ChangeEvent {
    event(id, second, Change::Update { content: content("Oak Table", price), expected_version: None })
}

pub fn patch(id: ProductId, second: u64, patch: Value) -> ChangeEvent {
    event(id, second, Change::Patch { patch: serde_json::from_value(patch).unwrap(), expected_version: None })
}

pub fn delete(id: ProductId, second: u64) -> ChangeEvent {
    event(id, second, Change::Delete { expected_version: None })
}

/// A message's body. It conforms to the contract.
pub fn body(event: &ChangeEvent) -> String {
    let document = serde_json::to_value(ChangeEventDocument::from(event)).unwrap();
    assert_keeps("change-event", &document);
    document.to_string()
}

/// Bodies as a batch of the messages `m0`, `m1`, …
pub fn batch(bodies: &[String]) -> SqsEvent {
    let message = |(index, body): (usize, &String)| {
        let mut message = SqsMessage::default();
        message.message_id = Some(format!("m{index}"));
        message.body = Some(body.clone());
        message
    };
    let mut event = SqsEvent::default();
    event.records = bodies.iter().enumerate().map(message).collect();
    event
}
