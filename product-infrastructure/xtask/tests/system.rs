//! The whole system on a running stack: HTTP requests in, products, changes and audit records out.
//!
//! `cargo xtask test` starts a stack and runs these; `CATALOGUE_STATUS` holds the output of `cargo xtask status --json`.
//! By hand, against a stack of one's own:
//!
//! ```sh
//! CATALOGUE_STATUS="$(cargo xtask status --json)" \
//!     cargo test --manifest-path product-infrastructure/xtask/Cargo.toml --test system
//! ```

mod support;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_config::SdkConfig;
use aws_sdk_apigateway::types::{ApiStage, QuotaPeriodType, QuotaSettings, ThrottleSettings};
use aws_sdk_sqs::types::{QueueAttributeName, SendMessageBatchRequestEntry};
use futures_util::future::join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::aws;
use xtask::stack::ENVIRONMENT;
use xtask::status::Running;

/// Maximum time from the response to a write until the change is applied.
const APPLY_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum time until the change is in the audit bucket: through the stream, the pipe, a topic and a queue.
const AUDIT_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum time until an unreadable message is in the dead-letter queue.
const DEAD_LETTER_TIMEOUT: Duration = Duration::from_secs(60);
/// The feed returns a change after at most 30 seconds.
const FEED_TIMEOUT: Duration = Duration::from_secs(45);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// `prevHash` of the first record in a hash chain.
const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn stack() -> Running {
    let status = std::env::var("CATALOGUE_STATUS")
        .expect("CATALOGUE_STATUS must hold the output of `cargo xtask status --json`; `cargo xtask test` sets it");
    serde_json::from_str(&status).expect("CATALOGUE_STATUS must describe a running stack")
}

struct Response {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Response {
    async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("the API responds");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("the response is complete");
        let body =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        let response = Self { status, headers, body };
        // On every response, whoever made it (contract: Support).
        assert!(!response.header("x-request-id").is_empty());
        response
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}: {}", self.body)).to_str().unwrap()
    }

    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    /// Checks the body and the headers that every error has.
    fn expect_error(self, status: u16, code: &str) -> Self {
        let response = self.expect(status);
        let error = &response.body["error"];
        assert_eq!(error["code"], code, "{}", response.body);
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{}", response.body);
        assert_eq!(error["requestId"], response.header("x-request-id"), "{}", response.body);
        assert_eq!(response.header("cache-control"), "no-store", "{}", response.body);
        assert_eq!(response.header("content-type"), "application/json");
        response
    }

    /// The address of the change that this write was accepted as, relative to the base URL.
    fn change(&self, path: &str) -> String {
        let reference = self.header("operation-location");
        // A relative reference (RFC 3986, section 4.2) replaces the last segment of the request's path.
        let folder = path.rsplit_once('/').expect("a path").0;
        format!("{folder}/{reference}")
    }
}

struct Api {
    http: reqwest::Client,
    url: String,
    key: Option<String>,
}

impl Api {
    fn of(stack: &Running) -> Self {
        let http = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
        Self { http, url: stack.facts.api_url.clone(), key: Some(stack.api_key.clone()) }
    }

    fn with_key(self, key: Option<&str>) -> Self {
        Self { key: key.map(str::to_owned), ..self }
    }

    async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Response {
        let mut request = self.http.request(method.clone(), format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            let media_type = if method == Method::PATCH { "application/merge-patch+json" } else { "application/json" };
            request = request.header("content-type", media_type).body(body.to_string());
        }
        Response::of(request).await
    }

    async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, &[], None).await
    }

    async fn create(&self, product: &Value) -> Response {
        self.send(Method::POST, "/products", &[], Some(product)).await
    }

    /// Sends a write and waits for the end of its change.
    async fn change(&self, method: Method, path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Value {
        let status = if method == Method::DELETE { 204 } else { 202 };
        let response = self.send(method, path, headers, body).await.expect(status);
        self.follow(&response.change(path)).await
    }

    /// Polls a change's address until the change is done.
    async fn follow(&self, path: &str) -> Value {
        eventually(&format!("{path} is done"), APPLY_TIMEOUT, || async {
            let response = self.get(path).await.expect(200);
            if response.body["status"] == "PENDING" {
                assert_eq!((&response.body["done"], response.header("retry-after")), (&json!(false), "1"));
                return None;
            }
            assert_eq!(response.body["done"], true, "{}", response.body);
            Some(response.body)
        })
        .await
    }

    /// Waits until the product has reached that version.
    async fn version(&self, id: &str, version: u64) -> Response {
        let path = format!("/products/{id}");
        eventually(&format!("{path} reaches version {version}"), APPLY_TIMEOUT, || async {
            let response = self.get(&path).await;
            (response.status == StatusCode::OK && response.body["version"] == version).then_some(response)
        })
        .await
    }

    /// Every product of a list, page by page, and the number of pages.
    async fn list(&self, query: &str) -> (Vec<Value>, usize) {
        let (mut items, mut pages, mut cursor) = (Vec::new(), 0, String::new());
        loop {
            let page = self.get(&format!("/products?{query}{cursor}")).await.expect(200).body;
            items.extend(page["items"].as_array().expect("items").iter().cloned());
            pages += 1;
            match page["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return (items, pages),
            }
        }
    }
}

