//! The whole function but for the runtime: a proxy event in, an answer and a queued change out.

mod support;

use aws_sdk_sqs::Client as Sqs;
use base64::Engine;
use create_product::handler::handle;
use create_product::http::proxy_integration::serve;
use create_product::models::change_event::{ChangeEvent, ChangeEventDocument};
use create_product::models::money::Currency;
use create_product::repositories::dynamodb::DynamoDbProducts;
use create_product::repositories::sqs::SqsChangeQueue;
use lambda_http::Body;
use lambda_http::http::{Response, StatusCode};
use serde_json::{Value, json};
use support::change_queue::{self, QUEUE_URL};
use support::contract::{assert_keeps, examples};
use support::gateway::{Call, body};
use support::products_table::{self, TABLE};

fn oak_table() -> Value {
    json!({"name": " Oak table ", "price": 19.99, "currency": "EUR", "tags": ["oak"], "attributes": {"width": "90 cm"}})
}

fn post(body: &Value) -> Call {
    Call::new("POST", "/products").json(body)
}

async fn answer(call: Call, table: &aws_sdk_dynamodb::Client, queue: &Sqs) -> Response<Body> {
    let products = DynamoDbProducts::new(table.clone(), TABLE);
    let queue = SqsChangeQueue::new(queue.clone(), QUEUE_URL);
    call.answered_by(|event| serve(event, |request| handle(request, &products, &queue))).await
}

/// An answer to a call without an idempotency key: the table has no part in it.
async fn answer_alone(call: Call, queue: &Sqs) -> Response<Body> {
    answer(call, &products_table::unreachable(), queue).await
}

#[tokio::test]
async fn a_product_is_accepted_and_its_creation_queued() {
    let (queue, sent) = change_queue::start().await;

    let answer = answer_alone(post(&oak_table()), &queue).await;

    assert_eq!(answer.status(), 202);
    let accepted = body(&answer);
    let id = accepted["productId"].as_str().unwrap();
    assert_eq!(answer.headers()["location"], format!("/dev/v1.0/products/{id}"));
    assert_eq!(answer.headers()["retry-after"], "1");

    let event = sent.only();
    assert_keeps("change-event", &event);
    assert_eq!(event["eventId"], accepted["eventId"]);
    assert_eq!(event["productId"], accepted["productId"]);
    assert_eq!(event["type"], "CREATE");
    assert_eq!(event["requestId"], "req-1");
    assert_eq!(event["actor"], json!({"apiKeyId": "key-1", "sourceIp": "203.0.113.9"}));
    assert_eq!(
        event["product"],
        json!({"name": "Oak table", "price": "19.99", "currency": "EUR", "tags": ["oak"], "attributes": {"width": "90 cm"}})
    );
    assert!(!event.to_string().contains("secret-key-value"));
}

#[tokio::test]
async fn a_body_may_come_base64_encoded_and_header_names_in_any_case() {
    let (queue, sent) = change_queue::start().await;
    let encoded = base64::engine::general_purpose::STANDARD.encode(oak_table().to_string());
    let call = Call::new("POST", "/products").header("CONTENT-TYPE", "application/json").body(&encoded).base64();

    assert_eq!(answer_alone(call, &queue).await.status(), 202);
    assert_eq!(sent.only()["product"]["name"], "Oak table");
}

