//! The function without its runtime: batches of stream records in, objects out.

mod support;

use std::time::Duration;

use audit_logger::handler::handle;
use audit_logger::models::audit_object::AuditObject;
use audit_logger::repositories::audit_log::{AuditLog, AuditLogError, Written};
use audit_logger::repositories::s3::S3AuditLog;
use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use axum::http::StatusCode;
use serde_json::{Value, json};
use support::audit_bucket::{self, BUCKET, Bucket};
use support::contract::assert_keeps;
use support::stream::{ID, entries, journalled, record};

const TIME: Duration = Duration::from_secs(30);

struct Audit {
    log: S3AuditLog,
    bucket: Bucket,
}

impl Audit {
    async fn empty() -> Self {
        let (sdk, bucket) = audit_bucket::start().await;
        Self { log: S3AuditLog::new(&sdk, BUCKET), bucket }
    }

    /// Delivers bodies as one batch and returns the IDs of the messages to redeliver: `m0`, `m1`, …
    async fn deliver(&self, bodies: &[Value]) -> Vec<String> {
        let bodies: Vec<String> = bodies.iter().map(Value::to_string).collect();
        failures(&self.log, &bodies).await
    }
}

async fn failures(log: &S3AuditLog, bodies: &[String]) -> Vec<String> {
    let result = handle(batch(bodies), log, TIME).await.unwrap();
    let failures = result.response.batch_item_failures;
    let counted = result.metrics.iter().find(|metric| metric.name == "BatchItemFailures").unwrap();
    assert_eq!(counted.values, [failures.len() as u64]);
    failures.into_iter().map(|failure| failure.item_identifier).collect()
}

fn batch(bodies: &[String]) -> SqsEvent {
    let message = |(index, body): (usize, &String)| {
        let mut message = SqsMessage::default();
        message.message_id = Some(format!("m{index}"));
        message.body = Some(body.clone());
        message
    };
    let mut event = SqsEvent::default();
    event.records = bodies.iter().enumerate().map(message).collect();
    event
}

fn product(last_event: &str, price: u64) -> Value {
    json!({"productId": ID, "name": "Oak table", "priceMinor": price, "lastEventId": last_event, "status": "ACTIVE"})
}

const ONE: &str = "019c141b-9a00-7d2e-9f10-2b3c4d5e6f70";
const NEXT: &str = "019c1941-fe00-7d2e-9f10-2b3c4d5e6f70";

#[tokio::test]
async fn writes_each_journal_entry_field_for_field() {
    for (name, entry) in entries() {
        let audit = Audit::empty().await;

        assert_eq!(audit.deliver(&[journalled(&entry)]).await, [""; 0], "{name}");

        let objects = audit.bucket.all();
        assert_eq!(objects.len(), 1, "{name}");
        let (key, object) = objects.iter().next().unwrap();
        assert_eq!(object, &entry, "{name}");
        assert_keeps("audit-record", object);
        let id = entry["eventId"].as_str().unwrap();
        assert!(key.starts_with("events/year=20") && key.ends_with(&format!("/{id}.json")), "{name}: {key}");
    }
}

#[tokio::test]
async fn writes_nothing_for_redelivered_record() {
    let audit = Audit::empty().await;
    let record = journalled(&entries()[0].1);
    for _ in 0..3 {
        assert_eq!(audit.deliver(&[record.clone(), record.clone()]).await, [""; 0]);
    }
    assert_eq!(audit.bucket.all().len(), 1);
}

#[tokio::test]
async fn keeps_different_object_and_returns_message() {
    let audit = Audit::empty().await;
    let (first, second) = (&entries()[0].1, &entries()[1].1);
    assert_eq!(audit.deliver(&[journalled(first)]).await, [""; 0]);
    let key = audit.bucket.all().into_keys().next().unwrap();
    audit.bucket.store(&key, b"{}");

    assert_eq!(audit.deliver(&[journalled(first), journalled(second)]).await, ["m0"]);

    assert_eq!(audit.bucket.all()[&key], json!({}));
    assert_eq!(audit.bucket.all().len(), 2, "the other message is done");
}

#[tokio::test]
async fn ignores_products_changed_by_event() {
    let audit = Audit::empty().await;
    let records = [
        record("INSERT", "META", None, Some(product(ONE, 1))),
        record("MODIFY", "META", Some(product(ONE, 1)), Some(product(NEXT, 2))),
    ];
    assert_eq!(audit.deliver(&records).await, [""; 0]);
    assert_eq!(audit.bucket.all().len(), 0);
}