/// Polls until there is a result.
async fn eventually<T, Ask, Answer>(what: &str, within: Duration, mut ask: Ask) -> T
where
    Ask: FnMut() -> Answer,
    Answer: Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < within, "not within {within:?}: {what}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn product(name: &str, price: &str, currency: &str) -> Value {
    json!({"name": name, "price": price, "currency": currency})
}

fn id(response: &Response) -> String {
    response.body["productId"].as_str().expect("productId").to_owned()
}

fn sha256(text: &str) -> String {
    Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The RFC 8785 form, for values whose object keys are ASCII and whose numbers are integers: serde_json sorts keys.
fn canonical(value: &Value) -> String {
    value.to_string()
}

/// A UUIDv7. The crate `uuid` isn't used: with its features, half of the AWS SDK would be compiled twice.
fn new_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set");
    let random = sha256(&format!("{now:?} {} {}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let time = format!("{:012x}", now.as_millis());
    format!("{}-{}-7{}-8{}-{}", &time[..8], &time[8..], &random[..3], &random[3..6], &random[6..18])
}

/// The key of an event's audit record: below the date of the event ID.
fn audit_key(event_id: &str) -> String {
    let milliseconds = i64::from_str_radix(&event_id.replace('-', "")[..12], 16).expect("a version 7 UUID");
    let (year, month, day) = civil(milliseconds / 86_400_000);
    format!("events/year={year:04}/month={month:02}/day={day:02}/{event_id}.json")
}

/// The date of a day counted from 1 January 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// Waits for the audit record of an event.
async fn audit_record(stack: &Running, config: &SdkConfig, event_id: &str) -> Value {
    let client = aws_sdk_s3::Client::new(config);
    let key = audit_key(event_id);
    let bytes = eventually(&format!("{key} is written"), AUDIT_TIMEOUT, || async {
        let object = client.get_object().bucket(&stack.facts.audit_bucket).key(&key).send().await.ok()?;
        Some(object.body.collect().await.expect("the record is complete").into_bytes())
    })
    .await;
    serde_json::from_slice(&bytes).expect("the record is JSON")
}

async fn messages(config: &SdkConfig, queue_url: &str) -> u64 {
    let response = aws_sdk_sqs::Client::new(config)
        .get_queue_attributes()
        .queue_url(queue_url)
        .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
        .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
        .send()
        .await
        .expect("the queue responds");
    response.attributes().expect("attributes").values().map(|count| count.parse::<u64>().expect("a number")).sum()
}

#[tokio::test]
async fn rejects_missing_and_unknown_keys() {
    let stack = stack();
    let anonymous = Api::of(&stack).with_key(None);
    anonymous.get("/products").await.expect_error(403, "FORBIDDEN");
    anonymous.create(&product("Refused", "1.00", "EUR")).await.expect_error(403, "FORBIDDEN");
    let stranger = Api::of(&stack).with_key(Some("0123456789abcdefghijklmnopqrstuvwxyz"));
    stranger.get("/products").await.expect_error(403, "FORBIDDEN");
}

#[tokio::test]
async fn throttled_key_gets_retry_after() {
    let stack = stack();
    let gateway = aws_sdk_apigateway::Client::new(&aws::local(&stack.facts.endpoint_url).await);
    let throttled = ThrottleSettings::builder().rate_limit(0.1).burst_limit(1).build();
    let one_a_day = QuotaSettings::builder().limit(1).period(QuotaPeriodType::Day).build();
    for (throttle, quota, wait) in [(Some(throttled), None, "1"), (None, Some(one_a_day), "3600")] {
        // A plan and a key of its own, deleted before Terraform plans again.
        let name = format!("limits-{}", new_id());
        let served = ApiStage::builder().api_id(&stack.facts.rest_api_id).stage(ENVIRONMENT).build();
        let plan = gateway.create_usage_plan().name(&name).api_stages(served);
        let plan = plan.set_throttle(throttle).set_quota(quota).send().await.expect("a plan");
        let key = gateway.create_api_key().name(&name).enabled(true).send().await.expect("a key");
        let (plan, key_id) = (plan.id().expect("an id"), key.id().expect("an id"));
        gateway
            .create_usage_plan_key()
            .usage_plan_id(plan)
            .key_id(key_id)
            .key_type("API_KEY")
            .send()
            .await
            .expect("the key joins the plan");

        let api = Api::of(&stack).with_key(key.value());
        api.get("/products?limit=1").await.expect(200);
        let refused = api.get("/products?limit=1").await;
        let refused_too = api.create(&product("Too many", "1.00", "EUR")).await;

        gateway
            .delete_usage_plan_key()
            .usage_plan_id(plan)
            .key_id(key_id)
            .send()
            .await
            .expect("the key leaves the plan");
        gateway.delete_api_key().api_key(key_id).send().await.expect("the key is deleted");
        gateway.delete_usage_plan().usage_plan_id(plan).send().await.expect("the plan is deleted");
        for response in [refused, refused_too] {
            assert_eq!(response.expect_error(429, "TOO_MANY_REQUESTS").header("retry-after"), wait);
        }
        api.get("/products?limit=1").await.expect_error(403, "FORBIDDEN");
    }
}

#[tokio::test]
async fn unknown_route_returns_404() {
    let api = Api::of(&stack());
    let id = new_id();
    for path in ["/", "/prodcuts", &format!("/products/{id}/prices"), "/health/functions"] {
        api.get(path).await.expect_error(404, "NOT_FOUND");
    }
    api.send(Method::PATCH, "/prodcuts", &[], Some(&json!({}))).await.expect_error(404, "NOT_FOUND");
    // A function's 404 has the same shape.
    api.get(&format!("/products/{id}")).await.expect_error(404, "NOT_FOUND");
}

#[tokio::test]
async fn unsupported_method_returns_405_with_allow() {
    let stack = stack();
    let api = Api::of(&stack);
    let anonymous = Api::of(&stack).with_key(None);
    let product_path = format!("/products/{}", new_id());
    let changes_path = format!("{product_path}/changes");
    let change_path = format!("{changes_path}/{}", new_id());
    for (path, allowed) in [
        ("/products", "GET, POST"),
        ("/products/changes", "GET"),
        (&product_path, "GET, PUT, PATCH, DELETE"),
        (&changes_path, "GET"),
        (&change_path, "GET"),
        ("/health", "GET, HEAD"),
    ] {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
            if allowed.split(", ").any(|name| name == method.as_str()) {
                continue;
            }
            let mut requests = vec![api.send(method.clone(), path, &[], None).await];
            if method != Method::PATCH {
                requests.push(api.send(method.clone(), path, &[], Some(&json!({"name": "Never read"}))).await);
            }
            for response in requests {
                let response = response.expect_error(405, "METHOD_NOT_ALLOWED");
                assert_eq!(response.header("allow"), allowed, "{method} {path}");
            }
            if path != "/health" {
                anonymous.send(method, path, &[], None).await.expect_error(403, "FORBIDDEN");
            }
        }
        // API Gateway's own method, which is behind every method that isn't allowed, reads JSON only.
        let text = api.http.request(Method::OPTIONS, format!("{}{path}", api.url)).header("x-api-key", &stack.api_key);
        let text = text.header("content-type", "text/plain").body("name=Never read");
        Response::of(text).await.expect_error(415, "UNSUPPORTED_MEDIA_TYPE");
        let head = api.send(Method::HEAD, path, &[], None).await;
        assert_eq!(head.body, Value::Null, "HEAD {path}");
        if path != "/health" {
            assert_eq!(head.expect(405).header("allow"), allowed, "HEAD {path}");
        }
    }
}

#[tokio::test]
async fn health_check_needs_no_key() {
    let api = Api::of(&stack()).with_key(None);
    let health = api.get("/health").await.expect(200);
    assert_eq!((&health.body, health.header("cache-control")), (&json!({"status": "ok"}), "no-store"));
    let head = api.send(Method::HEAD, "/health", &[], None).await.expect(200);
    assert_eq!((&head.body, head.header("cache-control")), (&Value::Null, "no-store"));
}

#[tokio::test]
async fn reports_all_invalid_fields_at_once() {
    let api = Api::of(&stack());
    let wrong = json!({"name": "  ", "price": "1.234", "currency": "EUR", "colour": "red"});
    let response = api.create(&wrong).await.expect_error(400, "VALIDATION_FAILED");
    let fields: Vec<&str> = response.body["error"]["details"]
        .as_array()
        .expect("details")
        .iter()
        .filter_map(|detail| detail["field"].as_str())
        .collect();
    for field in ["name", "price", "colour"] {
        assert!(fields.contains(&field), "{field} in {fields:?}");
    }
    let response = api.get("/products?limt=2").await.expect(400);
    assert!(response.body.to_string().contains("limt"), "{}", response.body);
    api.get("/products?cursor=AAAA").await.expect_error(400, "INVALID_CURSOR");
}

/// The shell samples in `openapi.yaml`, by operation ID.
fn samples() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../openapi.yaml")).expect("openapi.yaml");
    let mut samples = BTreeMap::new();
    for operation in text.split("\n      operationId: ").skip(1) {
        let id = operation.lines().next().unwrap_or_default();
        let (_, sample) = operation.split_once("\n          source: |-\n").expect(id);
        let lines = sample.lines().map_while(|line| line.strip_prefix("            "));
        samples.insert(id.to_owned(), lines.collect::<Vec<_>>().join("\n"));
    }
    samples
}

