//! The commands for on-call and compliance, on a running stack: what the real functions write is verified, made again and
//! sent again.
//!
//! `cargo xtask test` starts a stack and runs these after `system`; `CATALOGUE_STATUS` holds what
//! `cargo xtask status --json` says. By hand, against a stack of one's own:
//!
//! ```sh
//! CATALOGUE_STATUS="$(cargo xtask status --json)" \
//!     cargo test --manifest-path product-infrastructure/catalogctl/Cargo.toml --test operations
//! ```

mod support;

use std::future::Future;
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use audit_log::ids::EventId;
use aws_sdk_dynamodb::config::Credentials;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::ObjectLockRetention;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use catalogctl::aws;
use catalogctl::local_stack::StackFile;
use serde_json::{Value, json};
use support::lives::{event_id, sha256, timestamp};
use support::products_table::{self, items};
use support::system::{Ended, run_against};
use tokio::sync::{Mutex, MutexGuard};

/// Within this time a change that was accepted must be in the bucket.
const AUDITED: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(100);

/// One test at a time: each looks at the whole bucket, and some damage it for a while.
static ALONE: LazyLock<Mutex<()>> = LazyLock::new(Mutex::default);

/// What `cargo xtask status --json` says of a running stack, as far as these tests need it.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Running {
    api_key: String,
    change_dlq_url: String,
    #[serde(flatten)]
    facts: StackFile,
}

struct Stack {
    running: Running,
    s3: aws_sdk_s3::Client,
    sqs: aws_sdk_sqs::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    http: reqwest::Client,
    _alone: MutexGuard<'static, ()>,
}

impl Stack {
    async fn new() -> Self {
        let status =
            std::env::var("CATALOGUE_STATUS").expect("CATALOGUE_STATUS must hold a `cargo xtask status --json`");
        let running: Running = serde_json::from_str(&status).expect("CATALOGUE_STATUS is not a running stack");
        let config = aws::local(&running.facts).await;
        let stack = Self {
            s3: aws_sdk_s3::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            http: reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap(),
            running,
            _alone: ALONE.lock().await,
        };
        stack.quiet().await;
        stack
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        run_against(&self.running.facts.endpoint_url, arguments).await
    }

    /// Waits until the bucket has all that the table has.
    async fn quiet(&self) {
        let started = Instant::now();
        loop {
            let report = self.run(&["audit", "verify", "--settle", "0", "--json"]).await;
            // A fresh stack has no records yet, and so nothing that could be intact.
            if report.code == 0 || report.code == 2 && report.json()["objects"] == 0 {
                return;
            }
            let (stdout, stderr) = (&report.stdout, &report.stderr);
            assert!(started.elapsed() < AUDITED, "the bucket has not caught up with the table:\n{stdout}\n{stderr}");
            tokio::time::sleep(POLL).await;
        }
    }

    async fn call(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> (u16, Value, String) {
        let url = format!("{}{path}", self.running.facts.api_url);
        let mut request = self.http.request(method.clone(), url).header("x-api-key", &self.running.api_key);
        if let Some(body) = body {
            let content_type = if method == reqwest::Method::PATCH { "merge-patch+json" } else { "json" };
            request = request.header("content-type", format!("application/{content_type}")).body(body.to_string());
        }
        let response = request.send().await.expect("the API answers");
        let status = response.status().as_u16();
        let event = response.headers().get("x-event-id").map(|id| id.to_str().unwrap().to_owned()).unwrap_or_default();
        let text = response.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or_default(), event)
    }

    async fn version(&self, id: &str, version: u64) -> Value {
        eventually(&format!("product {id} reaches version {version}"), || async {
            let (_, product, _) = self.call(reqwest::Method::GET, &format!("/products/{id}"), None).await;
            (product["version"] == version).then_some(product)
        })
        .await
    }

