//! The product API, as far as an import and an export use it, in the test's process: changes are applied at once and reported
//! as pending once.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Map, Value, json};

/// The key that the stub accepts.
pub const KEY: &str = "key-1";

/// A catalogue behind an API.
#[derive(Clone, Default)]
pub struct ProductApi {
    state: Arc<Mutex<Catalogue>>,
    latency: Duration,
}

#[derive(Default)]
struct Catalogue {
    products: BTreeMap<String, Value>,
    by_sku: HashMap<String, String>,
    /// By idempotency key: product, event and body.
    creations: HashMap<String, (String, String, Value)>,
    /// Changes by event ID: the outcome, and whether it was asked for before.
    changes: HashMap<String, (&'static str, Option<&'static str>, bool)>,
    numbers: u64,
    requests: Vec<String>,
    /// Responses to give before any other.
    faults: Vec<(u16, &'static str)>,
    /// What becomes of the next changes.
    outcomes: Vec<(&'static str, Option<&'static str>)>,
}

impl ProductApi {
    /// An API whose responses take this time.
    pub fn distant(latency: Duration) -> Self {
        Self { latency, ..Self::default() }
    }

    /// Serves the API on a port of its own; returns the address up to `/v1.0`.
    pub async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let base = format!("http://{}/v1.0", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/v1.0/products", get(find).post(create))
            .route("/v1.0/products/changes", get(feed))
            .route("/v1.0/products/{id}", get(product).patch(update))
            .route("/v1.0/products/{id}/changes/{event}", get(change))
            .layer(axum::middleware::from_fn_with_state(self.clone(), guard))
            .with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        base
    }

    fn state(&self) -> MutexGuard<'_, Catalogue> {
        self.state.lock().unwrap()
    }

    /// Fails the next requests with this status and `Retry-After: 1`.
    pub fn fail(&self, status: u16, code: &'static str, times: usize) {
        self.state().faults.extend(vec![(status, code); times]);
    }

    /// Ends the next change in this way instead of applying it.
    pub fn reject(&self, status: &'static str, reason: Option<&'static str>) {
        self.state().outcomes.push((status, reason));
    }

    /// The products by SKU, without what the API adds.
    pub fn products(&self) -> BTreeMap<String, Value> {
        let content = |product: &Value| {
            let mut product = product.clone();
            for field in ["productId", "status", "version", "createdAt", "updatedAt", "lastEventId"] {
                product.as_object_mut().unwrap().remove(field);
            }
            product
        };
        let state = self.state();
        let by_sku = |product: &Value| (product["sku"].as_str().unwrap_or_default().to_owned(), content(product));
        state.products.values().map(by_sku).collect()
    }

    pub fn ids(&self) -> Vec<String> {
        self.state().products.keys().cloned().collect()
    }

    /// The ID of the product with the SKU. The order of IDs says nothing, because an import creates several at a time.
    pub fn id_of(&self, sku: &str) -> String {
        self.state().by_sku[sku].clone()
    }

    pub fn delete(&self, id: &str) {
        let mut state = self.state();
        let product = state.products.remove(id).unwrap();
        state.by_sku.remove(product["sku"].as_str().unwrap_or_default());
    }

    /// Deletes a product as the API does: the feed still has it.
    pub fn bury(&self, id: &str) {
        self.state().products.get_mut(id).unwrap()["status"] = json!("DELETED");
    }

    /// How many requests with this method there were, and forgets them.
    pub fn take_requests(&self, method: &str) -> usize {
        let requests = std::mem::take(&mut self.state().requests);
        requests.iter().filter(|request| *request == method).count()
    }
}