#[tokio::test]
async fn samples_of_the_api_reference_work() {
    let (stack, mut samples) = (stack(), samples());
    let api = Api::of(&stack);
    // A product takes the place of the samples'. Each of their writes changes it.
    let mut content = product("Sample", "5.00", "EUR");
    content["sku"] = json!(new_id());
    let created = api.create(&content).await.expect(202);
    let change = api.follow(&created.change("/products")).await;
    let (product_id, event_id) = (id(&created), change["eventId"].as_str().expect("eventId"));

    let settings = tempfile::tempdir().unwrap();
    // curl alone succeeds with any response.
    std::fs::write(settings.path().join(".curlrc"), "silent\nshow-error\nfail\nnoproxy = \"*\"\n").unwrap();
    let operations = [
        ("listProducts", 1),
        ("createProduct", 1),
        ("getProduct", 1),
        ("listProductChanges", 1),
        ("getProductChange", 1),
        ("listChangedProducts", 1),
        ("getHealth", 1),
        ("headHealth", 1),
        ("updateProduct", 1),
        ("replaceProduct", 2),
        ("deleteProduct", 3),
    ];
    for (operation, version) in operations {
        api.version(&product_id, version).await;
        let sample = samples.remove(operation).expect(operation);
        let script = sample
            .replace("3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03", &product_id)
            .replace("019c13ec-9e00-728a-83f3-929b1085347a", event_id)
            .replace("if-match: \"3\"", &format!("if-match: \"{version}\""));
        let output = tokio::process::Command::new("sh")
            .args(["-c", &script])
            .env("CURL_HOME", settings.path())
            .env("API_URL", &api.url)
            .env("API_KEY", &stack.api_key)
            .output()
            .await
            .expect("sh starts");
        let printed = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{operation}: {script}\n{}", String::from_utf8_lossy(&printed));
    }
    assert_eq!(samples, BTreeMap::new(), "samples that weren't run");
}