    /// A product that was created and changed; its id and its events.
    async fn product(&self, name: &str) -> (String, Vec<String>) {
        let (status, created, _) = self.call(reqwest::Method::POST, "/products", Some(&content(name, "9.99"))).await;
        assert_eq!(status, 202, "{created}");
        let id = created["productId"].as_str().unwrap().to_owned();
        self.version(&id, 1).await;
        let path = format!("/products/{id}");
        let (status, updated, _) = self.call(reqwest::Method::PUT, &path, Some(&content(name, "8.88"))).await;
        assert_eq!(status, 202, "{updated}");
        self.version(&id, 2).await;
        self.quiet().await;
        let events = [&created, &updated].map(|accepted| accepted["eventId"].as_str().unwrap().to_owned());
        (id, events.to_vec())
    }

    /// Verifies, and expects this object to be the first that is bad.
    async fn expect_first_bad(&self, key: &str, fault: &str) {
        let report = self.run(&["audit", "verify", "--settle", "0", "--json"]).await.expect(2).json();
        assert_eq!((&report["integrity"], &report["form"]), (&json!("BROKEN"), &json!("OK")), "{report:#}");
        let first = &report["findings"][0];
        assert_eq!((&first["object"], &first["fault"]), (&json!(key), &json!(fault)), "{report:#}");
    }

    async fn versions(&self, key: &str) -> Vec<String> {
        let listed = self.s3.list_object_versions().bucket(&self.running.facts.audit_bucket).prefix(key).send().await;
        let listed = listed.unwrap();
        let versions = listed.versions().iter().filter_map(|version| version.version_id());
        versions
            .chain(listed.delete_markers().iter().filter_map(|marker| marker.version_id()))
            .map(str::to_owned)
            .collect()
    }

    async fn remove_version(&self, key: &str, version: &str) {
        let bucket = &self.running.facts.audit_bucket;
        let removal = self.s3.delete_object().bucket(bucket).key(key).version_id(version);
        removal.bypass_governance_retention(true).send().await.expect("governance can be bypassed in dev");
    }

    /// Stops or starts the pipe between stream and topic. Signed by hand: its SDK would be compiled for these two calls.
    async fn pipe(&self, action: &str) {
        let facts = &self.running.facts;
        let url = format!("{}/v1/pipes/bbws-product-events-dev/{action}", facts.endpoint_url);
        let identity =
            Credentials::new(&facts.access_key_id, &facts.secret_access_key, None, None, "local stack").into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&facts.region)
            .name("pipes")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .unwrap();
        let call = SignableRequest::new("POST", &url, std::iter::empty(), SignableBody::Bytes(b"")).unwrap();
        let (instructions, _) = sign(call, &parameters.into()).unwrap().into_parts();
        let request =
            instructions.headers().fold(self.http.post(&url), |request, (name, value)| request.header(name, value));
        let answer = request.send().await.expect("the emulator answers");
        assert!(answer.status().is_success(), "{answer:?}");
    }

    async fn send(&self, queue_url: &str, body: &str) {
        self.sqs.send_message().queue_url(queue_url).message_body(body).send().await.unwrap();
    }

    async fn journal(&self, product: &str, event: &str) -> Option<Value> {
        let text = |text: String| aws_sdk_dynamodb::types::AttributeValue::S(text);
        let answer = self
            .dynamodb
            .get_item()
            .table_name(&self.running.facts.table_name)
            .key("PK", text(format!("PRODUCT#{product}")))
            .key("SK", text(format!("EVENT#{event}")))
            .consistent_read(true)
            .send()
            .await
            .unwrap();
        answer.item.map(|item| serde_dynamo::from_item(item).unwrap())
    }
}

async fn eventually<T, Ask, Answer>(what: &str, mut ask: Ask) -> T
where
    Ask: FnMut() -> Answer,
    Answer: Future<Output = Option<T>>,
{
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < AUDITED, "within {AUDITED:?} it did not happen that {what}");
        tokio::time::sleep(POLL).await;
    }
}

fn content(name: &str, price: &str) -> Value {
    json!({"name": name, "price": price, "currency": "EUR", "tags": ["a", "b"], "attributes": {"\u{1f525}": "x"}})
}

