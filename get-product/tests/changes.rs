//! What became of a product's changes, read from the journal in a real DynamoDB engine.

mod support;

use aws_sdk_dynamodb::Client;
use get_product::handler::handle;
use get_product::http::proxy_integration::serve;
use get_product::models::identifiers::EventId;
use get_product::models::timestamp::Timestamp;
use get_product::repositories::dynamodb::DynamoDbProducts;
use lambda_http::Body;
use lambda_http::http::Response;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use support::gateway::{Call, body};
use support::products_table::{self, TABLE};

const ID: &str = "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84";
const OTHER_ID: &str = "9b2d7c41-56ae-4f08-8c13-7e5d0a9b3f26";
/// The event that created the stored product.
const CREATION: &str = "019c141b-9a00-7d2e-9f10-2b3c4d5e6f70";

async fn get(client: &Client, call: Call) -> Response<Body> {
    let products = DynamoDbProducts::new(client.clone(), TABLE);
    call.answered_by(|event| serve(event, |request| handle(request, &products))).await
}

async fn change(client: &Client, event_id: &str) -> Response<Body> {
    get(client, Call::new("GET", "/products/{productId}/changes/{eventId}").change(ID, event_id)).await
}

async fn changes(client: &Client, id: &str, parameters: &[(&str, &str)]) -> Response<Body> {
    let call = Call::new("GET", "/products/{productId}/changes").product(id);
    get(client, parameters.iter().fold(call, |call, (name, value)| call.parameter(name, value))).await
}

/// A journal entry as product-creator writes it.
fn entry(event_id: &str, change_type: &str, outcome: &str) -> Value {
    json!({
        "PK": format!("PRODUCT#{ID}"), "SK": format!("EVENT#{event_id}"), "expiresAt": 1_900_000_000,
        "schemaVersion": 1, "recordType": "CHANGE", "eventId": event_id, "type": change_type, "productId": ID,
        "occurredAt": "2026-01-31T12:00:00.000Z", "recordedAt": "2026-01-31T12:00:00.412Z",
        "actor": {"apiKeyId": "key-1", "sourceIp": "203.0.113.9"}, "requestId": "req-1",
        "fingerprint": "0".repeat(64), "outcome": outcome,
    })
}

fn product_document(version: u64) -> Value {
    json!({
        "productId": ID, "name": "Oak table", "price": "19.99", "currency": "EUR", "tags": ["oak"],
        "attributes": {"width": "90 cm"}, "status": "ACTIVE", "version": version, "createdAt": "2026-01-31T12:00:00.000Z",
        "updatedAt": "2026-01-31T12:00:00.000Z", "lastEventId": CREATION,
    })
}

fn creation() -> Value {
    let mut entry = entry(CREATION, "CREATE", "APPLIED");
    entry["version"] = json!(1);
    entry["after"] = product_document(1);
    entry["prevHash"] = json!("0".repeat(64));
    entry["hash"] = json!("a".repeat(64));
    entry
}

fn rejected(event_id: &str) -> Value {
    let mut entry = entry(event_id, "UPDATE", "REJECTED");
    entry["reason"] = json!("PRECONDITION_FAILED");
    entry["version"] = json!(3);
    entry["requested"] =
        json!({"patch": {"price": "0.01", "sku": null, "tags": ["a", "b"], "attributes": {"width": null}}});
    entry
}

/// The `number`th event ID after the creation.
fn event_id(number: u64) -> String {
    let created: EventId = CREATION.parse().unwrap();
    EventId::after(None, Timestamp::from_unix_millis(created.unix_millis() + number)).to_string()
}

#[tokio::test]
async fn returns_applied_change_without_actor() {
    let client = products_table::start().await;
    products_table::put(&client, creation()).await;

    let response = change(&client, CREATION).await;

    assert_eq!(response.status(), 200);
    assert_eq!(response.headers().get("retry-after"), None);
    assert_eq!(
        body(&response),
        json!({
            "eventId": CREATION, "productId": ID, "type": "CREATE", "status": "APPLIED", "done": true, "version": 1,
            "occurredAt": "2026-01-31T12:00:00.000Z", "recordedAt": "2026-01-31T12:00:00.412Z", "requestId": "req-1",
            "after": product_document(1), "prevHash": "0".repeat(64), "hash": "a".repeat(64),
        })
    );
}

#[tokio::test]
async fn returns_rejected_change_with_reason_and_request() {
    let client = products_table::start().await;
    let id = event_id(7);
    products_table::put(&client, rejected(&id)).await;

    let found = body(&change(&client, &id).await);

    assert_eq!(
        (&found["status"], &found["done"], &found["reason"]),
        (&json!("REJECTED"), &json!(true), &json!("PRECONDITION_FAILED"))
    );
    assert_eq!(found["requested"], rejected(&id)["requested"]);
}

#[tokio::test]
async fn returns_pending_for_recent_event_id_without_entry() {
    let client = products_table::start().await;
    let now = Timestamp::now();
    let id = EventId::after(None, now).to_string();

    let response = change(&client, &id).await;

    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["retry-after"], "1");
    let pending =
        json!({"eventId": id, "productId": ID, "status": "PENDING", "done": false, "occurredAt": now.to_string()});
    assert_eq!(body(&response), pending);
}