#[tokio::test]
async fn serves_and_audits_every_change_of_a_product() {
    let stack = stack();
    let (api, config) = (Api::of(&stack), aws::local(&stack.facts.endpoint_url).await);
    let listed = |items: &[Value], id: &str| items.iter().any(|item| item["productId"] == id);

    let created = api.create(&product("A lamp", "19.99", "EUR")).await.expect(202);
    let id = id(&created);
    assert_eq!(created.body["status"], "ACCEPTED");
    assert_eq!(created.header("retry-after"), "1");
    // Relative to /v1.0/products, which the client asked for.
    assert_eq!(created.header("location"), format!("products/{id}"));
    let event_id = created.body["eventId"].as_str().expect("eventId");
    assert_eq!(created.header("operation-location"), format!("products/{id}/changes/{event_id}"));
    let change = api.follow(&created.change("/products")).await;
    assert_eq!(
        (&change["status"], &change["type"], &change["version"]),
        (&json!("APPLIED"), &json!("CREATE"), &json!(1))
    );
    assert!(!change.to_string().contains("sourceIp"), "a source address is returned: {change}");

    let path = format!("/products/{id}");
    let read = api.get(&path).await.expect(200);
    assert_eq!(read.header("etag"), "\"1\"");
    assert_eq!((&read.body["price"], &read.body["status"]), (&json!("19.99"), &json!("ACTIVE")));
    assert_eq!(change["after"], read.body);
    eventually("the product is listed", APPLY_TIMEOUT, || async {
        listed(&api.list("currency=EUR&limit=100").await.0, &id).then_some(())
    })
    .await;

    let stale = api.send(Method::PUT, &path, &[("if-match", "\"7\"")], Some(&product("No", "1", "EUR"))).await;
    assert_eq!(stale.expect_error(412, "PRECONDITION_FAILED").header("etag"), "\"1\"");
    // PUT takes the body of GET, output-only fields included.
    let mut wanted = read.body.clone();
    wanted["name"] = json!("A better lamp");
    wanted["price"] = json!("24.5");
    let updated = api.send(Method::PUT, &path, &[("if-match", "\"1\"")], Some(&wanted)).await.expect(202);
    assert_eq!(api.follow(&updated.change(&path)).await["status"], "APPLIED");
    let read = api.version(&id, 2).await;
    assert_eq!((&read.body["name"], &read.body["price"]), (&json!("A better lamp"), &json!("24.50")));

    let patch = json!({"price": "22.00", "tags": ["sale"]});
    let patched = api.send(Method::PATCH, &path, &[("if-match", "\"2\"")], Some(&patch)).await.expect(202);
    let change = api.follow(&patched.change(&path)).await;
    assert_eq!((&change["status"], &change["requested"]), (&json!("APPLIED"), &json!({"patch": patch})));
    assert_eq!((&change["before"], &change["after"]["price"]), (&read.body, &json!("22.00")));

    let deleted = api.send(Method::DELETE, &path, &[], None).await.expect(204);
    assert_eq!(api.follow(&deleted.change(&path)).await["status"], "APPLIED");
    api.get(&path).await.expect_error(404, "NOT_FOUND");
    assert!(!listed(&api.list("currency=EUR&limit=100").await.0, &id));

    let changes = api.get(&format!("{path}/changes")).await.expect(200).body;
    let kinds: Vec<&Value> = changes["items"].as_array().expect("items").iter().map(|change| &change["type"]).collect();
    assert_eq!(kinds, ["DELETE", "UPDATE", "UPDATE", "CREATE"]);
    assert_eq!((&changes["nextCursor"], &changes["complete"]), (&Value::Null, &json!(true)));

    let events = [
        event_id,
        updated.body["eventId"].as_str().unwrap(),
        patched.body["eventId"].as_str().unwrap(),
        deleted.header("x-event-id"),
    ];
    let mut records = Vec::new();
    for event in events {
        records.push(audit_record(&stack, &config, event).await);
    }
    let mut previous_hash = NO_HASH.to_owned();
    for (number, (record, kind)) in records.iter().zip(["CREATE", "UPDATE", "UPDATE", "DELETE"]).enumerate() {
        assert_eq!(
            (&record["type"], &record["outcome"], &record["productId"]),
            (&json!(kind), &json!("APPLIED"), &json!(id))
        );
        assert_eq!(record["version"], number + 1);
        assert!(record["actor"]["apiKeyId"].is_string(), "the record has no API key ID: {record}");
        assert!(!record.to_string().contains(&stack.api_key), "the key itself is recorded");
        assert_eq!(record["prevHash"], previous_hash.as_str());
        let mut hashed = record.clone();
        let hash = hashed.as_object_mut().unwrap().remove("hash").expect("hash");
        assert_eq!(hash, sha256(&canonical(&hashed)).as_str(), "hash of {kind}");
        previous_hash = hash.as_str().unwrap().to_owned();
    }
    assert_eq!(records[0].get("before"), None);
    assert_eq!(records[1]["before"], records[0]["after"]);
    assert_eq!(records[2]["before"], records[1]["after"]);
    assert_eq!(records[2]["requested"], json!({"patch": patch}));
    assert_eq!(records[3]["before"], records[2]["after"]);
    assert_eq!(records[3]["after"]["status"], "DELETED");
    assert_eq!(messages(&config, &stack.facts.audit_dlq_url).await, 0, "audit records are in the dead-letter queue");
}

