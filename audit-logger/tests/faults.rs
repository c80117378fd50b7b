//! The function's program under faults: a refusing bucket, a killed process, unreadable messages. In the end there is exactly
//! one object for each journal entry.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use audit_logger::models::identifiers::EventId;
use audit_logger::models::timestamp::Timestamp;
use axum::http::StatusCode;
use serde_json::{Value, json};
use support::audit_bucket::{BUCKET, Bucket, serve_bucket};
use support::lambda::{Lambda, witness};
use support::queue::{Queue, event, failed};
use support::scale::scale;
use support::stream::{ID, entries, journalled};

/// Batch size of the event source mapping.
const BATCH: usize = 10;
/// The function's time-out.
const TIME: Duration = Duration::from_secs(30);

const PROGRAM: &str = env!("CARGO_BIN_EXE_audit-logger");
const VARIABLES: [(&str, &str); 1] = [("AUDIT_BUCKET", BUCKET)];

async fn start(endpoint: SocketAddr) -> Lambda {
    Lambda::start(PROGRAM, endpoint, &VARIABLES).await
}

/// `size` journal entries by event ID: the golden ones repeated, each time with a new ID.
fn journal(size: usize) -> BTreeMap<String, Value> {
    let golden = entries();
    let entry = |number: usize| {
        let moment = Timestamp::from_unix_millis(1_769_860_800_000 + number as u64 * 60_000);
        let id = EventId::after(None, moment).to_string();
        let mut entry = golden[number % golden.len()].1.clone();
        entry["eventId"] = json!(id);
        (id, entry)
    };
    (0..size).map(entry).collect()
}

/// The entries as messages, each three times, in random order.
fn messages(journal: &BTreeMap<String, Value>) -> Vec<String> {
    let mut messages: Vec<String> =
        journal.values().map(|entry| journalled(entry).to_string()).flat_map(|message| vec![message; 3]).collect();
    fastrand::shuffle(&mut messages);
    messages
}

async fn deliver_all(function: &Lambda, queue: &mut Queue) {
    while !queue.is_empty() {
        deliver(function, queue).await;
    }
}

async fn deliver(function: &Lambda, queue: &mut Queue) {
    let batch = queue.receive(BATCH);
    let response = function.invoke_within(&event(&batch), TIME).await.expect("a response");
    queue.settle(batch, &failed(&response));
}

/// Fails unless the bucket holds exactly one object for each entry, and nothing else.
fn check(bucket: &Bucket, journal: &BTreeMap<String, Value>) {
    let objects = bucket.all();
    let by_event: BTreeMap<String, Value> = objects
        .iter()
        .map(|(key, object)| (key.rsplit('/').next().unwrap().replace(".json", ""), object.clone()))
        .collect();
    assert_eq!(objects.len(), by_event.len(), "an event has two objects");
    assert_eq!(by_event.keys().collect::<BTreeSet<_>>(), journal.keys().collect::<BTreeSet<_>>());
    assert!(by_event == *journal, "an object differs from its entry");
}

#[tokio::test]
async fn uses_connection_opened_at_start_for_first_write() {
    let (endpoint, seen) = witness().await;
    let batch = Queue::new(messages(&journal(1))).receive(1);
    let function = Lambda::start_profiled(PROGRAM, endpoint, &VARIABLES).await;
    function.invoke_within(&event(&batch), TIME).await.unwrap();
    function.stop().await;

    assert_eq!(*seen.lock().unwrap(), ["connection", "GET", "PUT"]);
}

#[tokio::test]
async fn writes_each_entry_once_after_outage_of_bucket() {
    let journal = journal(scale(200, 2_000));
    let (address, bucket) = serve_bucket().await;
    let function = start(address).await;
    let mut queue = Queue::new(messages(&journal));

    // Good at first, then an outage that outlasts the receives of many messages, with each kind of error of S3.
    for _ in 0..5 {
        deliver(&function, &mut queue).await;
    }
    let outage = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::INTERNAL_SERVER_ERROR, StatusCode::FORBIDDEN];
    let mut round = 0;
    while queue.dead.len() < 100 {
        bucket.refuse(Some(outage[round % outage.len()]));
        deliver(&function, &mut queue).await;
        round += 1;
    }
    let dead = queue.dead.len();
    bucket.refuse(None);
    deliver_all(&function, &mut queue).await;
    queue.redrive();
    deliver_all(&function, &mut queue).await;

    assert!(queue.dead.is_empty());
    check(&bucket, &journal);
    println!("{} entries, {dead} messages were in the dead-letter queue", journal.len());
}

#[tokio::test]
async fn writes_each_entry_once_when_killed_during_batches() {
    let wanted = scale(20, 200);
    let (address, bucket) = serve_bucket().await;
    let mut function = start(address).await;
    let (mut kills, mut all, mut took) = (0, BTreeMap::new(), Duration::from_millis(50));
    while kills < wanted {
        let journal = journal(100);
        let mut queue = Queue::without_dead_letters(messages(&journal));
        while !queue.is_empty() {
            let batch = queue.receive(BATCH);
            let moment = if fastrand::bool() { took.mul_f64(fastrand::f64()) } else { TIME };
            let (sent, started) = (event(&batch), Instant::now());
            let response = tokio::time::timeout(moment, function.invoke_within(&sent, TIME)).await;
            if let Ok(response) = response {
                took = started.elapsed();
                queue.settle(batch, &failed(&response.expect("a response")));
            } else {
                function.kill().await;
                kills += 1;
                queue.abandon(batch);
                function = start(address).await;
            }
        }
        all.extend(journal);
        check(&bucket, &all);
    }
    println!("{} entries, killed {kills} times during a batch", all.len());
}

#[tokio::test]
async fn logs_json_lines_without_product_content() {
    let (address, bucket) = serve_bucket().await;
    let function = start(address).await;
    let good: Vec<String> = entries().iter().map(|(_, entry)| journalled(entry).to_string()).collect();
    let bad = ["", "not JSON: Oak table\r\n{\"level\":\"ERROR\"}", "{\"Oak table\": 1}", "[1, \"Oak table\"]"];
    let mut queue = Queue::new(bad.map(str::to_owned).into_iter().chain(good.iter().cloned()));
    deliver_all(&function, &mut queue).await;
    assert_eq!(queue.dead.len(), bad.len());
    // A different object with the key is an error, and its content isn't logged either.
    let key = bucket.all().into_keys().next().unwrap();
    bucket.store(&key, b"{\"name\":\"Oak table\"}");
    let mut queue = Queue::new(good);
    deliver_all(&function, &mut queue).await;
    assert_eq!(queue.dead.len(), 1, "the different object is found");

    let names: BTreeSet<String> = entries()
        .iter()
        .flat_map(|(_, entry)| ["before", "after"].map(|side| entry[side]["name"].as_str().map(str::to_owned)))
        .flatten()
        .chain(["Oak table".to_owned()])
        .collect();
    let log = function.log(bad.len()).await;
    let different = log.iter().find(|line| line.contains("different object")).expect("a line about the object");
    let event_id = key.rsplit('/').next().unwrap().replace(".json", "");
    let entry = &entries().into_iter().find(|(_, entry)| entry["eventId"] == event_id.as_str()).unwrap().1;
    for id in [event_id.as_str(), ID, entry["requestId"].as_str().unwrap()] {
        assert!(different.contains(id), "{id} in {different}");
    }
    for line in log {
        serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert!(!names.iter().any(|name| line.contains(name)), "{line}");
    }
}
