//! The whole function but for the runtime: a proxy event in, an answer and a queued change out.

mod support;

use aws_sdk_sqs::Client as Sqs;
use delete_product::handler::handle;
use delete_product::http::proxy_integration::serve;
use delete_product::models::change_event::{ChangeEvent, ChangeEventDocument};
use delete_product::repositories::dynamodb::DynamoDbProducts;
use delete_product::repositories::sqs::SqsChangeQueue;
use lambda_http::Body;
use lambda_http::http::{Response, StatusCode};
use serde_json::{Value, json};
use support::change_queue::{self, QUEUE_URL};
use support::contract::{assert_keeps, examples};
use support::gateway::Call;
use support::products_table::{self, TABLE};

const ID: &str = "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84";

fn delete(id: &str) -> Call {
    Call::new("DELETE", "/products/{productId}").product(id)
}

/// A table that holds version 3 of the product.
async fn table(status: &str) -> aws_sdk_dynamodb::Client {
    let table = products_table::start().await;
    let mut product = products_table::product(ID);
    product["status"] = json!(status);
    products_table::put(&table, product).await;
    table
}

async fn answer(call: Call, table: &aws_sdk_dynamodb::Client, queue: &Sqs) -> Response<Body> {
    let products = DynamoDbProducts::new(table.clone(), TABLE);
    let queue = SqsChangeQueue::new(queue.clone(), QUEUE_URL);
    call.answered_by(|event| serve(event, |request| handle(request, &products, &queue))).await
}

#[tokio::test]
async fn a_deletion_is_accepted_and_queued_behind_what_was_read() {
    let (queue, sent) = change_queue::start().await;

    let answer = answer(delete(ID), &table("ACTIVE").await, &queue).await;

    assert_eq!(answer.status(), 204);
    assert_eq!(answer.body(), &Body::Empty);
    let event = sent.only();
    assert_keeps("change-event", &event);
    assert_eq!((&event["type"], &event["productId"]), (&json!("DELETE"), &json!(ID)));
    assert_eq!(event["eventId"], answer.headers()["x-event-id"].to_str().unwrap());
    assert!(event["eventId"].as_str() > Some("019c1941-fe00-7d2e-9f10-2b3c4d5e6f70"));
}

#[tokio::test]
async fn a_repeated_deletion_is_204_and_queues_nothing() {
    let table = table("DELETED").await;
    for call in [delete(ID), delete(ID).header("If-Match", "\"2\"")] {
        let (queue, sent) = change_queue::start().await;
        let answer = answer(call, &table, &queue).await;
        assert_eq!(answer.status(), 204);
        assert_eq!(answer.headers()["x-event-id"], "019c1941-fe00-7d2e-9f10-2b3c4d5e6f70");
        assert_eq!(sent.all().len(), 0);
    }
}

#[tokio::test]
async fn an_expected_version_is_checked_here_and_sent_along() {
    let table = table("ACTIVE").await;
    for (header, status, expected) in [
        ("\"3\"", 204, json!(3)),
        ("*", 204, Value::Null),
        ("\"2\"", 412, Value::Null),
        ("W/\"3\"", 412, Value::Null),
        ("3", 400, Value::Null),
    ] {
        let (queue, sent) = change_queue::start().await;
        let answer = answer(delete(ID).header("IF-MATCH", header), &table, &queue).await;
        assert_eq!(answer.status(), status, "{header}");
        if status == 204 {
            assert_eq!(sent.only()["expectedVersion"], expected, "{header}");
        } else {
            assert_eq!(sent.all().len(), 0, "{header}");
        }
    }
}

#[tokio::test]
async fn nothing_is_queued_for_a_product_that_never_was() {
    let (queue, sent) = change_queue::start().await;
    let table = table("ACTIVE").await;
    for id in ["00000000-0000-4000-8000-000000000000", "not-an-id"] {
        let answer = answer(delete(id), &table, &queue).await;
        assert_eq!(answer.status(), 404, "{id}");
    }
    assert_eq!(sent.all().len(), 0);
}

#[tokio::test]
async fn a_queue_or_table_that_cannot_be_reached_is_a_503_that_says_when_to_try_again() {
    let (queue, _) = change_queue::start().await;
    let failing = change_queue::refusing(StatusCode::INTERNAL_SERVER_ERROR, "InternalError").await;
    for answer in [
        answer(delete(ID), &table("ACTIVE").await, &failing).await,
        answer(delete(ID), &products_table::unreachable(), &queue).await,
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