#[tokio::test]
async fn one_of_six_conditional_puts_at_once_is_applied() {
    let api = Api::of(&stack());
    let created = api.create(&product("Contested", "1.00", "EUR")).await.expect(202);
    api.version(&id(&created), 1).await;
    let path = format!("/products/{}", id(&created));
    let wanted: Vec<Value> = (1..=6).map(|number| product(&format!("Contested {number}"), "2.00", "EUR")).collect();
    let responses =
        join_all(wanted.iter().map(|body| api.send(Method::PUT, &path, &[("if-match", "\"1\"")], Some(body)))).await;
    let mut ends = Vec::new();
    for response in responses {
        // One that comes after the first was applied is refused at once.
        if response.status == StatusCode::PRECONDITION_FAILED {
            ends.push("412".to_owned());
            continue;
        }
        let change = api.follow(&response.expect(202).change(&path)).await;
        ends.push(format!("{} {}", change["status"], change["reason"]));
        if change["status"] != "APPLIED" {
            assert!(change["requested"]["product"]["name"].is_string(), "{change}");
        }
    }
    assert_eq!(ends.len(), 6);
    assert_eq!(ends.iter().filter(|end| end.starts_with("\"APPLIED\"")).count(), 1, "{ends:?}");
    assert_eq!(api.get(&path).await.expect(200).body["version"], 2);
    println!("six conditional PUTs: {ends:?}");
}

