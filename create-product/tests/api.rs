//! The whole function except the runtime: a proxy event in, a response and a queued change out.

mod support;

use aws_sdk_sqs::Client as Sqs;
use base64::Engine;
use create_product::handler::handle;
use create_product::http::proxy_integration::serve;
use create_product::models::change_event::{Requested, fingerprint};
use create_product::models::money::Currency;
use create_product::repositories::dynamodb::DynamoDbProducts;
use create_product::repositories::sqs::SqsChangeQueue;
use fluent_uri::{Uri, UriRef};
use lambda_http::Body;
use lambda_http::http::{Response, StatusCode};
use serde_json::{Value, json};
use support::change_queue::{self, QUEUE_URL};
use support::contract::{assert_keeps, examples};
use support::gateway::{Call, body};
use support::products_table::{self, TABLE};

const OTHER_ID: &str = "9b2d7c41-56ae-4f08-8c13-7e5d0a9b3f26";

fn oak_table() -> Value {
    json!({"name": " Oak table ", "price": 19.99, "currency": "EUR", "tags": ["oak"], "attributes": {"width": "90 cm"}})
}

fn post(body: &Value) -> Call {
    Call::new("POST", "/products").json(body)
}

async fn respond(call: Call, table: &aws_sdk_dynamodb::Client, queue: &Sqs) -> Response<Body> {
    let products = DynamoDbProducts::new(table.clone(), TABLE);
    let queue = SqsChangeQueue::new(queue.clone(), QUEUE_URL);
    call.answered_by(|event| serve(event, |request| handle(request, &products, &queue))).await
}

/// The response to a call without idempotency key and SKU: the table has no part in it.
async fn respond_without_table(call: Call, queue: &Sqs) -> Response<Body> {
    respond(call, &products_table::unreachable(), queue).await
}