#[tokio::test]
async fn records_changes_without_change_event_as_out_of_band() {
    let entry = &entries()[0].1;
    let event_key = format!("EVENT#{}", entry["eventId"].as_str().unwrap());
    let mut by_ttl = record("REMOVE", "NOTE", Some(json!({"n": 1})), None);
    by_ttl["userIdentity"] = json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"});
    let mut by_another_service = by_ttl.clone();
    by_another_service["userIdentity"]["principalId"] = json!("replication.dynamodb.amazonaws.com");
    let without_event = json!({"productId": ID});
    for (what, record, cause) in [
        ("an edited product", record("MODIFY", "META", Some(product(ONE, 1)), Some(product(ONE, 2))), "MANUAL"),
        ("a removed product", record("REMOVE", "META", Some(product(ONE, 1)), None), "MANUAL"),
        ("a product without event", record("INSERT", "META", None, Some(without_event)), "MANUAL"),
        ("an edited entry", record("MODIFY", &event_key, Some(entry.clone()), Some(json!({"x": 1}))), "MANUAL"),
        ("a removed entry", record("REMOVE", &event_key, Some(entry.clone()), None), "MANUAL"),
        ("an entry under another key", record("INSERT", &format!("EVENT#{NEXT}"), None, Some(entry.clone())), "MANUAL"),
        ("something else of a product", record("INSERT", "NOTE", None, Some(json!({"n": 0.5}))), "MANUAL"),
        ("an expired note", by_ttl, "TTL"),
        ("a note that another service removed", by_another_service, "MANUAL"),
        ("a claim of no product", claim_record("INSERT", None, claim("x", ONE)), "MANUAL"),
        ("a claim without event", claim_record("INSERT", None, Some(json!({"productId": ID}))), "MANUAL"),
        (
            "a claim with a note",
            claim_record("INSERT", None, Some(json!({"productId": ID, "eventId": ONE, "n": 1}))),
            "MANUAL",
        ),
        ("a claim of another product", claim_record("MODIFY", claim(ID, ONE), claim(OTHER_ID, NEXT)), "MANUAL"),
        (
            "an edited claim",
            claim_record("MODIFY", claim(ID, ONE), Some(json!({"productId": "x", "eventId": ONE}))),
            "MANUAL",
        ),
    ] {
        let audit = Audit::empty().await;
        assert_eq!(audit.deliver(std::slice::from_ref(&record)).await, [""; 0], "{what}");
        let objects = audit.bucket.all();
        let (key, object) = objects.iter().next().unwrap_or_else(|| panic!("{what}: nothing was written"));
        assert_eq!(key, "out-of-band/year=2026/month=01/day=31/c81e728d9d4c2f636f067f89cc14862c.json", "{what}");
        assert_keeps("audit-record", object);
        assert_eq!((&object["recordType"], &object["cause"]), (&json!("OUT_OF_BAND"), &json!(cause)), "{what}");
        assert_eq!(object["changeType"], record["eventName"], "{what}");
    }
}

const OTHER_ID: &str = "0d7f1f0e-5a53-4a07-8a5b-6a2f3c1d4e5f";

fn claim(product_id: &str, event_id: &str) -> Option<Value> {
    Some(json!({"productId": product_id, "eventId": event_id}))
}

/// A record of the claim of a SKU.
fn claim_record(name: &str, before: Option<Value>, after: Option<Value>) -> Value {
    let mut record = record(name, "CLAIM", before, after);
    for image in ["Keys", "OldImage", "NewImage"] {
        if let Some(image) = record["dynamodb"].get_mut(image) {
            image["PK"] = json!({"S": "SKU#OAK-1"});
        }
    }
    record
}

#[tokio::test]
async fn ignores_claims_changed_by_event() {
    let audit = Audit::empty().await;
    let records = [
        claim_record("INSERT", None, claim(ID, ONE)),
        claim_record("MODIFY", claim(ID, ONE), claim(ID, NEXT)),
        claim_record("REMOVE", claim(ID, ONE), None),
    ];
    assert_eq!(audit.deliver(&records).await, [""; 0]);
    assert_eq!(audit.bucket.all().len(), 0);
}

#[tokio::test]
async fn counts_expired_journal_entries_and_writes_nothing() {
    let entry = &entries()[0].1;
    let event_key = format!("EVENT#{}", entry["eventId"].as_str().unwrap());
    let mut by_ttl = record("REMOVE", &event_key, Some(entry.clone()), None);
    by_ttl["userIdentity"] = json!({"type": "Service", "principalId": "dynamodb.amazonaws.com"});
    // The stream's own API spells the members of userIdentity with capitals.
    let mut expired = entry.clone();
    expired["expiresAt"] = json!(1_769_860_800);
    let mut spelled_otherwise = record("REMOVE", &event_key, Some(expired), None);
    spelled_otherwise["userIdentity"] = json!({"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"});
    let audit = Audit::empty().await;

    let bodies = [by_ttl, spelled_otherwise].map(|record| record.to_string());
    let result = handle(batch(&bodies), &audit.log, TIME).await.unwrap();

    let expired = result.metrics.iter().find(|metric| metric.name == "JournalEntriesExpired").unwrap();
    assert_eq!((expired.values[0], result.response.batch_item_failures.len()), (2, 0));
    assert_eq!(audit.bucket.all().len(), 0);
}