#[tokio::test]
async fn one_of_twelve_creates_at_once_gets_the_sku() {
    let api = Api::of(&stack());
    let sku = format!("SKU-{}", new_id());
    let wanted: Vec<Value> = (1..=12)
        .map(|number| json!({"name": format!("Twin {number}"), "price": "1.00", "currency": "EUR", "sku": sku}))
        .collect();
    let (mut applied, mut ends) = (Vec::new(), Vec::new());
    for response in join_all(wanted.iter().map(|body| api.create(body))).await {
        // One that comes after the first was applied is refused at once.
        if response.status == StatusCode::CONFLICT {
            response.expect_error(409, "SKU_TAKEN");
            ends.push("409".to_owned());
            continue;
        }
        let change = api.follow(&response.expect(202).change("/products")).await;
        ends.push(format!("{} {}", change["status"], change["reason"]));
        match change["status"].as_str() {
            Some("APPLIED") => applied.push(change["productId"].as_str().expect("productId").to_owned()),
            _ => assert_eq!(change["reason"], "SKU_TAKEN", "{change}"),
        }
    }
    println!("twelve POSTs with one SKU: {ends:?}");
    let [holder] = applied.as_slice() else { panic!("{applied:?} of {ends:?}") };
    let query = format!("sku={sku}");
    let found = || api.list(&query);
    assert_eq!(found().await.0.iter().map(|item| &item["productId"]).collect::<Vec<_>>(), [holder]);
    api.create(&wanted[0]).await.expect_error(409, "SKU_TAKEN");

    // A deleted product no longer holds its SKU.
    let deleted = api.change(Method::DELETE, &format!("/products/{holder}"), &[], None).await;
    assert_eq!(deleted["status"], "APPLIED");
    assert!(found().await.0.is_empty());
    let next = api.change(Method::POST, "/products", &[], Some(&wanted[0])).await;
    assert_eq!(next["status"], "APPLIED", "{next}");
}

#[tokio::test]
async fn consecutive_patches_keep_each_others_fields() {
    let api = Api::of(&stack());
    let created = api.create(&product("Patched", "1.00", "EUR")).await.expect(202);
    api.version(&id(&created), 1).await;
    let path = format!("/products/{}", id(&created));
    let mut wanted = vec![json!({"category": "Kitchen"}), json!({"attributes": {"colour": "blue"}})];
    // A queue doesn't keep the order. A patch that was overtaken is superseded, and its client sends it again.
    while !wanted.is_empty() {
        let mut sent = Vec::new();
        for patch in &wanted {
            sent.push(api.send(Method::PATCH, &path, &[], Some(patch)).await.expect(202).change(&path));
        }
        let mut ends = Vec::new();
        for change in &sent {
            ends.push(api.follow(change).await);
        }
        assert!(ends.iter().all(|end| end["status"] == "APPLIED" || end["status"] == "SUPERSEDED"), "{ends:?}");
        let mut ends = ends.iter();
        wanted.retain(|_| ends.next().is_some_and(|end| end["status"] == "SUPERSEDED"));
    }
    let read = api.get(&path).await.expect(200).body;
    assert_eq!((&read["category"], &read["attributes"]), (&json!("Kitchen"), &json!({"colour": "blue"})));

    // Refused at once: invalid in any product, or read-only.
    let refused = api.send(Method::PATCH, &path, &[], Some(&json!({"currency": "JPY", "price": "1.5"}))).await;
    refused.expect_error(400, "VALIDATION_FAILED");
    api.send(Method::PATCH, &path, &[], Some(&json!({"version": 9}))).await.expect_error(400, "VALIDATION_FAILED");
}

#[tokio::test]
async fn finds_products_by_category_name_prefix_sku_and_ids() {
    let api = Api::of(&stack());
    let run = new_id();
    let (category, sku) = (format!("Straße {run}"), format!("S-{run}"));
    let mut ids = Vec::new();
    for (name, price) in [("Ärmel a", "3.00"), ("Ärmel b", "2.00"), ("Zebra", "1.00")] {
        let mut body =
            json!({"name": format!("{run} {name}"), "price": price, "currency": "EUR", "category": category});
        if name == "Zebra" {
            body["sku"] = json!(sku);
        }
        let change = api.change(Method::POST, "/products", &[], Some(&body)).await;
        assert_eq!(change["status"], "APPLIED", "{change}");
        ids.push(change["productId"].as_str().expect("productId").to_owned());
    }
    let [a, b, zebra] = ids.as_slice() else { panic!("{ids:?}") };
    let selections = [
        (format!("category=STRASSE%20{run}"), vec![zebra, b, a]),
        (format!("category=STRASSE%20{run}&currency=EUR&minPrice=2&sort=-price"), vec![a, b]),
        // The name in another normalization form: A and a combining diaeresis.
        (format!("namePrefix={run}%20A%CC%88RMEL"), vec![a, b]),
        (format!("name={run}%20zebra"), vec![zebra]),
        (format!("sku={sku}"), vec![zebra]),
    ];
    for (query, expected) in selections {
        let found = eventually(&format!("?{query} lists {}", expected.len()), APPLY_TIMEOUT, || async {
            let (items, _) = api.list(&format!("{query}&limit=100")).await;
            (items.len() >= expected.len()).then_some(items)
        })
        .await;
        assert_eq!(found.iter().map(|item| &item["productId"]).collect::<Vec<_>>(), expected, "{query}");
        assert_eq!(api.list(&format!("{query}&limit=1")).await.0, found, "{query} page by page");
    }
    let unknown = new_id();
    let page = api.get(&format!("/products?ids={zebra},{unknown},{a}")).await.expect(200).body;
    let found: Vec<&Value> = page["items"].as_array().expect("items").iter().map(|item| &item["productId"]).collect();
    assert_eq!((found, &page["missing"]), (vec![&json!(zebra), &json!(a)], &json!([unknown])));
}