#[tokio::test]
async fn accepts_product_and_queues_its_creation() {
    let (queue, sent) = change_queue::start().await;

    let response = respond_without_table(post(&oak_table()), &queue).await;

    assert_eq!(response.status(), 202);
    let accepted = body(&response);
    assert_eq!(response.headers()["retry-after"], "1");

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
async fn returns_addresses_that_resolve_against_the_url_of_the_request() {
    let (queue, _) = change_queue::start().await;
    let response = respond_without_table(post(&oak_table()), &queue).await;
    let accepted = body(&response);
    let (id, event_id) = (accepted["productId"].as_str().unwrap(), accepted["eventId"].as_str().unwrap());
    for base in [
        "https://api1.execute-api.eu-west-1.amazonaws.com/dev/v1.0/products",
        "https://products.example/v1.0/products",
        "http://localhost:4566/restapis/api1/dev/_user_request_/v1.0/products",
    ] {
        let resolve = |header: &str| {
            let reference = UriRef::parse(response.headers()[header].to_str().unwrap()).unwrap();
            reference.resolve_against(&Uri::parse(base).unwrap()).unwrap().to_string()
        };
        assert_eq!(resolve("location"), format!("{base}/{id}"));
        assert_eq!(resolve("operation-location"), format!("{base}/{id}/changes/{event_id}"));
    }
}

#[tokio::test]
async fn reads_base64_bodies_and_header_names_in_any_case() {
    let (queue, sent) = change_queue::start().await;
    let encoded = base64::engine::general_purpose::STANDARD.encode(oak_table().to_string());
    let call = Call::new("POST", "/products").header("CONTENT-TYPE", "application/json").body(&encoded).base64();

    assert_eq!(respond_without_table(call, &queue).await.status(), 202);
    assert_eq!(sent.only()["product"]["name"], "Oak table");
}

#[tokio::test]
async fn rejects_invalid_requests_and_queues_nothing() {
    let (queue, sent) = change_queue::start().await;
    let empty = || Call::new("POST", "/products").header("Content-Type", "application/json");
    let plain = |body: &str| empty().body(body);
    for (call, status, code) in [
        (post(&json!({"name": "", "price": "1.001", "currency": "EUR", "colour": "red"})), 400, "VALIDATION_FAILED"),
        (post(&json!({"name": "x", "price": "1", "currency": "EUR", "productId": OTHER_ID})), 400, "VALIDATION_FAILED"),
        (plain("{"), 400, "MALFORMED_JSON"),
        (empty(), 400, "MALFORMED_JSON"),
        (Call::new("POST", "/products").body(&oak_table().to_string()), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (plain("\u{1f}\u{fffd}").header("Content-Encoding", "gzip"), 415, "UNSUPPORTED_MEDIA_TYPE"),
        (plain(&" ".repeat(65_537)), 413, "PAYLOAD_TOO_LARGE"),
        (post(&oak_table()).header("Idempotency-Key", "a b"), 400, "INVALID_PARAMETER"),
    ] {
        let response = respond_without_table(call, &queue).await;
        assert_eq!(response.status(), status, "{code}");
        assert_eq!(body(&response)["error"]["code"], code);
    }
    assert_eq!(sent.all(), [Value::Null; 0]);
}

#[tokio::test]
async fn reports_every_violation_at_once() {
    let (queue, _) = change_queue::start().await;
    let invalid =
        json!({"name": "", "price": "1.001", "currency": "EUR", "colour": "red", "tags": "oak", "version": 1});

    let response = body(&respond_without_table(post(&invalid), &queue).await);

    assert_eq!(response["error"]["message"], "The product is invalid. See details.");
    let details = response["error"]["details"].as_array().unwrap();
    let mut fields: Vec<_> =
        details.iter().map(|detail| (detail["field"].as_str().unwrap(), detail["code"].as_str().unwrap())).collect();
    fields.sort_unstable();
    let expected = [
        ("colour", "UNKNOWN_FIELD"),
        ("name", "TOO_SHORT"),
        ("price", "TOO_MANY_DECIMALS"),
        ("tags", "INVALID_TYPE"),
        ("version", "READ_ONLY_FIELD"),
    ];
    assert_eq!(fields, expected);
}

/// Stores the product that a queued creation makes.
async fn apply(table: &aws_sdk_dynamodb::Client, event: &Value) {
    let mut item = products_table::product(event["productId"].as_str().unwrap());
    item["createEventId"] = event["eventId"].clone();
    item["createFingerprint"] = event["fingerprint"].clone();
    products_table::put(table, item).await;
}

#[tokio::test]
async fn names_same_product_for_same_idempotency_key() {
    let (queue, sent) = change_queue::start().await;
    let table = products_table::start().await;
    let keyed = |body: &Value| post(body).header("Idempotency-Key", "order-1");

    let first = body(&respond(keyed(&oak_table()), &table, &queue).await);
    let quoted = post(&oak_table()).header("Idempotency-Key", "\"order-1\"");
    let second = body(&respond(quoted, &table, &queue).await);
    assert_eq!(first["productId"], second["productId"], "both are under way, for the same product");
    assert_eq!(first["productId"], "9368515d-98e9-8787-a48c-55861dbb96d2", "of this key at the stage dev");
    assert_eq!(sent.all().len(), 2);

    apply(&table, &sent.all()[0]).await;
    let repeated = respond(keyed(&oak_table()), &table, &queue).await;
    assert_eq!(repeated.status(), 202);
    assert_eq!(body(&repeated), first, "the response of the first request");
    let address = format!("products/{}/changes/{}", first["productId"], first["eventId"]).replace('"', "");
    assert_eq!(repeated.headers()["operation-location"], address);

    let mut other = oak_table();
    other["price"] = json!("20");
    let refused = respond(keyed(&other), &table, &queue).await;
    assert_eq!(refused.status(), 422);
    assert_eq!(body(&refused)["error"]["code"], "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(sent.all().len(), 2, "neither was queued");
}

#[tokio::test]
async fn names_same_product_after_rotation_of_api_key() {
    let (queue, sent) = change_queue::start().await;
    let table = products_table::start().await;
    let keyed = || post(&oak_table()).header("Idempotency-Key", "order-1");
    respond(keyed(), &table, &queue).await;
    respond(keyed().without_key_id(), &table, &queue).await;
    assert_eq!(sent.all()[0]["productId"], sent.all()[1]["productId"]);
}

#[tokio::test]
async fn refuses_sku_of_another_product_with_its_id() {
    let (queue, sent) = change_queue::start().await;
    let table = products_table::start().await;
    products_table::put(&table, json!({"PK": "SKU#OAK-1", "SK": "CLAIM", "productId": OTHER_ID, "eventId": "e"})).await;
    let with_sku = |sku: &str| post(&json!({"name": "x", "price": "1", "currency": "EUR", "sku": sku}));

    let response = respond(with_sku(" OAK-1"), &table, &queue).await;
    assert_eq!(response.status(), 409);
    let error = &body(&response)["error"];
    assert_eq!(error["code"], "SKU_TAKEN");
    let message = format!("belongs to the product {OTHER_ID}");
    assert_eq!(error["details"], json!([{"field": "sku", "code": "SKU_TAKEN", "message": message}]));
    assert_eq!(sent.all().len(), 0);

    assert_eq!(respond(with_sku("oak-1"), &table, &queue).await.status(), 202, "SKUs are compared exactly");
}

#[tokio::test]
async fn returns_503_with_retry_after_if_queue_or_table_is_unavailable() {
    let (queue, _) = change_queue::start().await;
    let table = products_table::unreachable();
    let throttled = change_queue::refusing(StatusCode::BAD_REQUEST, "RequestThrottled").await;
    let with_sku = post(&json!({"name": "x", "price": "1", "currency": "EUR", "sku": "OAK-1"}));
    for response in [
        respond(post(&oak_table()), &table, &throttled).await,
        respond(post(&oak_table()).header("Idempotency-Key", "order-1"), &table, &queue).await,
        respond(with_sku, &table, &queue).await,
    ] {
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
    }
}

#[tokio::test]
async fn returns_500_without_cause_if_queue_refuses() {
    let denied = change_queue::refusing(StatusCode::FORBIDDEN, "AccessDenied").await;
    let response = respond_without_table(post(&oak_table()), &denied).await;
    assert_eq!(response.status(), 500);
    assert_eq!(body(&response)["error"]["code"], "INTERNAL_ERROR");
    assert!(!body(&response).to_string().contains("AccessDenied"));
}

/// product-creator compares the fingerprint of every event with the content.
#[test]
fn computes_fingerprints_of_golden_events() {
    for (name, text) in examples("change-event", "valid") {
        let event: Value = serde_json::from_str(&text).unwrap();
        let members = |field: &str| event.get(field).map(|members| members.as_object().unwrap().clone());
        let requested = members("product").map(Requested::Product).or(members("patch").map(Requested::Patch));
        assert_eq!(fingerprint(requested.as_ref()), event["fingerprint"], "{name}");
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