async fn guard(
    State(api): State<ProductApi>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    tokio::time::sleep(api.latency).await;
    let fault = {
        let mut state = api.state();
        state.requests.push(request.method().to_string());
        state.faults.pop()
    };
    if request.headers().get("x-api-key").is_none_or(|key| key != KEY) {
        return error(StatusCode::FORBIDDEN, "FORBIDDEN", &[]);
    }
    if let Some((status, code)) = fault {
        let status = StatusCode::from_u16(status).unwrap();
        return ([("retry-after", "1")], error(status, code, &[])).into_response();
    }
    let is_patch = request.method() == Method::PATCH;
    let media_type = request.headers().get("content-type").cloned();
    if is_patch && media_type.is_none_or(|value| value != "application/merge-patch+json") {
        return error(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE", &[]);
    }
    next.run(request).await
}

fn error(status: StatusCode, code: &str, details: &[Value]) -> Response {
    let body = json!({"error": {"code": code, "message": "A message.", "requestId": "r-1", "details": details}});
    (status, axum::Json(body)).into_response()
}

async fn find(State(api): State<ProductApi>, Query(query): Query<HashMap<String, String>>) -> Response {
    let state = api.state();
    let found = query.get("sku").and_then(|sku| state.by_sku.get(sku)).map(|id| state.products[id].clone());
    axum::Json(json!({"items": found.into_iter().collect::<Vec<_>>(), "nextCursor": null})).into_response()
}

async fn product(State(api): State<ProductApi>, Path(id): Path<String>) -> Response {
    match api.state().products.get(&id) {
        Some(product) => axum::Json(product.clone()).into_response(),
        None => error(StatusCode::NOT_FOUND, "NOT_FOUND", &[]),
    }
}

async fn create(State(api): State<ProductApi>, headers: HeaderMap, body: Bytes) -> Response {
    let content: Map<String, Value> = serde_json::from_slice(&body).unwrap();
    let key = headers["idempotency-key"].to_str().unwrap().to_owned();
    let mut state = api.state();
    if let Some((id, event, earlier)) = state.creations.get(&key).cloned() {
        assert_eq!(earlier, Value::Object(content), "the key was used with another body");
        return accepted(&id, &event);
    }
    // A rule that no schema has, to test what only the API finds.
    if content["name"] == "refused" {
        let detail = json!({"field": "name", "code": "INVALID_FORMAT", "message": "must be another one"});
        return error(StatusCode::BAD_REQUEST, "VALIDATION_FAILED", &[detail]);
    }
    let sku = content.get("sku").and_then(Value::as_str).unwrap_or_default().to_owned();
    if state.by_sku.contains_key(&sku) {
        let detail = json!({"field": "sku", "code": "SKU_TAKEN", "message": "belongs to another product"});
        return error(StatusCode::CONFLICT, "SKU_TAKEN", &[detail]);
    }
    state.numbers += 1;
    let id = format!("00000000-0000-4000-8000-{:012x}", state.numbers);
    let event = state.event();
    state.creations.insert(key, (id.clone(), event.clone(), Value::Object(content.clone())));
    if state.decide(&event) {
        let mut product = json!({
            "productId": id, "status": "ACTIVE", "version": 1, "createdAt": "2026-01-31T12:00:00.000Z",
            "updatedAt": "2026-01-31T12:00:00.000Z", "lastEventId": event,
        });
        product.as_object_mut().unwrap().extend(content);
        state.products.insert(id.clone(), product);
        if !sku.is_empty() {
            state.by_sku.insert(sku, id.clone());
        }
    }
    accepted(&id, &event)
}

async fn update(State(api): State<ProductApi>, Path(id): Path<String>, body: Bytes) -> Response {
    let patch: Value = serde_json::from_slice(&body).unwrap();
    let mut state = api.state();
    let Some(mut product) = state.products.get(&id).cloned() else {
        return error(StatusCode::NOT_FOUND, "NOT_FOUND", &[]);
    };
    let event = state.event();
    if state.decide(&event) {
        json_patch::merge(&mut product, &patch);
        product["version"] = json!(product["version"].as_u64().unwrap() + 1);
        state.products.insert(id.clone(), product);
    }
    accepted(&id, &event)
}

fn accepted(id: &str, event: &str) -> Response {
    let body = json!({"productId": id, "eventId": event, "status": "ACCEPTED"});
    // Real responses ask for a second; tests shouldn't wait that long.
    (StatusCode::ACCEPTED, [("retry-after", "0")], axum::Json(body)).into_response()
}

async fn change(State(api): State<ProductApi>, Path((id, event)): Path<(String, String)>) -> Response {
    let mut state = api.state();
    let Some((status, reason, asked)) = state.changes.get_mut(&event) else {
        return error(StatusCode::NOT_FOUND, "NOT_FOUND", &[]);
    };
    let done = std::mem::replace(asked, true);
    let status = if done { *status } else { "PENDING" };
    let mut change = json!({"eventId": event, "productId": id, "status": status, "done": done});
    if let Some(reason) = reason.filter(|_| done) {
        change["reason"] = json!(reason);
    }
    ([("retry-after", "0")], axum::Json(change)).into_response()
}

/// Pages of the products in the order of their IDs; a deleted product has none.
async fn feed(State(api): State<ProductApi>, Query(query): Query<HashMap<String, String>>) -> Response {
    let limit: usize = query["limit"].parse().unwrap();
    let after = query.get("after").map_or(0, |after| after.parse().unwrap());
    let state = api.state();
    let item = |(id, product): (&String, &Value)| {
        let mut item = json!({
            "productId": id, "version": product["version"], "status": product["status"],
            "changedAt": "2026-01-31T12:00:00.000Z",
        });
        if product["status"] == "ACTIVE" {
            item["product"] = product.clone();
        }
        item
    };
    let items: Vec<Value> = state.products.iter().skip(after).take(limit).map(item).collect();
    let next = after + items.len();
    let caught_up = next == state.products.len();
    axum::Json(json!({"items": items, "nextCursor": next.to_string(), "caughtUp": caught_up})).into_response()
}

impl Catalogue {
    fn event(&mut self) -> String {
        self.numbers += 1;
        let millis = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        format!("{:08x}-{:04x}-7000-8000-{:012x}", millis >> 16, millis & 0xffff, self.numbers)
    }

    /// Records what becomes of a change; whether it is applied.
    fn decide(&mut self, event: &str) -> bool {
        let (status, reason) = self.outcomes.pop().unwrap_or(("APPLIED", None));
        self.changes.insert(event.to_owned(), (status, reason, false));
        status == "APPLIED"
    }
}