#[tokio::test]
async fn feed_returns_each_changed_product_once_caught_up() {
    let api = Api::of(&stack());
    let kept = api.change(Method::POST, "/products", &[], Some(&product("In the feed", "1.00", "EUR"))).await;
    let gone = api.change(Method::POST, "/products", &[], Some(&product("Out of the feed", "1.00", "EUR"))).await;
    let path = format!("/products/{}", gone["productId"].as_str().expect("productId"));
    assert_eq!(api.change(Method::DELETE, &path, &[], None).await["status"], "APPLIED");

    let (mut seen, mut after) = (std::collections::HashMap::new(), String::new());
    let started = Instant::now();
    loop {
        let page = api.get(&format!("/products/changes?limit=100{after}")).await.expect(200).body;
        for item in page["items"].as_array().expect("items") {
            seen.insert(item["productId"].as_str().expect("productId").to_owned(), item.clone());
        }
        after = format!("&after={}", page["nextCursor"].as_str().expect("a cursor that is never null"));
        let both = [&kept, &gone].map(|change| seen.get(change["productId"].as_str().expect("productId")));
        if let [Some(kept), Some(gone)] = both
            && gone["status"] == "DELETED"
        {
            assert_eq!((&kept["status"], &kept["product"]["name"]), (&json!("ACTIVE"), &json!("In the feed")));
            assert_eq!((&gone["version"], gone.get("product")), (&json!(2), None));
            break;
        }
        assert!(started.elapsed() < FEED_TIMEOUT, "the feed doesn't have both products: {both:?}");
        if page["caughtUp"] == true {
            tokio::time::sleep(POLL_INTERVAL * 10).await;
        }
    }
}

#[tokio::test]
async fn idempotency_key_names_one_product() {
    let api = Api::of(&stack());
    let key = new_id();
    let headers = [("idempotency-key", key.as_str())];
    let wanted = product("Once", "3.00", "CHF");
    let first = api.send(Method::POST, "/products", &headers, Some(&wanted)).await.expect(202);
    let at_once = api.send(Method::POST, "/products", &headers, Some(&wanted)).await.expect(202);
    assert_eq!(id(&first), id(&at_once));
    api.version(&id(&first), 1).await;
    let later = api.send(Method::POST, "/products", &headers, Some(&wanted)).await.expect(202);
    assert_eq!(id(&first), id(&later));
    api.send(Method::POST, "/products", &headers, Some(&product("Twice", "3.00", "CHF")))
        .await
        .expect_error(422, "IDEMPOTENCY_KEY_REUSED");
    assert_eq!(api.get(&format!("/products/{}", id(&first))).await.expect(200).body["version"], 1);
}

#[tokio::test]
async fn hundred_identical_creates_at_once_make_one_product() {
    let stack = stack();
    let (api, config) = (Api::of(&stack), aws::local(&stack.facts.endpoint_url).await);
    let (key, name) = (new_id(), format!("One of a hundred {}", new_id()));
    let headers = [("idempotency-key", key.as_str())];
    let wanted = product(&name, "8.00", "NOK");
    // Two cores start dozens of functions for this. One that can't reach the table in time returns 503, and its client
    // retries with the same key.
    let accepted = || {
        eventually("the request is accepted", DEAD_LETTER_TIMEOUT, || async {
            let response = api.send(Method::POST, "/products", &headers, Some(&wanted)).await;
            if response.status == StatusCode::SERVICE_UNAVAILABLE {
                assert_eq!(response.header("retry-after"), "1");
                return None;
            }
            Some(id(&response.expect(202)))
        })
    };
    let mut ids: Vec<String> = join_all((0..100).map(|_| accepted())).await;
    assert_eq!(ids.len(), 100);
    ids.dedup();
    let [one] = ids.as_slice() else { panic!("{} products: {ids:?}", ids.len()) };

    let before = api.version(one, 1).await.body;
    let other = product(&name, "9.00", "NOK");
    api.send(Method::POST, "/products", &headers, Some(&other)).await.expect_error(422, "IDEMPOTENCY_KEY_REUSED");
    // The product is read again after all messages were processed. The poison message of another test may be there too.
    eventually("the queue is empty", DEAD_LETTER_TIMEOUT, || async {
        (messages(&config, &stack.facts.change_queue_url).await == 0).then_some(())
    })
    .await;
    let (items, _) = api.list(&format!("name={}", name.replace(' ', "%20"))).await;
    assert_eq!(items, std::slice::from_ref(&before), "the list by name");
    assert_eq!(before["version"], 1);
    assert_eq!(api.get(&format!("/products/{one}")).await.expect(200).body, before);
}

