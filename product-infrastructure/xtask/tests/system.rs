//! The whole system, through its front door: HTTP in, products and audit records out, on a running stack.
//!
//! `cargo xtask test` starts a stack and runs these; `CATALOGUE_STATUS` holds what `cargo xtask status --json` says.
//! By hand, against a stack of one's own:
//!
//! ```sh
//! CATALOGUE_STATUS="$(cargo xtask status --json)" \
//!     cargo test --manifest-path product-infrastructure/xtask/Cargo.toml --test system
//! ```

mod support;

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

/// Within this time a change that was accepted must be readable.
const APPLIED: Duration = Duration::from_secs(5);
/// Within this time it must be in the audit bucket: through the stream, the pipe, a topic and a queue.
const AUDITED: Duration = Duration::from_secs(30);
/// Within this time a message that cannot be read must be in the dead-letter queue.
const DEAD: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);

/// A product of the first of all entries in a hash chain.
const NO_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

fn stack() -> Running {
    let status = std::env::var("CATALOGUE_STATUS")
        .expect("CATALOGUE_STATUS must hold the output of `cargo xtask status --json`; `cargo xtask test` sets it");
    serde_json::from_str(&status).expect("CATALOGUE_STATUS is not a running stack")
}

struct Response {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Response {
    async fn of(request: reqwest::RequestBuilder) -> Self {
        let response = request.send().await.expect("the API answers");
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.expect("the answer is complete");
        let body =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::String(text)) };
        Self { status, headers, body }
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).unwrap_or_else(|| panic!("no header {name}: {}", self.body)).to_str().unwrap()
    }

    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        self
    }

    /// Checks the envelope that every error comes in.
    fn expect_error(self, status: u16, code: &str) -> Self {
        let response = self.expect(status);
        let error = &response.body["error"];
        assert_eq!(error["code"], code, "{}", response.body);
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{}", response.body);
        assert_eq!(error["requestId"], response.header("x-amzn-requestid"), "{}", response.body);
        assert_eq!(response.header("cache-control"), "no-store", "{}", response.body);
        assert_eq!(response.header("content-type"), "application/json");
        response
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
        let mut request = self.http.request(method, format!("{}{path}", self.url));
        if let Some(key) = &self.key {
            request = request.header("x-api-key", key);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        Response::of(request).await
    }

    async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, &[], None).await
    }

    async fn create(&self, product: &Value) -> Response {
        self.send(Method::POST, "/products", &[], Some(product)).await
    }

    /// Waits until the product has reached that version.
    async fn version(&self, id: &str, version: u64) -> Response {
        let path = format!("/products/{id}");
        eventually(&format!("{path} reaches version {version}"), APPLIED, || async {
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

/// Asks again and again until there is an answer.
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
        assert!(started.elapsed() < within, "within {within:?} it did not happen that {what}");
        tokio::time::sleep(POLL).await;
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

/// A version 7 UUID. Not from the crate `uuid`: with the features for it, half of the AWS SDK would be compiled twice.
fn new_id() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set");
    let random = sha256(&format!("{now:?} {} {}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)));
    let time = format!("{:012x}", now.as_millis());
    format!("{}-{}-7{}-8{}-{}", &time[..8], &time[8..], &random[..3], &random[3..6], &random[6..18])
}

/// Where the record of an event lies: under the day on which the event was made.
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

/// The audit record of an event, once it is there.
async fn audit_record(stack: &Running, config: &SdkConfig, event_id: &str) -> Value {
    let client = aws_sdk_s3::Client::new(config);
    let key = audit_key(event_id);
    let bytes = eventually(&format!("{key} is written"), AUDITED, || async {
        let object = client.get_object().bucket(&stack.facts.audit_bucket).key(&key).send().await.ok()?;
        Some(object.body.collect().await.expect("the record is complete").into_bytes())
    })
    .await;
    serde_json::from_slice(&bytes).expect("the record is JSON")
}

async fn messages(config: &SdkConfig, queue_url: &str) -> u64 {
    let answer = aws_sdk_sqs::Client::new(config)
        .get_queue_attributes()
        .queue_url(queue_url)
        .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
        .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
        .send()
        .await
        .expect("the queue answers");
    answer.attributes().expect("attributes").values().map(|count| count.parse::<u64>().expect("a number")).sum()
}

#[tokio::test]
async fn a_request_without_a_known_key_is_refused() {
    let stack = stack();
    let anonymous = Api::of(&stack).with_key(None);
    anonymous.get("/products").await.expect_error(403, "FORBIDDEN");
    anonymous.create(&product("Refused", "1.00", "EUR")).await.expect_error(403, "FORBIDDEN");
    let stranger = Api::of(&stack).with_key(Some("0123456789abcdefghijklmnopqrstuvwxyz"));
    stranger.get("/products").await.expect_error(403, "FORBIDDEN");
}

#[tokio::test]
async fn a_key_beyond_its_limits_is_told_how_long_to_wait() {
    let stack = stack();
    let gateway = aws_sdk_apigateway::Client::new(&aws::local(&stack.facts.endpoint_url).await);
    let throttled = ThrottleSettings::builder().rate_limit(0.1).burst_limit(1).build();
    let one_a_day = QuotaSettings::builder().limit(1).period(QuotaPeriodType::Day).build();
    for (throttle, quota, wait) in [(Some(throttled), None, "1"), (None, Some(one_a_day), "3600")] {
        // A plan and a key beside those that Terraform made, and gone before it plans again.
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
            .expect("used");

        let api = Api::of(&stack).with_key(key.value());
        api.get("/products?limit=1").await.expect(200);
        let refused = api.get("/products?limit=1").await;
        let refused_too = api.create(&product("Too many", "1.00", "EUR")).await;

        gateway.delete_usage_plan_key().usage_plan_id(plan).key_id(key_id).send().await.expect("no longer used");
        gateway.delete_api_key().api_key(key_id).send().await.expect("the key is gone");
        gateway.delete_usage_plan().usage_plan_id(plan).send().await.expect("the plan is gone");
        for response in [refused, refused_too] {
            assert_eq!(response.expect_error(429, "TOO_MANY_REQUESTS").header("retry-after"), wait);
        }
        api.get("/products?limit=1").await.expect_error(403, "FORBIDDEN");
    }
}

#[tokio::test]
async fn an_unknown_route_is_not_found() {
    let api = Api::of(&stack());
    let id = new_id();
    for path in ["/", "/prodcuts", &format!("/products/{id}/prices"), "/health/functions"] {
        api.get(path).await.expect_error(404, "NOT_FOUND");
    }
    api.send(Method::PATCH, "/prodcuts", &[], Some(&json!({}))).await.expect_error(404, "NOT_FOUND");
    // What a function does not find is answered no differently.
    api.get(&format!("/products/{id}")).await.expect_error(404, "NOT_FOUND");
}

#[tokio::test]
async fn another_method_is_not_allowed_and_those_that_are_are_named() {
    let stack = stack();
    let api = Api::of(&stack);
    let anonymous = Api::of(&stack).with_key(None);
    let product_path = format!("/products/{}", new_id());
    for (path, allowed) in [("/products", "GET, POST"), (&product_path, "GET, PUT, DELETE"), ("/health", "GET")] {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS] {
            if allowed.split(", ").any(|name| name == method.as_str()) {
                continue;
            }
            for body in [None, Some(&json!({"name": "Never read"}))] {
                let response = api.send(method.clone(), path, &[], body).await.expect_error(405, "METHOD_NOT_ALLOWED");
                assert_eq!(response.header("allow"), allowed, "{method} {path}");
            }
            if path != "/health" {
                anonymous.send(method, path, &[], None).await.expect_error(403, "FORBIDDEN");
            }
        }
        // What the gateway itself cannot read it refuses by itself, too.
        let text = api.http.patch(format!("{}{path}", api.url)).header("x-api-key", &stack.api_key);
        let text = text.header("content-type", "text/plain").body("name=Never read");
        Response::of(text).await.expect_error(415, "UNSUPPORTED_MEDIA_TYPE");
        let head = api.send(Method::HEAD, path, &[], None).await.expect(405);
        assert_eq!((head.header("allow"), &head.body), (allowed, &Value::Null), "HEAD {path}");
    }
}

#[tokio::test]
async fn health_needs_no_key() {
    Api::of(&stack()).with_key(None).get("/health").await.expect(200);
}

#[tokio::test]
async fn a_wrong_product_is_answered_with_all_its_mistakes() {
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

#[tokio::test]
async fn a_products_life_is_served_and_audited() {
    let stack = stack();
    let (api, config) = (Api::of(&stack), aws::local(&stack.facts.endpoint_url).await);
    let listed = |items: &[Value], id: &str| items.iter().any(|item| item["productId"] == id);

    let created = api.create(&product("A lamp", "19.99", "EUR")).await.expect(202);
    let id = id(&created);
    assert_eq!(created.body["status"], "ACCEPTED");
    assert_eq!(created.header("retry-after"), "1");
    assert!(created.header("location").ends_with(&format!("/v1.0/products/{id}")), "{}", created.header("location"));
    let shown = api.version(&id, 1).await;
    assert_eq!(shown.header("etag"), "\"1\"");
    assert_eq!((&shown.body["price"], &shown.body["status"]), (&json!("19.99"), &json!("ACTIVE")));
    eventually("the product is listed", APPLIED, || async {
        listed(&api.list("currency=EUR&limit=100").await.0, &id).then_some(())
    })
    .await;

    let path = format!("/products/{id}");
    api.send(Method::PUT, &path, &[("if-match", "\"7\"")], Some(&product("No", "1", "EUR")))
        .await
        .expect_error(412, "PRECONDITION_FAILED");
    let change = product("A better lamp", "24.5", "EUR");
    let updated = api.send(Method::PUT, &path, &[("if-match", "\"1\"")], Some(&change)).await.expect(202);
    let shown = api.version(&id, 2).await;
    assert_eq!((&shown.body["name"], &shown.body["price"]), (&json!("A better lamp"), &json!("24.50")));

    let deleted = api.send(Method::DELETE, &path, &[], None).await.expect(204);
    eventually("the product is gone", APPLIED, || async {
        (api.get(&path).await.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
    api.get(&path).await.expect_error(404, "NOT_FOUND");
    assert!(!listed(&api.list("currency=EUR&limit=100").await.0, &id));

    let events = [
        created.body["eventId"].as_str().unwrap(),
        updated.body["eventId"].as_str().unwrap(),
        deleted.header("x-event-id"),
    ];
    let mut records = Vec::new();
    for event in events {
        records.push(audit_record(&stack, &config, event).await);
    }
    let mut previous_hash = NO_HASH.to_owned();
    for (number, (record, kind)) in records.iter().zip(["CREATE", "UPDATE", "DELETE"]).enumerate() {
        assert_eq!(
            (&record["type"], &record["outcome"], &record["productId"]),
            (&json!(kind), &json!("APPLIED"), &json!(id))
        );
        assert_eq!(record["version"], number + 1);
        assert!(record["actor"]["apiKeyId"].is_string(), "who changed it is not recorded: {record}");
        assert!(!record.to_string().contains(&stack.api_key), "the key itself is recorded");
        assert_eq!(record["prevHash"], previous_hash.as_str());
        let mut hashed = record.clone();
        let hash = hashed.as_object_mut().unwrap().remove("hash").expect("hash");
        assert_eq!(hash, sha256(&canonical(&hashed)).as_str(), "{kind} was altered");
        previous_hash = hash.as_str().unwrap().to_owned();
    }
    assert_eq!(records[0].get("before"), None);
    assert_eq!(records[1]["before"], records[0]["after"]);
    assert_eq!(records[2]["before"], records[1]["after"]);
    assert_eq!(records[2]["after"]["status"], "DELETED");
    assert_eq!(messages(&config, &stack.facts.audit_dlq_url).await, 0, "audit records were given up");
}

#[tokio::test]
async fn an_idempotency_key_names_one_product() {
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
async fn a_hundred_identical_creates_at_once_make_one_product() {
    let stack = stack();
    let (api, config) = (Api::of(&stack), aws::local(&stack.facts.endpoint_url).await);
    let (key, name) = (new_id(), format!("One of a hundred {}", new_id()));
    let headers = [("idempotency-key", key.as_str())];
    let wanted = product(&name, "8.00", "NOK");
    // Two cores start some dozens of functions for this. One that did not reach the table in time says so, and its client
    // tries again with the same key, which is what the key is for.
    let accepted = || {
        eventually("the creation is accepted", DEAD, || async {
            let answer = api.send(Method::POST, "/products", &headers, Some(&wanted)).await;
            if answer.status == StatusCode::SERVICE_UNAVAILABLE {
                assert_eq!(answer.header("retry-after"), "1");
                return None;
            }
            Some(id(&answer.expect(202)))
        })
    };
    let mut ids: Vec<String> = join_all((0..100).map(|_| accepted())).await;
    assert_eq!(ids.len(), 100);
    ids.dedup();
    let [one] = ids.as_slice() else { panic!("{} products: {ids:?}", ids.len()) };

    let before = api.version(one, 1).await.body;
    let other = product(&name, "9.00", "NOK");
    api.send(Method::POST, "/products", &headers, Some(&other)).await.expect_error(422, "IDEMPOTENCY_KEY_REUSED");
    // Whatever the hundred and one have left on the queue has been worked off before the product is looked at again. The
    // poison message of another test may lie there as well.
    eventually("the queue is empty", DEAD, || async {
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
    // A currency that no other test uses, so that the list is known whole. The products stay: the restart that follows
    // must find them again.
    let api = Api::of(&stack());
    let prices = ["5.000", "1.250", "3.000", "1.250", "2.000"];
    let mut expected = Vec::new();
    for price in prices {
        expected.push(id(&api.create(&product("Paged", price, "KWD")).await.expect(202)));
    }
    for id in &expected {
        api.version(id, 1).await;
    }
    let whole = eventually("all are listed", APPLIED, || async {
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
async fn a_poison_message_ends_in_the_dead_letter_queue_and_its_neighbours_are_applied() {
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
        .expect("the queue answers");
    let configured: &'static str =
        configured.attributes().unwrap()[&QueueAttributeName::VisibilityTimeout].clone().leak();
    // Five receives, a minute apart, are what is deployed; a test has less time.
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
    let dead = eventually("the poison message is in the dead-letter queue", DEAD, || async {
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
        .expect("the message is taken out again");
    visibility(configured).await.expect("the timeout is restored");
    for (id, _) in &good {
        assert_eq!(api.get(&format!("/products/{id}")).await.expect(200).body["version"], 1, "applied twice");
    }
}

/// A change event as create-product sends it, and its product's id.
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
fn days_become_dates() {
    for (days, date) in [(0, (1970, 1, 1)), (59, (1970, 3, 1)), (11_016, (2000, 2, 29)), (20_483, (2026, 1, 30))] {
        assert_eq!(civil(days), date);
    }
}