#[tokio::test]
async fn returns_404_for_event_id_that_cannot_be_pending() {
    let client = products_table::start().await;
    let in_an_hour = Timestamp::from_unix_millis(Timestamp::now().unix_millis() + 3_600_000);
    let future = EventId::after(None, in_an_hour).to_string();
    for id in ["01900000-0000-7000-8000-000000000000", "00000000-0000-4000-8000-000000000000", "x", "", &future] {
        let response = change(&client, id).await;
        assert_eq!(response.status(), 404, "{id}");
        assert_eq!(body(&response)["error"]["code"], "NOT_FOUND", "{id}");
    }
}

#[tokio::test]
async fn lists_changes_of_deleted_and_expired_products_but_not_of_unknown_ones() {
    let client = products_table::start().await;
    assert_eq!(changes(&client, ID, &[]).await.status(), 404, "unknown");

    let mut tombstone = products_table::product(ID);
    tombstone["status"] = json!("DELETED");
    products_table::put(&client, tombstone).await;
    let expired = body(&changes(&client, ID, &[]).await);
    assert_eq!(expired, json!({"items": [], "nextCursor": null, "complete": false}));

    products_table::put(&client, rejected(&event_id(1))).await;
    assert_eq!(body(&changes(&client, ID, &[]).await)["complete"], false, "the creation has expired");
    products_table::put(&client, creation()).await;
    let page = body(&changes(&client, ID, &[("limit", "1")]).await);
    assert_eq!((&page["items"][0]["status"], &page["complete"]), (&json!("REJECTED"), &json!(true)), "on a later page");
}

#[tokio::test]
async fn rejects_invalid_parameters_and_cursor_of_another_product() {
    let client = products_table::start().await;
    for number in 0..3 {
        products_table::put(&client, rejected(&event_id(number))).await;
    }
    let cursor = body(&changes(&client, ID, &[("limit", "1")]).await)["nextCursor"].as_str().unwrap().to_owned();

    for (id, parameters, code, field) in [
        (OTHER_ID, [("cursor", cursor.as_str())], "INVALID_CURSOR", "cursor"),
        (ID, [("cursor", "x")], "INVALID_CURSOR", "cursor"),
        (ID, [("limit", "101")], "INVALID_PARAMETER", "limit"),
        (ID, [("before", "x")], "INVALID_PARAMETER", "before"),
    ] {
        let response = changes(&client, id, &parameters).await;
        assert_eq!(response.status(), 400, "{parameters:?}");
        assert_eq!(body(&response)["error"]["code"], code, "{parameters:?}");
        assert_eq!(body(&response)["error"]["details"][0]["field"], field, "{parameters:?}");
    }
}

#[tokio::test]
async fn returns_no_cursor_with_the_last_page() {
    let client = products_table::start().await;
    products_table::put(&client, creation()).await;
    for number in 1..3 {
        products_table::put(&client, rejected(&event_id(number))).await;
    }
    for (limit, is_last) in [("2", false), ("3", true), ("4", true)] {
        let page = body(&changes(&client, ID, &[("limit", limit)]).await);
        assert_eq!(page["nextCursor"].is_null(), is_last, "limit {limit} of 3 changes");
    }
}

#[tokio::test]
async fn reads_pages_of_large_changes_to_the_end() {
    let client = products_table::start().await;
    for number in 1..=60 {
        let mut large = rejected(&event_id(number));
        // About 26 kB each: DynamoDB reads at most 1 MB at once.
        let attributes = (0..50).map(|number| (format!("attribute {number}"), json!("x".repeat(500))));
        large["requested"]["patch"]["attributes"] = Value::Object(attributes.collect());
        products_table::put(&client, large).await;
    }
    let (mut seen, mut pages, mut cursor) = (0, 0, None::<String>);
    loop {
        let mut parameters = vec![("limit", "100")];
        parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = body(&changes(&client, ID, &parameters).await);
        assert!(page.to_string().len() < 1_500_000);
        seen += page["items"].as_array().unwrap().len();
        pages += 1;
        cursor = page["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, 60);
    assert!(pages > 1);
}

/// Walks through a history to which changes are added between the pages: nothing recorded before is skipped or repeated.
#[test]
fn walk_returns_each_change_once_newest_first() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let histories = (
        prop::collection::btree_set(1..5_000_u64, 0..60),
        prop::collection::vec(5_000..10_000_u64, 0..10),
        prop::collection::vec(1..12_usize, 1..5),
    );
    let check = async |numbers: std::collections::BTreeSet<u64>, later: Vec<u64>, limits: Vec<usize>| {
        let client = products_table::start().await;
        products_table::put(&client, products_table::product(ID)).await;
        products_table::put(&client, creation()).await;
        let mut expected = vec![CREATION.to_owned()];
        for number in numbers {
            let id = event_id(number);
            products_table::put(&client, rejected(&id)).await;
            expected.push(id);
        }
        expected.reverse();

        let mut later = later.into_iter();
        let (mut seen, mut cursor) = (Vec::new(), None::<String>);
        for number in 0.. {
            let limit = limits[number % limits.len()];
            let limit_text = limit.to_string();
            let mut parameters = vec![("limit", limit_text.as_str())];
            parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let page = body(&changes(&client, ID, &parameters).await);
            let items = page["items"].as_array().unwrap();
            assert!(items.len() == limit || page["nextCursor"].is_null());
            assert_eq!(page["complete"], true);
            seen.extend(items.iter().map(|item| item["eventId"].as_str().unwrap().to_owned()));
            cursor = page["nextCursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
            if let Some(number) = later.next() {
                products_table::put(&client, rejected(&event_id(number))).await;
            }
        }
        assert_eq!(seen, expected);
    };
    TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() })
        .run(&histories, |(numbers, later, limits)| {
            runtime.block_on(check(numbers, later, limits));
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}
