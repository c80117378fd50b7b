//! `catalogctl trace` on a system in this process.

mod support;

use std::time::Duration;

use catalogctl::logs::Log;
use catalogctl::progress::Meter;
use catalogctl::target::Target;
use catalogctl::timestamp::of_millis;
use catalogctl::trace::search::{Logs, Window};
use serde_json::{Value, json};
use support::lives::{Catalogue, event_id, object, product_id, sha256, timestamp};
use support::products_table;
use support::system::{System, TABLE, configuration};

const REQUEST: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

/// Milliseconds since 1970, an hour ago.
fn recently() -> u64 {
    u64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap() - 60 * 60 * 1_000
}

/// A product that was created by a request an hour ago: its journal entry.
fn created(moment: u64) -> (Catalogue, Value) {
    let mut catalogue = Catalogue::default();
    catalogue.apply("CREATE", 0, 2, moment);
    catalogue.entries[0]["requestId"] = json!(REQUEST);
    let entry = catalogue.entries[0].clone();
    (catalogue, entry)
}

/// A system in which the request left its lines.
async fn system(moment: u64, entry: &Value) -> System {
    let system = System::empty().await;
    let ids = |message: &str| {
        json!({"level": "INFO", "message": message, "requestId": REQUEST, "eventId": entry["eventId"],
            "productId": entry["productId"]})
    };
    let access = json!({"requestId": REQUEST, "httpMethod": "POST", "resourcePath": "/v1.0/products", "status": "202",
        "errorType": "-", "apiKeyId": "a1b2c3d4e5"});
    system.logs.add("api", moment + 20, access);
    system.logs.add("create-product", moment + 10, ids("request completed"));
    system.logs.add("product-creator", moment + 420, ids("change processed"));
    // Of other requests, and of other times.
    system.logs.add("create-product", moment + 11, json!({"message": "request completed", "requestId": "other"}));
    system
}

async fn record(system: &System, catalogue: &Catalogue) {
    for item in catalogue.items().into_iter().chain(catalogue.journal()) {
        products_table::put(&system.dynamodb, TABLE, item).await;
    }
}

fn sources(trace: &Value) -> Vec<&str> {
    trace["steps"].as_array().unwrap().iter().map(|step| step["source"].as_str().unwrap()).collect()
}

fn put(system: &System, entry: &Value) {
    let (key, bytes) = object(entry);
    system.bucket.put(&key, &bytes);
}

#[tokio::test]
async fn follows_a_change_by_each_of_its_ids() {
    let moment = recently();
    let (catalogue, entry) = created(moment);
    let system = system(moment, &entry).await;
    record(&system, &catalogue).await;
    put(&system, &entry);
    system.logs.add(
        "audit-logger",
        moment + 900,
        json!({"message": "audit record written", "eventId": entry["eventId"]}),
    );

    let event = entry["eventId"].as_str().unwrap();
    let sku = entry["after"]["sku"].as_str().unwrap();
    let upper_case = event.to_uppercase();
    for (id, kind) in
        [(event, "CHANGE"), (&upper_case, "CHANGE"), (REQUEST, "REQUEST"), (&product_id(0), "PRODUCT"), (sku, "SKU")]
    {
        let trace = system.run(&["trace", id, "--json"]).await.expect(0).json();
        assert_eq!((&trace["kind"], &trace["missing"]), (&json!(kind), &json!([])), "{trace:#}");
        let change = json!({"eventId": event, "productId": product_id(0), "requestId": REQUEST, "type": "CREATE",
            "outcome": "APPLIED", "version": 1, "actor": {"apiKeyId": "a1b2c3d4e5", "sourceIp": "203.0.113.7"}});
        assert_eq!((&trace["changes"], &trace["clients"]), (&json!([change]), &json!({})));
        let mut expected = vec!["create-product", "api", "journal", "product-creator", "audit-logger", "audit bucket"];
        let mut found = sources(&trace);
        // The bucket in this process has no times.
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected, "{id}: {trace:#}");
        let times: Vec<&str> =
            trace["steps"].as_array().unwrap().iter().map(|step| step["time"].as_str().unwrap()).collect();
        assert_eq!(times[..2], [10, 20].map(|after| of_millis(i64::try_from(moment + after).unwrap())));
    }
    let text = system.run(&["trace", event]).await.expect(0).stdout;
    assert!(
        text.starts_with(&format!(
            "Change {event}: CREATE of product {}: APPLIED, version 1, requested by a1b2c3d4e5\n",
            product_id(0)
        )),
        "{text}"
    );
    assert!(text.contains("  api              POST /v1.0/products apiKeyId=a1b2c3d4e5 status=202\n"), "{text}");
    assert!(text.contains("No lines in: update-product, delete-product"), "{text}");
}

