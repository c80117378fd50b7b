//! The whole function except the runtime: a proxy event in, a response and a queued change out.

mod support;

use aws_sdk_sqs::Client as Sqs;
use delete_product::handler::handle;
use delete_product::http::proxy_integration::serve;
use delete_product::repositories::dynamodb::DynamoDbProducts;
use delete_product::repositories::sqs::SqsChangeQueue;
use lambda_http::Body;
use lambda_http::http::{Response, StatusCode};
use serde_json::{Value, json};
use support::change_queue::{self, QUEUE_URL};
use support::contract::assert_keeps;
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

async fn respond(call: Call, table: &aws_sdk_dynamodb::Client, queue: &Sqs) -> Response<Body> {
    let products = DynamoDbProducts::new(table.clone(), TABLE);
    let queue = SqsChangeQueue::new(queue.clone(), QUEUE_URL);
    call.answered_by(|event| serve(event, |request| handle(request, &products, &queue))).await
}

#[tokio::test]
async fn accepts_deletion_and_queues_it_after_the_change_that_was_read() {
    let (queue, sent) = change_queue::start().await;

    let response = respond(delete(ID), &table("ACTIVE").await, &queue).await;

    assert_eq!(response.status(), 204);
    assert_eq!(response.body(), &Body::Empty);
    let event = sent.only();
    assert_keeps("change-event", &event);
    assert_eq!((&event["type"], &event["productId"]), (&json!("DELETE"), &json!(ID)));
    let event_id = response.headers()["x-event-id"].to_str().unwrap();
    assert_eq!(event["eventId"], event_id);
    assert_eq!(response.headers()["operation-location"], format!("{ID}/changes/{event_id}"));
    assert!(event["eventId"].as_str() > Some("019c1941-fe00-7d2e-9f10-2b3c4d5e6f70"));
}

#[tokio::test]
async fn returns_204_for_repeated_deletion_and_queues_nothing() {
    let table = table("DELETED").await;
    for call in [delete(ID), delete(ID).header("If-Match", "\"2\"")] {
        let (queue, sent) = change_queue::start().await;
        let response = respond(call, &table, &queue).await;
        assert_eq!(response.status(), 204);
        assert_eq!(response.headers()["x-event-id"], "019c1941-fe00-7d2e-9f10-2b3c4d5e6f70");
        assert_eq!(sent.all().len(), 0);
    }
}

#[tokio::test]
async fn evaluates_preconditions_and_sends_expected_version() {
    let table = table("ACTIVE").await;
    for (header, value, status, expected) in [
        ("IF-MATCH", "\"3\"", 204, json!(3)),
        ("If-Match", "\"1\", ,\"3\",", 204, json!(3)),
        ("If-Match", "*", 204, Value::Null),
        ("If-Match", "\"2\"", 412, Value::Null),
        ("If-Match", "W/\"3\"", 412, Value::Null),
        ("If-Match", "3", 400, Value::Null),
        ("If-None-Match", "*", 412, Value::Null),
        ("If-None-Match", "\"2\"", 204, Value::Null),
    ] {
        let (queue, sent) = change_queue::start().await;
        let response = respond(delete(ID).header(header, value), &table, &queue).await;
        assert_eq!(response.status(), status, "{header}: {value}");
        if status == 204 {
            assert_eq!(sent.only()["expectedVersion"], expected, "{header}: {value}");
        } else {
            assert_eq!(sent.all().len(), 0, "{header}: {value}");
        }
        if status == 412 {
            assert_eq!(response.headers()["etag"], "\"3\"", "{header}: {value}");
        }
    }
}

#[tokio::test]
async fn returns_404_for_unknown_product() {
    let (queue, sent) = change_queue::start().await;
    let table = table("ACTIVE").await;
    for id in ["00000000-0000-4000-8000-000000000000", "not-an-id"] {
        let response = respond(delete(id), &table, &queue).await;
        assert_eq!(response.status(), 404, "{id}");
    }
    assert_eq!(sent.all().len(), 0);
}

#[tokio::test]
async fn returns_503_with_retry_after_if_queue_or_table_is_unavailable() {
    let (queue, _) = change_queue::start().await;
    let failing = change_queue::refusing(StatusCode::INTERNAL_SERVER_ERROR, "InternalError").await;
    for response in [
        respond(delete(ID), &table("ACTIVE").await, &failing).await,
        respond(delete(ID), &products_table::unreachable(), &queue).await,
    ] {
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
    }
}
