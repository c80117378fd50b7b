//! The whole function but for the runtime: a proxy event in, an answer and a queued change out.

mod support;

use aws_sdk_sqs::Client as Sqs;
use lambda_http::Body;
use lambda_http::http::{Response, StatusCode};
use serde_json::{Value, json};
use support::change_queue::{self, QUEUE_URL};
use support::contract::{assert_keeps, examples};
use support::gateway::{Call, body};
use support::products_table::{self, TABLE};
use update_product::handler::handle;
use update_product::http::proxy_integration::serve;
use update_product::models::change_event::{ChangeEvent, ChangeEventDocument};
use update_product::repositories::dynamodb::DynamoDbProducts;
use update_product::repositories::sqs::SqsChangeQueue;

const ID: &str = "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84";

fn put(id: &str) -> Call {
    let body = json!({"name": "Oak table", "price": "24.50", "currency": "EUR"});
    Call::new("PUT", "/products/{productId}").product(id).json(&body)
}

/// A table that holds version 3 of the product.
async fn table() -> aws_sdk_dynamodb::Client {
    let table = products_table::start().await;
    products_table::put(&table, products_table::product(ID)).await;
    table
}

async fn answer(call: Call, table: &aws_sdk_dynamodb::Client, queue: &Sqs) -> Response<Body> {
    let products = DynamoDbProducts::new(table.clone(), TABLE);
    let queue = SqsChangeQueue::new(queue.clone(), QUEUE_URL);
    call.answered_by(|event| serve(event, |request| handle(request, &products, &queue))).await
}

#[tokio::test]
async fn a_replacement_is_accepted_and_queued_behind_what_was_read() {
    let (queue, sent) = change_queue::start().await;

    let answer = answer(put(ID), &table().await, &queue).await;

    assert_eq!(answer.status(), 202);
    assert_eq!(answer.headers()["location"], format!("/dev/v1.0/products/{ID}"));
    assert_eq!(answer.headers()["retry-after"], "1");
    let event = sent.only();
    assert_keeps("change-event", &event);
    assert_eq!((&event["type"], &event["productId"]), (&json!("UPDATE"), &json!(ID)));
    assert_eq!(event["eventId"], body(&answer)["eventId"]);
    assert_eq!(event["product"], json!({"name": "Oak table", "price": "24.50", "currency": "EUR"}));
    assert_eq!(event.get("expectedVersion"), None);
    assert!(event["eventId"].as_str() > Some("019c1941-fe00-7d2e-9f10-2b3c4d5e6f70"));
}

#[tokio::test]
async fn an_expected_version_is_checked_here_and_sent_along() {
    let table = table().await;
    for (header, status, expected) in [
        ("\"3\"", 202, json!(3)),
        ("\"2\", \"3\"", 202, json!(3)),
        ("*", 202, Value::Null),
        ("\"2\"", 412, Value::Null),
        ("W/\"3\"", 412, Value::Null),
        ("\"abc\"", 412, Value::Null),
        ("3", 400, Value::Null),
    ] {
        let (queue, sent) = change_queue::start().await;
        let answer = answer(put(ID).header("if-match", header), &table, &queue).await;
        assert_eq!(answer.status(), status, "{header}");
        if status == 202 {
            assert_eq!(sent.only()["expectedVersion"], expected, "{header}");
        } else {
            assert_eq!(sent.all().len(), 0, "{header}");
        }
    }
}

#[tokio::test]
async fn nothing_is_queued_for_a_product_that_is_not_there() {
    let (queue, sent) = change_queue::start().await;
    let table = products_table::start().await;
    let mut tombstone = products_table::product(ID);
    tombstone["status"] = json!("DELETED");
    products_table::put(&table, tombstone).await;

    for id in [ID, "00000000-0000-4000-8000-000000000000", "not-an-id"] {
        for call in [put(id), put(id).header("If-Match", "*")] {
            let answer = answer(call, &table, &queue).await;
            assert_eq!(answer.status(), 404, "{id}");
        }
    }
    assert_eq!(sent.all().len(), 0);
}

#[tokio::test]
async fn a_body_that_is_wrong_is_refused_and_nothing_is_queued() {
    let (queue, sent) = change_queue::start().await;
    let table = table().await;
    let read_back = json!({"productId": ID, "name": "Oak table", "price": "24.50", "currency": "EUR", "version": 3});
    for (call, status, code) in [
        (Call::new("PUT", "/products/{productId}").product(ID).json(&read_back), 400, "VALIDATION_FAILED"),
        (put(ID).body("["), 400, "MALFORMED_JSON"),
        (put(ID).body(&" ".repeat(65_537)), 413, "PAYLOAD_TOO_LARGE"),
        (Call::new("PUT", "/products/{productId}").product(ID).body("{}"), 415, "UNSUPPORTED_MEDIA_TYPE"),
    ] {
        let answer = answer(call, &table, &queue).await;
        assert_eq!(answer.status(), status, "{code}");
        assert_eq!(body(&answer)["error"]["code"], code);
    }
    assert_eq!(sent.all().len(), 0);
}

#[tokio::test]
async fn a_queue_or_table_that_cannot_be_reached_is_a_503_that_says_when_to_try_again() {
    let (queue, _) = change_queue::start().await;
    let throttled = change_queue::refusing(StatusCode::BAD_REQUEST, "RequestThrottled").await;
    for answer in [
        answer(put(ID), &table().await, &throttled).await,
        answer(put(ID), &products_table::unreachable(), &queue).await,
    ] {
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "1");
    }
}

#[test]
fn the_golden_events_are_read_and_written_as_they_are() {
    for (name, text) in examples("change-event", "valid") {
        let document: ChangeEventDocument =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let event = ChangeEvent::try_from(document).unwrap_or_else(|error| panic!("{name}: {error}"));
        let written = serde_json::to_value(ChangeEventDocument::from(&event)).unwrap();
        assert_eq!(written, serde_json::from_str::<Value>(&text).unwrap(), "{name}");
    }
}
