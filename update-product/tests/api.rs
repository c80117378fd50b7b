//! The whole function except the runtime: a proxy event in, a response and a queued change out.

mod support;

use aws_sdk_sqs::Client as Sqs;
use lambda_http::Body;
use lambda_http::http::{Response, StatusCode};
use serde_json::{Value, json};
use support::change_queue::{self, QUEUE_URL};
use support::contract::assert_keeps;
use support::gateway::{Call, body};
use support::products_table::{self, TABLE};
use update_product::handler::handle;
use update_product::http::proxy_integration::serve;
use update_product::repositories::dynamodb::DynamoDbProducts;
use update_product::repositories::sqs::SqsChangeQueue;

const ID: &str = "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84";
const OTHER_ID: &str = "9b2d7c41-56ae-4f08-8c13-7e5d0a9b3f26";
const RESOURCE: &str = "/products/{productId}";

fn put(id: &str) -> Call {
    put_body(id, &json!({"name": "Oak table", "price": "24.50", "currency": "EUR"}))
}

fn put_body(id: &str, body: &Value) -> Call {
    Call::new("PUT", RESOURCE).product(id).json(body)
}

fn patch(id: &str, body: &str) -> Call {
    Call::new("PATCH", RESOURCE).product(id).header("Content-Type", "application/merge-patch+json").body(body)
}

/// A table that holds version 3 of the product.
async fn table() -> aws_sdk_dynamodb::Client {
    let table = products_table::start().await;
    products_table::put(&table, products_table::product(ID)).await;
    table
}

async fn respond(call: Call, table: &aws_sdk_dynamodb::Client, queue: &Sqs) -> Response<Body> {
    let products = DynamoDbProducts::new(table.clone(), TABLE);
    let queue = SqsChangeQueue::new(queue.clone(), QUEUE_URL);
    call.answered_by(|event| serve(event, |request| handle(request, &products, &queue))).await
}

#[tokio::test]
async fn accepts_replacement_and_queues_it_after_the_change_that_was_read() {
    let (queue, sent) = change_queue::start().await;

    let response = respond(put(ID), &table().await, &queue).await;

    assert_eq!(response.status(), 202);
    assert_eq!(response.headers()["location"], ID);
    assert_eq!(response.headers()["retry-after"], "1");
    let event = sent.only();
    assert_keeps("change-event", &event);
    assert_eq!((&event["type"], &event["productId"]), (&json!("UPDATE"), &json!(ID)));
    assert_eq!(event["eventId"], body(&response)["eventId"]);
    let address = format!("{ID}/changes/{}", event["eventId"].as_str().unwrap());
    assert_eq!(response.headers()["operation-location"], address);
    assert_eq!(event["product"], json!({"name": "Oak table", "price": "24.50", "currency": "EUR"}));
    assert_eq!(event.get("expectedVersion"), None);
    assert!(event["eventId"].as_str() > Some("019c1941-fe00-7d2e-9f10-2b3c4d5e6f70"));
}

#[tokio::test]
async fn accepts_patch_and_queues_it_unmerged() {
    let (queue, sent) = change_queue::start().await;
    let sent_patch = r#"{"price":24.5,"sku":null,"tags":[],"attributes":{"width":null,"depth":"60 cm"}}"#;

    let response = respond(patch(ID, sent_patch).header("If-Match", "\"3\""), &table().await, &queue).await;

    assert_eq!(response.status(), 202);
    let event = sent.only();
    assert_keeps("change-event", &event);
    let expected =
        json!({"price": "24.50", "sku": null, "tags": null, "attributes": {"width": null, "depth": "60 cm"}});
    assert_eq!((&event["type"], &event["patch"], event.get("product")), (&json!("UPDATE"), &expected, None));
    assert_eq!(event["expectedVersion"], 3);
    let address = format!("{ID}/changes/{}", event["eventId"].as_str().unwrap());
    assert_eq!(response.headers()["operation-location"], address);
}

#[tokio::test]
async fn accepts_empty_patch() {
    let (queue, sent) = change_queue::start().await;
    assert_eq!(respond(patch(ID, "{}"), &table().await, &queue).await.status(), 202);
    assert_eq!(sent.only()["patch"], json!({}));
}