#[tokio::test]
async fn pages_concatenate_to_the_whole_list_in_order() {
    // No other test uses this currency, so the whole list is known. The products stay: the restart that follows must find
    // them again.
    let api = Api::of(&stack());
    let prices = ["5.000", "1.250", "3.000", "1.250", "2.000"];
    let mut expected = Vec::new();
    for price in prices {
        expected.push(id(&api.create(&product("Paged", price, "KWD")).await.expect(202)));
    }
    for id in &expected {
        api.version(id, 1).await;
    }
    let whole = eventually("all are listed", APPLY_TIMEOUT, || async {
        let (items, _) = api.list("currency=KWD&limit=100").await;
        expected.iter().all(|id| items.iter().any(|item| item["productId"] == id.as_str())).then_some(items)
    })
    .await;
    let listed: Vec<f64> = whole.iter().map(|item| item["price"].as_str().unwrap().parse().unwrap()).collect();
    assert!(listed.is_sorted(), "{listed:?}");

    let (paged, pages) = api.list("currency=KWD&limit=2").await;
    assert_eq!(paged, whole);
    assert!(pages >= whole.len().div_ceil(2), "{pages} pages");
    let (mut reversed, _) = api.list("currency=KWD&limit=2&sort=-price").await;
    reversed.reverse();
    assert_eq!(reversed, whole);
    let (cheap, _) = api.list("currency=KWD&maxPrice=2").await;
    assert!(cheap.len() >= 3 && cheap.iter().all(|item| item["price"].as_str().unwrap() <= "2.000"), "{cheap:?}");
    let (named, _) = api.list("name=%20pAGED&limit=3").await;
    assert!(named.len() >= 5);
}

#[tokio::test]
async fn moves_poison_message_to_dead_letter_queue_and_applies_the_others() {
    let stack = stack();
    let (api, config) = (Api::of(&stack), aws::local(&stack.facts.endpoint_url).await);
    let sqs = aws_sdk_sqs::Client::new(&config);
    let queue = &stack.facts.change_queue_url;
    let visibility = |seconds: &'static str| {
        sqs.set_queue_attributes().queue_url(queue).attributes(QueueAttributeName::VisibilityTimeout, seconds).send()
    };
    let configured = sqs
        .get_queue_attributes()
        .queue_url(queue)
        .attribute_names(QueueAttributeName::VisibilityTimeout)
        .send()
        .await
        .expect("the queue responds");
    let configured: &'static str =
        configured.attributes().unwrap()[&QueueAttributeName::VisibilityTimeout].clone().leak();
    // The deployed queue makes five attempts a minute apart; a test has less time.
    visibility("1").await.expect("the timeout is changed");

    let poison = format!("not JSON {}", new_id());
    let good: Vec<(String, String)> = (0..4).map(|number| create_event(&format!("Neighbour {number}"))).collect();
    let bodies = [&good[0].1, &good[1].1, &poison, &good[2].1, &good[3].1];
    let entries = bodies.iter().enumerate().map(|(number, body)| {
        SendMessageBatchRequestEntry::builder().id(number.to_string()).message_body(body.as_str()).build().unwrap()
    });
    let sent =
        sqs.send_message_batch().queue_url(queue).set_entries(Some(entries.collect())).send().await.expect("sent");
    assert!(sent.failed().is_empty());

    for (id, _) in &good {
        api.version(id, 1).await;
    }
    let dead = eventually("the poison message is in the dead-letter queue", DEAD_LETTER_TIMEOUT, || async {
        let received = sqs
            .receive_message()
            .queue_url(&stack.facts.change_dlq_url)
            .max_number_of_messages(10)
            .send()
            .await
            .ok()?;
        received.messages().iter().find(|message| message.body() == Some(poison.as_str())).cloned()
    })
    .await;
    sqs.delete_message()
        .queue_url(&stack.facts.change_dlq_url)
        .receipt_handle(dead.receipt_handle().unwrap())
        .send()
        .await
        .expect("the message is deleted");
    visibility(configured).await.expect("the timeout is restored");
    for (id, _) in &good {
        assert_eq!(api.get(&format!("/products/{id}")).await.expect(200).body["version"], 1, "applied twice");
    }
}

/// A change event as create-product sends it, and its product's ID.
fn create_event(name: &str) -> (String, String) {
    let id = new_id();
    let product = json!({"name": name, "price": "7.00", "currency": "SEK"});
    let event = json!({
        "schemaVersion": 1,
        "eventId": new_id(),
        "type": "CREATE",
        "productId": id,
        "occurredAt": "2026-01-31T12:00:00.000Z",
        "actor": {},
        "requestId": new_id(),
        "fingerprint": sha256(&canonical(&json!({"product": product}))),
        "product": product,
    });
    (id, event.to_string())
}

#[test]
fn converts_days_to_dates() {
    for (days, date) in [(0, (1970, 1, 1)), (59, (1970, 3, 1)), (11_016, (2000, 2, 29)), (20_483, (2026, 1, 30))] {
        assert_eq!(civil(days), date);
    }
}