#[tokio::test]
async fn a_body_that_is_wrong_is_refused_and_nothing_is_queued() {
    let (queue, sent) = change_queue::start().await;
    let plain = |body: &str| Call::new("POST", "/products").header("Content-Type", "application/json").body(body);
    for (call, status, code) in [
        (post(&json!({"name": "", "price": "1.001", "currency": "EUR", "colour": "red"})), 400, "VALIDATION_FAILED"),
        (plain("{"), 400, "MALFORMED_JSON"),
        (Call::new("POST", "/products").header("Content-Type", "application/json"), 400, "MALFORMED_JSON"),
        (Call::new("POST", "/products").body(&oak_table().to_string()), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (plain(&" ".repeat(65_537)), 413, "PAYLOAD_TOO_LARGE"),
        (post(&oak_table()).header("Idempotency-Key", "a b"), 400, "INVALID_PARAMETER"),
    ] {
        let answer = answer_alone(call, &queue).await;
        assert_eq!(answer.status(), status, "{code}");
        assert_eq!(body(&answer)["error"]["code"], code);
    }
    assert_eq!(sent.all(), [Value::Null; 0]);
}

#[tokio::test]
async fn all_that_is_wrong_with_a_body_is_told_at_once() {
    let (queue, _) = change_queue::start().await;
    let wrong = json!({"name": "", "price": "1.001", "currency": "EUR", "colour": "red", "tags": "oak"});

    let answer = body(&answer_alone(post(&wrong), &queue).await);

    let details = answer["error"]["details"].as_array().unwrap();
    let mut fields: Vec<&str> = details.iter().map(|detail| detail["field"].as_str().unwrap()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["colour", "name", "price", "tags"]);
}

/// Stores the product that a queued creation makes.
async fn apply(table: &aws_sdk_dynamodb::Client, event: &Value) {
    let mut item = products_table::product(event["productId"].as_str().unwrap());
    item["createEventId"] = event["eventId"].clone();
    item["createFingerprint"] = event["fingerprint"].clone();
    products_table::put(table, item).await;
}

#[tokio::test]
async fn a_key_names_one_product_for_ever() {
    let (queue, sent) = change_queue::start().await;
    let table = products_table::start().await;
    let keyed = |body: &Value| post(body).header("Idempotency-Key", "order-1");

    let first = body(&answer(keyed(&oak_table()), &table, &queue).await);
    let second = body(&answer(keyed(&oak_table()), &table, &queue).await);
    assert_eq!(first["productId"], second["productId"], "both on their way, both for the same product");
    assert_eq!(sent.all().len(), 2);

    apply(&table, &sent.all()[0]).await;
    let repeated = answer(keyed(&oak_table()), &table, &queue).await;
    assert_eq!(repeated.status(), 202);
    assert_eq!(body(&repeated), first, "the same answer as the first time");

    let mut other = oak_table();
    other["price"] = json!("20");
    let refused = answer(keyed(&other), &table, &queue).await;
    assert_eq!(refused.status(), 422);
    assert_eq!(body(&refused)["error"]["code"], "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(sent.all().len(), 2, "neither was queued");

    let elsewhere = body(&answer(keyed(&oak_table()).without_key_id(), &table, &queue).await);
    assert_ne!(elsewhere["productId"], first["productId"], "another caller's key is another key");
}

#[tokio::test]
async fn a_queue_or_table_that_cannot_be_reached_is_a_503_that_says_when_to_try_again() {
    let (queue, _) = change_queue::start().await;
    let table = products_table::unreachable();
    for answer in [
        answer(post(&oak_table()), &table, &change_queue::refusing(StatusCode::BAD_REQUEST, "RequestThrottled").await)
            .await,
        answer(post(&oak_table()).header("Idempotency-Key", "order-1"), &table, &queue).await,
    ] {
        assert_eq!(answer.status(), 503);
        assert_eq!(answer.headers()["retry-after"], "1");
    }
}

#[tokio::test]
async fn a_queue_that_refuses_is_our_fault_and_says_nothing_of_itself() {
    let answer =
        answer_alone(post(&oak_table()), &change_queue::refusing(StatusCode::FORBIDDEN, "AccessDenied").await).await;
    assert_eq!(answer.status(), 500);
    assert_eq!(body(&answer)["error"]["code"], "INTERNAL_ERROR");
    assert!(!body(&answer).to_string().contains("AccessDenied"));
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
    for (name, text) in examples("change-event", "invalid") {
        let read = serde_json::from_str::<ChangeEventDocument>(&text).ok().map(ChangeEvent::try_from);
        assert!(!matches!(read, Some(Ok(_))), "{name} was read");
    }
}

/// The schema of the request groups the active currencies by their number of decimals.
#[test]
fn groups_each_currency_by_its_decimals() {
    let schema: Value = serde_json::from_str(include_str!("contracts/product-content.schema.json")).unwrap();
    let groups = schema["anyOf"].as_array().unwrap();
    assert_eq!(groups.len(), 4);
    for (group, decimals) in groups.iter().zip([0, 2, 3, 4]) {
        for code in group["properties"]["currency"]["enum"].as_array().unwrap() {
            let currency = Currency::from_code(code.as_str().unwrap());
            assert_eq!(currency.and_then(|currency| currency.exponent()), Some(decimals), "{code}");
        }
    }
}