#[tokio::test]
async fn preserves_patch_with_null_byte_for_byte() {
    let mut entry = entries()[0].1.clone();
    entry["requested"] = json!({"patch": {"sku": null, "tags": [], "attributes": {"width": null, "ä": "1.0"}}});
    let audit = Audit::empty().await;
    assert_eq!(audit.deliver(&[journalled(&entry)]).await, [""; 0]);
    assert_eq!(audit.bucket.all().into_values().next().unwrap(), entry);
}

#[tokio::test]
async fn preserves_values_of_image() {
    let audit = Audit::empty().await;
    let before =
        json!({"text": "ä\n", "number": -7, "flag": true, "nothing": null, "list": [1, "x"], "map": {"a": {}}});
    audit.deliver(&[record("REMOVE", "NOTE", Some(before.clone()), None)]).await;

    let mut image = audit.bucket.all().into_values().next().unwrap()["before"].take();
    for key in ["PK", "SK"] {
        image.as_object_mut().unwrap().remove(key);
    }
    assert_eq!(image, before);
}

#[tokio::test]
async fn ignores_foreign_items() {
    let audit = Audit::empty().await;
    let mut foreign = record("INSERT", "META", None, Some(json!({})));
    foreign["dynamodb"]["Keys"]["PK"] = json!({"S": "SOMETHING#1"});
    assert_eq!(audit.deliver(&[foreign]).await, [""; 0]);
    assert_eq!(audit.bucket.all().len(), 0);
}

#[tokio::test]
async fn writes_all_records_of_message() {
    let audit = Audit::empty().await;
    let records: Vec<Value> = entries().iter().take(3).map(|(_, entry)| journalled(entry)).collect();
    assert_eq!(audit.deliver(&[Value::Array(records)]).await, [""; 0]);
    assert_eq!(audit.bucket.all().len(), 3);
}

#[tokio::test]
async fn returns_unreadable_messages_only() {
    let audit = Audit::empty().await;
    let good = journalled(&entries()[0].1);
    let mut without_keys = good.clone();
    without_keys["dynamodb"]["Keys"] = json!({});
    let mut renamed = good.clone();
    renamed["eventName"] = json!("TRUNCATE");
    let mut path = record("REMOVE", "META", Some(product(ONE, 1)), None);
    path["eventID"] = json!("../../events/x");
    let bodies = ["".to_owned(), "not JSON".to_owned(), "{}".to_owned(), good.to_string()]
        .into_iter()
        .chain([without_keys, renamed, path].map(|record| record.to_string()));

    let failed = failures(&audit.log, &bodies.collect::<Vec<_>>()).await;

    assert_eq!(failed, ["m0", "m1", "m2", "m4", "m5", "m6"]);
    assert_eq!(audit.bucket.all().len(), 1);
}

#[tokio::test]
async fn returns_messages_while_bucket_refuses() {
    let audit = Audit::empty().await;
    let records: Vec<Value> = entries().iter().take(2).map(|(_, entry)| journalled(entry)).collect();
    for status in [StatusCode::SERVICE_UNAVAILABLE, StatusCode::CONFLICT, StatusCode::FORBIDDEN] {
        audit.bucket.refuse(Some(status));
        assert_eq!(audit.deliver(&records).await, ["m0", "m1"], "{status}");
    }
    audit.bucket.refuse(None);
    assert_eq!(audit.deliver(&records).await, [""; 0]);
    assert_eq!(audit.bucket.all().len(), 2);

    let unreachable = S3AuditLog::new(&audit_bucket::unreachable(), BUCKET);
    let bodies: Vec<String> = records.iter().map(Value::to_string).collect();
    assert_eq!(failures(&unreachable, &bodies).await, ["m0", "m1"]);
}

#[tokio::test]
async fn tells_refused_calls_from_an_unavailable_bucket() {
    let audit = Audit::empty().await;
    let object = AuditObject { key: "events/a.json".to_owned(), bytes: b"{}".to_vec() };
    audit.bucket.store(&object.key, &object.bytes);
    assert_eq!(audit.log.write(&object).await.unwrap(), Written::Existed);
    // Reads are served all the time: only a status of 412 says that the object exists.
    for (status, is_refused) in
        [(400, true), (403, true), (404, true), (408, false), (409, false), (429, false), (500, false), (503, false)]
    {
        audit.bucket.refuse_writes(StatusCode::from_u16(status).unwrap());
        match audit.log.write(&object).await.unwrap_err() {
            AuditLogError::Refused(_) => assert!(is_refused, "{status}"),
            AuditLogError::Unavailable(_) => assert!(!is_refused, "{status}"),
            AuditLogError::Different(_) => panic!("{status} compared the objects"),
        }
    }
    let without_key = AuditObject { key: String::new(), ..object };
    let error = audit.log.write(&without_key).await.unwrap_err();
    assert!(matches!(error, AuditLogError::Refused(_)), "{error:?}");
}

#[tokio::test]
async fn returns_messages_not_done_within_deadline() {
    let audit = Audit::empty().await;
    let body = journalled(&entries()[0].1).to_string();
    let result = handle(batch(&[body]), &audit.log, Duration::ZERO).await.unwrap();
    assert_eq!(result.response.batch_item_failures[0].item_identifier, "m0");
}
