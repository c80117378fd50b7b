//! The function without its runtime: a proxy event in, a response out, over a real DynamoDB engine.

mod support;

use get_product::handler::handle;
use get_product::http::proxy_integration::serve;
use get_product::repositories::dynamodb::DynamoDbProducts;
use lambda_http::Body;
use lambda_http::http::Response;
use serde_json::json;
use support::gateway::{Call, body};
use support::products_table::{self, TABLE};

const ID: &str = "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84";

async fn get(call: Call) -> Response<Body> {
    let client = products_table::start().await;
    products_table::put(&client, products_table::product(ID)).await;
    answer(&call, &DynamoDbProducts::new(client, TABLE)).await
}

async fn answer(call: &Call, products: &DynamoDbProducts) -> Response<Body> {
    call.answered_by(|event| serve(event, |request| handle(request, products))).await
}

fn call() -> Call {
    Call::new("GET", "/products/{productId}")
}

#[tokio::test]
async fn returns_stored_product_with_version_as_etag() {
    let answer = get(call().product(ID)).await;

    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["etag"], "\"3\"");
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert_eq!(
        body(&answer),
        json!({
            "productId": ID, "name": "Oak table", "price": "19.99", "currency": "EUR", "sku": "OAK-1",
            "description": "A table of oak.", "category": "furniture", "tags": ["oak", "table"],
            "imageUrls": ["https://images.example/oak.jpg"], "attributes": {"width": "90 cm"},
            "status": "ACTIVE", "version": 3, "createdAt": "2026-01-31T12:00:00.000Z",
            "updatedAt": "2026-02-01T12:00:00.000Z", "lastEventId": "019c1941-fe00-7d2e-9f10-2b3c4d5e6f70",
        })
    );
}

#[tokio::test]
async fn returns_304_for_version_in_if_none_match() {
    for header in ["\"3\"", "W/\"3\"", "\"1\", \"3\"", "\"1\", ,\"3\"", "*"] {
        let answer = get(call().product(ID).header("If-None-Match", header)).await;
        assert_eq!(answer.status(), 304, "{header}");
        assert_eq!(answer.headers()["etag"], "\"3\"", "{header}");
        assert_eq!(answer.body(), &Body::Empty, "{header}");
    }
    for header in ["\"2\"", "\"abc\""] {
        assert_eq!(get(call().product(ID).header("if-none-match", header)).await.status(), 200, "{header}");
    }
}

#[tokio::test]
async fn returns_412_with_current_etag_if_if_match_fails() {
    for header in ["\"2\"", "W/\"3\"", "\"2\",", "\"abc\""] {
        let call = call().product(ID).header("If-Match", header).header("If-None-Match", "\"3\"");
        let answer = get(call).await;
        assert_eq!(answer.status(), 412, "{header}");
        assert_eq!(answer.headers()["etag"], "\"3\"", "{header}");
        assert_eq!(body(&answer)["error"]["code"], "PRECONDITION_FAILED", "{header}");
    }
    for header in ["\"3\"", "*", "\"3\",", ", \"2\", \"3\""] {
        assert_eq!(get(call().product(ID).header("If-Match", header)).await.status(), 200, "{header}");
    }
}

#[tokio::test]
async fn rejects_malformed_conditional_header_by_name() {
    for name in ["If-Match", "If-None-Match"] {
        let answer = get(call().product(ID).header(name, "3")).await;
        assert_eq!(answer.status(), 400, "{name}");
        assert_eq!(body(&answer)["error"]["code"], "INVALID_PARAMETER");
        assert_eq!(body(&answer)["error"]["message"], format!("Invalid {name} header."));
        assert_eq!(body(&answer)["error"]["details"][0]["field"], name);
    }
}

#[tokio::test]
async fn returns_404_for_id_without_product() {
    for id in ["00000000-0000-4000-8000-000000000000", "not-an-id", "", "..", &"9".repeat(5_000)] {
        let answer = get(call().product(id)).await;
        assert_eq!(answer.status(), 404, "{id}");
        assert_eq!(body(&answer)["error"]["code"], "NOT_FOUND", "{id}");
        assert_eq!(body(&answer)["error"]["requestId"], "req-1", "{id}");
    }
    assert_eq!(get(call()).await.status(), 404, "no id at all");
}

#[tokio::test]
async fn returns_404_for_deleted_product() {
    let client = products_table::start().await;
    let mut tombstone = products_table::product(ID);
    tombstone["status"] = json!("DELETED");
    products_table::put(&client, tombstone).await;

    let answer = answer(&call().product(ID), &DynamoDbProducts::new(client, TABLE)).await;

    assert_eq!(answer.status(), 404);
}

#[tokio::test]
async fn returns_503_with_retry_after_if_table_is_unreachable() {
    let products = DynamoDbProducts::new(products_table::unreachable(), TABLE);

    let answer = answer(&call().product(ID), &products).await;

    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "1");
}

#[tokio::test]
async fn returns_500_without_cause_for_missing_table_and_damaged_item() {
    let client = products_table::start().await;
    let mut damaged = products_table::product(ID);
    damaged["currency"] = json!("not a currency");
    products_table::put(&client, damaged).await;

    for table in [TABLE, "no-such-table"] {
        let answer = answer(&call().product(ID), &DynamoDbProducts::new(client.clone(), table)).await;
        assert_eq!(answer.status(), 500, "{table}");
        assert_eq!(body(&answer)["error"]["code"], "INTERNAL_ERROR", "{table}");
        assert!(!body(&answer).to_string().contains("currency"), "{table}");
    }
}