#[tokio::test]
async fn names_the_client_of_a_change_and_of_a_request() {
    let moment = recently();
    let (catalogue, entry) = created(moment);
    let system = system(moment, &entry).await;
    record(&system, &catalogue).await;
    put(&system, &entry);
    let (key, event) = ("clients/a1b2c3d4e5.json", entry["eventId"].as_str().unwrap());
    system.bucket.put(key, br#"{"apiKeyId":"a1b2c3d4e5","client":"shop","generation":1,"schemaVersion":1}"#);
    let trace = system.run(&["trace", event, "--json"]).await.expect(0).json();
    assert_eq!(trace["clients"], json!({"a1b2c3d4e5": "shop"}));
    let text = system.run(&["trace", event]).await.expect(0).stdout;
    assert!(text.contains(": APPLIED, version 1, requested by shop (a1b2c3d4e5)\n"), "{text}");
    assert!(text.contains("POST /v1.0/products apiKeyId=a1b2c3d4e5 status=202 client=shop\n"), "{text}");
    // A register that can't be read hides nothing else.
    system.bucket.refuse(key);
    let unnamed = system.run(&["trace", event]).await.expect(0);
    assert!(unnamed.stdout.contains("requested by a1b2c3d4e5\n"), "{}", unnamed.stdout);
    assert!(unnamed.stderr.contains("clients are shown by their key IDs: s3:GetObject on"), "{}", unnamed.stderr);
}

#[tokio::test]
async fn reads_no_more_of_the_logs_than_a_change_can_have() {
    let moment = recently();
    let (catalogue, entry) = created(moment);
    let system = system(moment, &entry).await;
    record(&system, &catalogue).await;
    put(&system, &entry);
    system.run(&["trace", entry["eventId"].as_str().unwrap()]).await.expect(0);
    for request in system.logs.take_requests() {
        let [start, end] = ["startTime", "endTime"].map(|name| request[name].as_u64().unwrap());
        assert!(start == moment - 60_000 && end <= moment + 301_412, "{request}");
    }

    system.logs.never_end();
    let target = Target::by_contract(configuration(&system.endpoint), "dev", "test".to_owned());
    let mut logs = Logs::limited(&target, Meter::hidden(), 1_000, 7);
    let window = Window::of_last(Duration::from_secs(60));
    logs.search(&[Log::Api, Log::CreateProduct], window, &[REQUEST]).await.unwrap();
    let unread = serde_json::to_value(logs.unread().unwrap()).unwrap();
    assert_eq!(unread["why"], "the search ended after 7 requests; not read to the end: api, create-product");
    assert_eq!(system.logs.take_requests().len(), 7);
}

#[tokio::test]
async fn missing_audit_object_has_a_cause_and_a_next_command() {
    let moment = recently();
    let (catalogue, entry) = created(moment);
    let system = system(moment, &entry).await;
    record(&system, &catalogue).await;
    let event = entry["eventId"].as_str().unwrap();

    let trace = system.run(&["trace", event, "--json"]).await.expect(2).json();
    let missing = &trace["missing"][0];
    assert_eq!((&missing["what"], &missing["eventId"]), (&json!("AUDIT_OBJECT"), &json!(event)));
    assert!(missing["why"].as_str().unwrap().contains("the events pipe hasn't delivered it"), "{missing}");
    assert_eq!(missing["next"], "catalogctl status --env dev, then catalogctl audit repair --env dev");

    let item = serde_dynamo::to_item::<_, serde_dynamo::Item>(catalogue.journal()[0].clone()).unwrap();
    let body = json!({"eventName": "INSERT", "eventID": "1", "awsRegion": "eu-west-1", "dynamodb": {
        "ApproximateCreationDateTime": 1, "SizeBytes": 1,
        "Keys": {"PK": {"S": format!("PRODUCT#{}", product_id(0))}, "SK": {"S": format!("EVENT#{event}")}},
        "NewImage": item,
    }});
    system.queues.add("bbws-product-audit-dlq-dev", &body.to_string(), Some("bbws-product-audit-dev"));
    let trace = system.run(&["trace", event, "--json"]).await.expect(2).json();
    let missing = &trace["missing"][0];
    assert_eq!(missing["next"], "catalogctl dlq redrive audit --message message-1 --env dev", "{trace:#}");
    assert!(sources(&trace).contains(&"bbws-product-audit-dlq-dev"), "{trace:#}");
    assert_eq!(system.queues.visible("bbws-product-audit-dlq-dev"), 1, "the message is visible again");
    let text = system.run(&["trace", event]).await.expect(2).stdout;
    assert!(
        text.contains(&format!("\nMISSING  AUDIT_OBJECT of change {event}: audit-logger failed to write it")),
        "{text}"
    );
}

#[tokio::test]
async fn missing_journal_entry_is_reported() {
    let moment = recently();
    let (_, entry) = created(moment);
    let system = system(moment, &entry).await;
    put(&system, &entry);
    let trace = system.run(&["trace", entry["eventId"].as_str().unwrap(), "--json"]).await.expect(2).json();
    assert_eq!(trace["missing"][0]["what"], "JOURNAL_ENTRY", "{trace:#}");
    assert_eq!(trace["missing"][0]["next"], "catalogctl audit verify --env dev");
}

#[tokio::test]
async fn finds_change_that_was_not_recorded() {
    let moment = recently();
    let (_, entry) = created(moment);
    let system = system(moment, &entry).await;
    let event = entry["eventId"].as_str().unwrap();
    // By the request, and by the product, which only the log knows.
    for (id, kind) in [(REQUEST, "REQUEST"), (&product_id(0), "PRODUCT")] {
        let trace = system.run(&["trace", id, "--json"]).await.expect(2).json();
        assert_eq!(trace["kind"], kind, "{trace:#}");
        let missing = &trace["missing"][0];
        assert_eq!((&missing["what"], &missing["eventId"]), (&json!("JOURNAL_ENTRY_AND_AUDIT_OBJECT"), &json!(event)));
        assert!(missing["why"].as_str().unwrap().contains("waits in bbws-product-change-dev (0 messages"), "{missing}");
    }
    let body = json!({
        "schemaVersion": 1, "eventId": event, "type": "DELETE", "productId": product_id(0), "occurredAt": timestamp(moment),
        "actor": {}, "requestId": REQUEST, "fingerprint": sha256(b"{}"),
    });
    system.queues.add("bbws-product-change-dlq-dev", &body.to_string(), Some("bbws-product-change-dev"));
    let trace = system.run(&["trace", REQUEST, "--json"]).await.expect(2).json();
    assert_eq!(trace["missing"][0]["next"], "catalogctl dlq redrive change --message message-1 --env dev", "{trace:#}");

    // Without a line of any log, as when they have expired.
    let unlogged = System::empty().await;
    unlogged.queues.add("bbws-product-change-dlq-dev", &body.to_string(), Some("bbws-product-change-dev"));
    let trace = unlogged.run(&["trace", event, "--json"]).await.expect(2).json();
    assert_eq!((&trace["changes"][0]["productId"], sources(&trace).len()), (&json!(product_id(0)), 1), "{trace:#}");
}

#[tokio::test]
async fn request_that_changed_nothing_is_whole() {
    let moment = recently();
    let system = System::empty().await;
    let access = json!({"requestId": REQUEST, "httpMethod": "POST", "resourcePath": "/v1.0/products", "status": "400"});
    system.logs.add("api", moment, access);
    let line =
        json!({"message": "request completed", "requestId": REQUEST, "status": 400, "code": "VALIDATION_FAILED"});
    system.logs.add("create-product", moment, line);
    let text = system.run(&["trace", REQUEST]).await.expect(0).stdout;
    assert!(text.contains("request completed code=VALIDATION_FAILED status=400"), "{text}");
    // An accepted one has a change.
    let accepted =
        json!({"requestId": REQUEST, "httpMethod": "POST", "resourcePath": "/v1.0/products", "status": "202"});
    system.logs.add("api", moment, accepted);
    let text = system.run(&["trace", REQUEST]).await.expect(2).stdout;
    assert!(text.contains("MISSING  LOG_LINE: the request was accepted"), "{text}");
    system.run(&["trace", REQUEST, "--since", "30m"]).await.expect(1);
}

#[tokio::test]
async fn unknown_ids_are_errors() {
    let system = System::empty().await;
    let unknown = system.run(&["trace", REQUEST]).await.expect(1);
    assert!(unknown.stderr.contains("nothing found about") && unknown.stdout.is_empty(), "{}", unknown.stderr);
    system.run(&["trace", &event_id(recently(), 1)]).await.expect(1);
    let sku = system.run(&["trace", "LAMP-1"]).await.expect(1).stderr;
    assert!(sku.contains("isn't a UUID, and no active product has it as its SKU"), "{sku}");
}