#[tokio::test]
async fn rejects_invalid_patches_and_queues_nothing() {
    let (queue, sent) = change_queue::start().await;
    let table = table().await;
    for (body, field, code) in [
        (r#"{"name":null}"#, "name", "REQUIRED"),
        (r#"{"price":1,"price":2}"#, "price", "DUPLICATE"),
        (r#"{"price":-0}"#, "price", "INVALID_FORMAT"),
        (r#"{"price":"24.555"}"#, "price", "TOO_MANY_DECIMALS"),
        (r#"{"currency":"KWD"}"#, "price", "REQUIRED"),
        (r#"{"version":3}"#, "version", "READ_ONLY_FIELD"),
        (r#"{"colour":"red"}"#, "colour", "UNKNOWN_FIELD"),
        (r#"{"category":"\u200b"}"#, "category", "INVALID_FORMAT"),
        ("[]", "body", "INVALID_TYPE"),
    ] {
        let response = respond(patch(ID, body), &table, &queue).await;
        assert_eq!(response.status(), 400, "{body}");
        let error = &support::gateway::body(&response)["error"];
        assert_eq!(error["message"], "The patch is invalid. See details.", "{body}");
        assert_eq!(
            (&error["details"][0]["field"], &error["details"][0]["code"]),
            (&json!(field), &json!(code)),
            "{body}"
        );
    }
    let many: String = (0..51).map(|name| format!("\"{name}\":\"\",")).collect();
    let too_many = format!("{{\"attributes\":{{{}}}}}", many.trim_end_matches(','));
    let response = respond(patch(ID, &too_many), &table, &queue).await;
    assert_eq!(body(&response)["error"]["details"][0]["code"], "TOO_MANY", "of the merged product");
    assert_eq!(sent.all().len(), 0);
}

#[tokio::test]
async fn requires_media_type_of_method() {
    let (queue, sent) = change_queue::start().await;
    let table = table().await;
    for (method, media_type, status) in [
        ("PATCH", "application/json", 415),
        ("PATCH", "application/json-patch+json", 415),
        ("PATCH", "application/merge-patch+json; charset=utf-8", 202),
        ("PUT", "application/merge-patch+json", 415),
        ("PUT", "application/json ; charset=utf8", 202),
    ] {
        let body = json!({"name": "Oak table", "price": "24.50", "currency": "EUR"}).to_string();
        let call = Call::new(method, RESOURCE).product(ID).header("Content-Type", media_type).body(&body);
        assert_eq!(respond(call, &table, &queue).await.status(), status, "{method} {media_type}");
    }
    assert_eq!(sent.all().len(), 2);
}

#[tokio::test]
async fn evaluates_preconditions_and_sends_expected_version() {
    let table = table().await;
    for (header, value, status, expected) in [
        ("if-match", "\"3\"", 202, json!(3)),
        ("if-match", "\"2\", \"3\"", 202, json!(3)),
        ("if-match", "\"3\",", 202, json!(3)),
        ("if-match", "*", 202, Value::Null),
        ("if-match", "\"2\"", 412, Value::Null),
        ("if-match", "W/\"3\"", 412, Value::Null),
        ("if-match", "\"abc\"", 412, Value::Null),
        ("if-match", "3", 400, Value::Null),
        ("if-none-match", "*", 412, Value::Null),
        ("if-none-match", "\"1\", ,\"3\"", 412, Value::Null),
        ("if-none-match", "\"2\"", 202, Value::Null),
    ] {
        for call in [put(ID), patch(ID, "{}")] {
            let (queue, sent) = change_queue::start().await;
            let response = respond(call.header(header, value), &table, &queue).await;
            assert_eq!(response.status(), status, "{header}: {value}");
            if status == 202 {
                assert_eq!(sent.only()["expectedVersion"], expected, "{header}: {value}");
            } else {
                assert_eq!(sent.all().len(), 0, "{header}: {value}");
            }
            if status == 412 {
                assert_eq!(response.headers()["etag"], "\"3\"", "{header}: {value}");
            }
        }
    }
}

#[tokio::test]
async fn returns_404_for_unknown_and_deleted_products() {
    let (queue, sent) = change_queue::start().await;
    let table = products_table::start().await;
    let mut tombstone = products_table::product(ID);
    tombstone["status"] = json!("DELETED");
    products_table::put(&table, tombstone).await;

    for id in [ID, "00000000-0000-4000-8000-000000000000", "not-an-id"] {
        for call in [put(id), put(id).header("If-Match", "*"), patch(id, "{}")] {
            assert_eq!(respond(call, &table, &queue).await.status(), 404, "{id}");
        }
    }
    assert_eq!(sent.all().len(), 0);
}

#[tokio::test]
async fn takes_back_what_a_read_returned() {
    let (queue, sent) = change_queue::start().await;
    let table = table().await;
    let content = json!({"name": "Oak table", "price": "24.50", "currency": "EUR"});
    let mut read_back = content.clone();
    for (field, value) in [
        ("productId", json!(ID)),
        ("status", json!("ACTIVE")),
        ("version", json!(3)),
        ("createdAt", json!("2026-01-31T12:00:00.000Z")),
        ("updatedAt", json!("2026-02-01T12:00:00.000Z")),
        ("lastEventId", json!("019c1941-fe00-7d2e-9f10-2b3c4d5e6f70")),
    ] {
        read_back[field] = value;
    }
    assert_eq!(respond(put_body(ID, &read_back), &table, &queue).await.status(), 202);
    assert_eq!(sent.only()["product"], content);

    read_back["productId"] = json!(OTHER_ID);
    let response = respond(put_body(ID, &read_back), &table, &queue).await;
    assert_eq!(response.status(), 400);
    let details = &body(&response)["error"]["details"];
    assert_eq!((&details[0]["field"], &details[0]["code"]), (&json!("productId"), &json!("READ_ONLY_FIELD")));
}

#[tokio::test]
async fn rejects_invalid_replacements_and_queues_nothing() {
    let (queue, sent) = change_queue::start().await;
    let table = table().await;
    for (call, status, code) in [
        (put_body(ID, &json!({"name": "Oak table"})), 400, "VALIDATION_FAILED"),
        (put(ID).body("["), 400, "MALFORMED_JSON"),
        (put(ID).body(""), 400, "MALFORMED_JSON"),
        (put(ID).body(&" ".repeat(65_537)), 413, "PAYLOAD_TOO_LARGE"),
        (Call::new("PUT", RESOURCE).product(ID).body("{}"), 415, "UNSUPPORTED_MEDIA_TYPE"),
    ] {
        let response = respond(call, &table, &queue).await;
        assert_eq!(response.status(), status, "{code}");
        assert_eq!(body(&response)["error"]["code"], code);
    }
    assert_eq!(sent.all().len(), 0);
}

#[tokio::test]
async fn refuses_sku_of_another_product_with_its_id() {
    let (queue, sent) = change_queue::start().await;
    let table = table().await;
    for (sku, holder) in [("OAK-1", ID), ("OAK-2", OTHER_ID)] {
        let claim = json!({"PK": format!("SKU#{sku}"), "SK": "CLAIM", "productId": holder, "eventId": "e"});
        products_table::put(&table, claim).await;
    }
    let replacement = |sku: &str| put_body(ID, &json!({"name": "x", "price": "1", "currency": "EUR", "sku": sku}));
    for call in [replacement("OAK-2"), patch(ID, r#"{"sku":" OAK-2"}"#)] {
        let response = respond(call, &table, &queue).await;
        assert_eq!(response.status(), 409);
        assert_eq!(body(&response)["error"]["code"], "SKU_TAKEN");
        let message = body(&response)["error"]["details"][0]["message"].clone();
        assert_eq!(message, format!("belongs to the product {OTHER_ID}"));
    }
    assert_eq!(sent.all().len(), 0);
    for call in [replacement("OAK-1"), replacement("OAK-3"), patch(ID, r#"{"sku":"OAK-3"}"#)] {
        assert_eq!(respond(call, &table, &queue).await.status(), 202);
    }
}

#[tokio::test]
async fn returns_503_with_retry_after_if_queue_or_table_is_unavailable() {
    let (queue, _) = change_queue::start().await;
    let throttled = change_queue::refusing(StatusCode::BAD_REQUEST, "RequestThrottled").await;
    for response in [
        respond(put(ID), &table().await, &throttled).await,
        respond(put(ID), &products_table::unreachable(), &queue).await,
    ] {
        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
    }
}