fn key(event: &str) -> String {
    EventId::parse(event).unwrap().object_key()
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// A change event as update-product sends it, made at a moment.
fn update(product: &str, moment: u64, name: &str) -> (String, Value) {
    let product_content = json!({"name": name, "price": "1.00", "currency": "EUR"});
    let event = event_id(moment, moment % 4_096);
    let body = json!({
        "schemaVersion": 1, "eventId": event, "type": "UPDATE", "productId": product, "occurredAt": timestamp(moment),
        "actor": {}, "requestId": "r-1", "product": product_content,
        "fingerprint": sha256(&serde_json_canonicalizer::to_vec(&json!({"product": product_content})).unwrap()),
    });
    (event, body)
}

#[tokio::test]
async fn verifies_shows_and_exports_what_the_functions_write() {
    let stack = Stack::new().await;
    let (id, mut events) = stack.product("Operated").await;
    let (status, _, deleted) = stack.call(reqwest::Method::DELETE, &format!("/products/{id}"), None).await;
    assert_eq!(status, 204);
    events.push(deleted);
    eventually("the deletion is journalled", || stack.journal(&id, &events[2])).await;
    stack.quiet().await;

    let report = stack.run(&["audit", "verify", "--settle", "0", "--json"]).await.expect(0).json();
    assert_eq!(
        (&report["integrity"], &report["form"], &report["pending"]),
        (&json!("INTACT"), &json!("OK"), &json!(0))
    );
    assert_eq!(report["locksUnknown"], 0);
    assert_eq!(report["defaultRetention"], json!({"mode": "GOVERNANCE", "days": 1}), "as in dev.tfvars");
    for arguments in [["audit", "history", &id, "--json"].as_slice(), &["audit", "history", &id, "--quick", "--json"]] {
        let history = stack.run(arguments).await.expect(0).json();
        let records = history["records"].as_array().unwrap();
        let shown: Vec<&str> = records.iter().map(|record| record["eventId"].as_str().unwrap()).collect();
        assert_eq!(shown, events, "{arguments:?}");
    }
    let exported = stack.run(&["audit", "export"]).await.expect(0).stdout;
    assert_eq!(exported.lines().count() as u64, report["objects"].as_u64().unwrap());
    assert!(events.iter().all(|event| exported.contains(event.as_str())));
}

#[tokio::test]
async fn tampering_with_the_bucket_is_found_and_a_lost_record_comes_back() {
    let stack = Stack::new().await;
    let (_, events) = stack.product("Tampered").await;
    let (first, newest) = (key(&events[0]), key(&events[1]));
    let bucket = &stack.running.facts.audit_bucket;

    // A delete marker hides it; taken away again, all is as before.
    stack.s3.delete_object().bucket(bucket).key(&first).send().await.unwrap();
    stack.expect_first_bad(&first, "DELETED").await;
    for version in &stack.versions(&first).await[1..] {
        stack.remove_version(&first, version).await;
    }
    stack.quiet().await;

    // Another version on top of it.
    let original = stack.versions(&newest).await;
    let put = stack.s3.put_object().bucket(bucket).key(&newest).body(b"{}".to_vec().into()).send().await;
    put.expect("the emulator lets the administrator overwrite");
    stack.expect_first_bad(&newest, "OVERWRITTEN").await;
    for version in stack.versions(&newest).await.iter().filter(|version| !original.contains(version)) {
        stack.remove_version(&newest, version).await;
    }
    stack.quiet().await;

    // A lock that ends earlier than required.
    let request = stack.s3.get_object_retention().bucket(bucket).key(&newest);
    let retention = request.send().await.unwrap().retention.expect("audit-logger's objects have the bucket's lock");
    let until = retention.retain_until_date().unwrap().secs();
    let shorter = DateTime::from_secs(until - 3_600);
    let shorter = ObjectLockRetention::builder().set_mode(retention.mode.clone()).retain_until_date(shorter).build();
    for (retention, fault) in [(shorter, Some("WEAK_LOCK")), (retention, None)] {
        let put = stack.s3.put_object_retention().bucket(bucket).key(&newest).retention(retention);
        put.bypass_governance_retention(true).send().await.expect("governance can be bypassed in dev");
        match fault {
            Some(fault) => stack.expect_first_bad(&newest, fault).await,
            None => stack.quiet().await,
        }
    }

    // Gone without a trace, the newest record included: the table knows.
    for gone in [&first, &newest] {
        for version in stack.versions(gone).await {
            stack.remove_version(gone, &version).await;
        }
    }
    stack.expect_first_bad(&first, "MISSING").await;

    // The journal has them: sent again through audit-logger's queue, and written by audit-logger itself.
    let dry = stack.run(&["audit", "repair", "--settle", "0", "--json"]).await.expect(2).json();
    assert_eq!(dry["missing"], json!([first, newest]));
    let repaired = stack.run(&["audit", "repair", "--settle", "0", "--apply", "--json"]).await.expect(0).json();
    assert_eq!((&repaired["sent"], &repaired["pending"]), (&json!(2), &json!([])));
    stack.run(&["audit", "verify", "--settle", "0"]).await.expect(0);
    stack.run(&["audit", "repair", "--settle", "0"]).await.expect(0);
}

#[tokio::test]
async fn repairs_records_of_a_stopped_pipe_without_duplicates() {
    let stack = Stack::new().await;
    stack.pipe("stop").await;
    let (status, created, _) = stack.call(reqwest::Method::POST, "/products", Some(&content("Piped", "1.00"))).await;
    assert_eq!(status, 202, "{created}");
    let id = created["productId"].as_str().unwrap();
    stack.version(id, 1).await;
    let (status, updated, _) =
        stack.call(reqwest::Method::PUT, &format!("/products/{id}"), Some(&content("Piped", "2.00"))).await;
    assert_eq!(status, 202, "{updated}");
    stack.version(id, 2).await;
    let keys = [&created, &updated].map(|accepted| key(accepted["eventId"].as_str().unwrap()));

    let dry = stack.run(&["audit", "repair", "--settle", "0", "--json"]).await.expect(2).json();
    assert_eq!(dry["missing"], json!(keys));
    stack.run(&["audit", "repair", "--settle", "0", "--apply"]).await.expect(0);
    stack.run(&["audit", "verify", "--settle", "0"]).await.expect(0);

    // The pipe goes on where it stopped, and brings them once more.
    stack.pipe("start").await;
    let (_, later) = stack.product("Behind the others").await;
    for key in keys.iter().chain(&later.iter().map(|event| key(event)).collect::<Vec<_>>()) {
        assert_eq!(stack.versions(key).await.len(), 1, "{key}");
    }
    stack.run(&["audit", "verify", "--settle", "0"]).await.expect(0);
}

#[tokio::test]
async fn rebuilds_the_table_as_product_creator_wrote_it() {
    let stack = Stack::new().await;
    let (id, _) = stack.product("Rebuilt").await;
    let patch =
        json!({"sku": format!("REBUILT-{}", now()), "category": "Lämps", "tags": null, "attributes": {"size": "L"}});
    let (status, patched, _) = stack.call(reqwest::Method::PATCH, &format!("/products/{id}"), Some(&patch)).await;
    assert_eq!(status, 202, "{patched}");
    stack.version(&id, 3).await;
    let (deleted, _) = stack.product("Rebuilt and deleted").await;
    let (status, _, event) = stack.call(reqwest::Method::DELETE, &format!("/products/{deleted}"), None).await;
    assert_eq!(status, 204);
    eventually("the deletion is journalled", || stack.journal(&deleted, &event)).await;
    stack.quiet().await;

    let table = format!("rebuilt-{}", now());
    products_table::create(&stack.dynamodb, &table).await;
    stack.run(&["audit", "rebuild", "--into", &table]).await.expect(0);
    let (made, live) =
        (items(&stack.dynamodb, &table).await, items(&stack.dynamodb, &stack.running.facts.table_name).await);
    stack.dynamodb.delete_table().table_name(&table).send().await.unwrap();
    assert!(made.iter().any(|item| item["PK"].as_s().unwrap().ends_with(&id)));
    let claim = format!("SKU#{}", patch["sku"].as_str().unwrap());
    assert!(made.iter().any(|item| item["PK"].as_s().unwrap() == &claim));
    assert_eq!(made.len(), live.len());
    for (made, live) in made.iter().zip(&live) {
        assert_eq!(made, live);
    }
    let refused = stack.run(&["audit", "rebuild", "--into", &stack.running.facts.table_name]).await.expect(1);
    assert!(refused.stderr.contains("is the live table"), "{}", refused.stderr);
}

#[tokio::test]
async fn late_redrive_keeps_newer_changes() {
    let stack = Stack::new().await;
    let (id, events) = stack.product("Redriven").await;
    let dead = &stack.running.change_dlq_url;
    let created = EventId::parse(&events[0]).unwrap().millis();

    // In the dead-letter queue for a long time: one that was overtaken, one that was applied after all, one that nobody can read, one to come.
    let (overtaken, overtaken_body) = update(&id, created + 1, "Overtaken");
    let (_, mut applied_body) = update(&id, created, "Redriven");
    applied_body["eventId"] = json!(events[1]);
    let (coming, coming_body) = update(&id, now(), "In time");
    for body in [&overtaken_body, &applied_body, &json!("not a change"), &coming_body] {
        stack.send(dead, &body.to_string()).await;
    }
    let applied = stack.journal(&id, &events[1]).await;
    let shown = stack.run(&["dlq", "peek", "change", "--json"]).await.expect(2).json();
    let mut kinds: Vec<&str> =
        shown["messages"].as_array().unwrap().iter().map(|message| message["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["ALREADY_PROCESSED", "KEPT_FAILING", "KEPT_FAILING", "UNREADABLE"]);

    stack.run(&["dlq", "redrive", "change"]).await.expect(2);
    assert_eq!(stack.version(&id, 2).await["name"], "Redriven", "a dry run changes nothing");
    let redriven = stack.run(&["dlq", "redrive", "change", "--apply", "--json"]).await.expect(2).json();
    assert_eq!((redriven["sent"].as_array().unwrap().len(), redriven["left"].as_array().unwrap().len()), (3, 1));

    assert_eq!(stack.version(&id, 3).await["name"], "In time");
    let entry = eventually("the overtaken change is journalled", || stack.journal(&id, &overtaken)).await;
    assert_eq!(entry["outcome"], "SUPERSEDED");
    assert_eq!(stack.journal(&id, &coming).await.unwrap()["outcome"], "APPLIED");
    assert_eq!(stack.journal(&id, &events[1]).await, applied, "what was done before is not done again");
    assert_eq!(stack.version(&id, 3).await["name"], "In time", "nothing late came after it");

    // Once more, whole: what has been done is recognised.
    for body in [&overtaken_body, &applied_body, &coming_body] {
        stack.send(dead, &body.to_string()).await;
    }
    let again = stack.run(&["dlq", "redrive", "change", "--apply", "--json"]).await.expect(2).json();
    let sent = again["sent"].as_array().unwrap();
    assert!(sent.len() == 3 && sent.iter().all(|message| message["kind"] == "ALREADY_PROCESSED"), "{again:#}");
    stack.quiet().await;
    assert_eq!(stack.version(&id, 3).await["name"], "In time");

    // What nobody can read stays until somebody has looked at it.
    eventually("the unreadable message is taken out", || take_out(&stack, dead, "not a change")).await;
}

/// Deletes the message of that JSON text from a queue.
async fn take_out(stack: &Stack, queue: &str, text: &str) -> Option<()> {
    let received = stack.sqs.receive_message().queue_url(queue).max_number_of_messages(10).send().await.unwrap();
    let found = received.messages().iter().find(|message| message.body() == Some(&json!(text).to_string()))?;
    stack.sqs.delete_message().queue_url(queue).receipt_handle(found.receipt_handle()?).send().await.ok().map(drop)
}

#[tokio::test]
async fn reports_the_state_of_the_stack() {
    let stack = Stack::new().await;
    let ended = stack.run(&["status", "--json"]).await;
    let report = ended.json();
    let attention = report["attention"].as_array().unwrap();
    assert_eq!(ended.code, if attention.is_empty() { 0 } else { 2 }, "{report:#}");
    assert!(report["alarms"]["total"].as_u64().unwrap() >= 30, "{report:#}");
    assert_eq!(report["queues"].as_array().unwrap().len(), 5, "{report:#}");
    assert_eq!(report["pipe"]["state"], "RUNNING", "{report:#}");
    for mapping in report["mappings"].as_array().unwrap() {
        assert_eq!(mapping["state"], "Enabled", "{report:#}");
    }
    for function in report["functions"].as_array().unwrap() {
        assert!(function["liveVersion"].is_string(), "{report:#}");
    }
    assert_eq!(report["keys"][0]["enabled"], true, "{report:#}");
}

#[tokio::test]
async fn shows_the_log_lines_of_a_change() {
    let stack = Stack::new().await;
    let (id, events) = stack.product("Logged").await;
    for (function, event) in
        [("create-product", &events[0]), ("update-product", &events[1]), ("product-creator", &events[1])]
    {
        let filter = format!("\"{event}\"");
        let lines = eventually(&format!("{function} logs {event}"), || async {
            let lines = stack.run(&["logs", function, "--since", "5m", "--filter", &filter]).await.expect(0).stdout;
            (!lines.is_empty()).then_some(lines)
        })
        .await;
        let line: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!((&line["productId"], &line["eventId"]), (&json!(id), &json!(event)), "{lines}");
    }
}

/// The stack observes what AWS observes: a fault there can be seen as on AWS.
#[tokio::test]
async fn evaluates_alarms_and_logs_requests() {
    let stack = Stack::new().await;
    let url = format!("{}/products", stack.running.facts.api_url);
    let refused = stack.http.get(url).header("x-api-key", "not a key").send().await.unwrap();
    assert_eq!(refused.status(), 403);
    let id = refused.headers()["x-request-id"].to_str().unwrap();
    let lines = stack.run(&["logs", "api", "--since", "5m", "--filter", &format!("\"{id}\"")]).await.expect(0).stdout;
    let line: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    for (name, expected) in [("status", "403"), ("errorType", "INVALID_API_KEY"), ("resourcePath", "/v1.0/products")] {
        assert_eq!(line[name], expected, "{line}");
    }
    // An alarm that nothing evaluates has no state.
    eventually("every alarm has been evaluated", || async {
        let alarms = &stack.run(&["status", "--json"]).await.json()["alarms"];
        let [total, waiting] = ["total", "insufficientData"].map(|name| alarms[name].as_u64().unwrap());
        // `audit-broken` ignores missing data: it has no state before the first daily verification.
        (total >= 30 && waiting <= 1).then_some(())
    })
    .await;
}

/// Of a created and changed product with a SKU, a rejected change, and one in the dead-letter queue.
#[tokio::test]
async fn traces_a_change_by_each_of_its_ids() {
    let stack = Stack::new().await;
    let sku = format!("TRACED-{}", now());
    let mut product = content("Traced", "1.00");
    product["sku"] = json!(sku);
    let (status, created, _) = stack.call(reqwest::Method::POST, "/products", Some(&product)).await;
    assert_eq!(status, 202, "{created}");
    let (id, event) = (created["productId"].as_str().unwrap(), created["eventId"].as_str().unwrap());
    stack.version(id, 1).await;
    stack.quiet().await;
    let (_, change, _) = stack.call(reqwest::Method::GET, &format!("/products/{id}/changes/{event}"), None).await;
    let request = change["requestId"].as_str().unwrap().to_owned();
    for (traced, kind) in [(event, "CHANGE"), (&request, "REQUEST"), (id, "PRODUCT"), (&sku, "SKU")] {
        let trace = eventually(&format!("the trace of {kind} is complete"), || async {
            let trace = stack.run(&["trace", traced, "--since", "15m", "--json"]).await.expect(0).json();
            let has = |source: &str| trace["steps"].as_array().unwrap().iter().any(|step| step["source"] == source);
            let sources = ["api", "create-product", "product-creator", "journal", "audit-logger", "audit bucket"];
            if sources.into_iter().all(has) {
                return Some(trace);
            }
            // The emulator may hand over a function's last lines with its next invocation only.
            stack.call(reqwest::Method::POST, "/products", Some(&content("Traced along", "1.00"))).await;
            None
        })
        .await;
        assert_eq!((&trace["kind"], &trace["missing"]), (&json!(kind), &json!([])), "{trace:#}");
        let traced = &trace["changes"][0];
        assert_eq!(
            (&traced["eventId"], &traced["requestId"], &traced["outcome"]),
            (&json!(event), &json!(request), &json!("APPLIED"))
        );
    }

    let dead = &stack.running.change_dlq_url;
    // One in the dead-letter queue, which is then rejected.
    let (rejected, mut body) = update(id, now(), "Too late");
    body["expectedVersion"] = json!(9);
    stack.send(dead, &body.to_string()).await;
    let trace = stack.run(&["trace", &rejected, "--json"]).await.expect(2).json();
    let missing = &trace["missing"][0];
    assert_eq!(missing["what"], "JOURNAL_ENTRY_AND_AUDIT_OBJECT", "{trace:#}");
    let next = missing["next"].as_str().unwrap();
    assert!(next.starts_with("catalogctl dlq redrive change --message "), "{next}");
    assert!(trace["steps"].as_array().unwrap().iter().any(|step| step["source"] == "bbws-product-change-dlq-dev"));

    // What it says to type, as it stands there.
    let words: Vec<&str> = next.split(' ').skip(1).take_while(|word| *word != "--env").chain(["--apply"]).collect();
    stack.run(&words).await.expect(0);
    eventually("the change is journalled", || stack.journal(id, &rejected)).await;
    stack.quiet().await;
    let text = stack.run(&["trace", &rejected]).await.expect(0).stdout;
    assert!(text.contains(&format!("UPDATE of product {id}: REJECTED PRECONDITION_FAILED")), "{text}");
    let none = stack.run(&["trace", "0b1c2d3e-4f50-4617-8829-3a4b5c6d7e8f"]).await.expect(1);
    assert!(none.stderr.contains("nothing found"), "{}", none.stderr);
}

#[tokio::test]
async fn imports_a_file_twice_and_leaves_the_products_unchanged() {
    let stack = Stack::new().await;
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = (folder.path().join("a.csv"), folder.path().join("key"));
    std::fs::write(&key, &stack.running.api_key).unwrap();
    let (file, key) = (file.to_str().unwrap(), key.to_str().unwrap());
    let sku = format!("IMPORT-{}", now());
    let import = async |content: String| {
        std::fs::write(file, content).unwrap();
        let arguments = ["products", "import", file, "--apply", "--json", "--key-file", key, "--api-url"];
        let ended = stack.run(&[&arguments[..], &[&stack.running.facts.api_url]].concat()).await.expect(0).json();
        ["created", "updated", "unchanged"].map(|name| ended[name].as_u64().unwrap())
    };
    let row = |number: u32| format!("{sku}-{number},Straße {number},{number}.5,EUR,a|b,{number}\n");
    let rows: String = (0..20).map(row).collect();
    let whole = format!("sku,name,price,currency,tags,attributes.size\n{rows}");
    assert_eq!(import(whole.clone()).await, [20, 0, 0]);
    assert_eq!(import(whole).await, [0, 0, 20]);
    // One price differs, and one product loses its tags.
    let patches = format!("sku,price,tags\n{sku}-1,1.50,a|b\n{sku}-2,3,a|b\n{sku}-3,3.5,\n");
    assert_eq!(import(patches).await, [0, 2, 1]);
    let (_, page, _) = stack.call(reqwest::Method::GET, &format!("/products?sku={sku}-3"), None).await;
    let product = &page["items"][0];
    assert_eq!((&product["price"], &product["version"]), (&json!("3.50"), &json!(2)), "{product}");
    assert!(product.get("tags").is_none() && product["attributes"]["size"] == "3", "{product}");
}
