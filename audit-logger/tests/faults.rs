//! The function's own program under faults: a bucket that refuses, a process that is killed, messages that cannot be read.
//! In the end there is exactly one object for each journal entry.

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
use support::stream::{entries, journalled};

/// Messages that the event source mapping hands over at once.
const BATCH: usize = 25;
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

/// The entries as messages, each three times, in any order.
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
    let answer = function.invoke_within(&event(&batch), TIME).await.expect("an answer");
    queue.settle(batch, &failed(&answer));
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
async fn the_first_write_goes_over_the_connection_that_was_opened_at_the_start() {
    let (endpoint, seen) = witness().await;
    let batch = Queue::new(messages(&journal(1))).receive(1);
    let function = Lambda::start_recorded(PROGRAM, endpoint, &VARIABLES).await;
    function.invoke_within(&event(&batch), TIME).await.unwrap();
    function.stop().await;

    assert_eq!(*seen.lock().unwrap(), ["connection", "GET", "PUT"]);
}

#[tokio::test]
async fn while_the_bucket_refuses_nothing_is_lost_and_afterwards_all_is_there() {
    let journal = journal(scale(200, 2_000));
    let (address, bucket) = serve_bucket().await;
    let function = start(address).await;
    let mut queue = Queue::new(messages(&journal));

    // Good for a while, then an outage that outlasts the receives of many, of each kind that S3 knows.
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
    println!("{} entries, {dead} messages were in the DLQ", journal.len());
}

#[tokio::test]
async fn killed_in_the_middle_of_batches_it_writes_each_entry_once() {
    let wanted = scale(20, 200);
    let (address, bucket) = serve_bucket().await;
    let mut function = start(address).await;
    let (mut kills, mut all, mut took) = (0, BTreeMap::new(), Duration::from_millis(50));
    while kills < wanted {
        let journal = journal(100);
        let mut queue = Queue::patient(messages(&journal));
        while !queue.is_empty() {
            let batch = queue.receive(BATCH);
            let moment = if fastrand::bool() { took.mul_f64(fastrand::f64()) } else { TIME };
            let (sent, started) = (event(&batch), Instant::now());
            let answer = tokio::time::timeout(moment, function.invoke_within(&sent, TIME)).await;
            if let Ok(answer) = answer {
                took = started.elapsed();
                queue.settle(batch, &failed(&answer.expect("an answer")));
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
    println!("{} entries, killed {kills} times in the middle of a batch", all.len());
}

#[tokio::test]
async fn a_log_is_json_line_by_line_and_says_nothing_of_a_product() {
    let (address, bucket) = serve_bucket().await;
    let function = start(address).await;
    let good: Vec<String> = entries().iter().map(|(_, entry)| journalled(entry).to_string()).collect();
    let bad = ["", "not JSON: Oak table\r\n{\"level\":\"ERROR\"}", "{\"Oak table\": 1}", "[1, \"Oak table\"]"];
    let mut queue = Queue::new(bad.map(str::to_owned).into_iter().chain(good.iter().cloned()));
    deliver_all(&function, &mut queue).await;
    assert_eq!(queue.dead.len(), bad.len());
    // Another object under a key: an error, which must not quote either.
    let key = bucket.all().into_keys().next().unwrap();
    bucket.store(&key, b"{\"name\":\"Oak table\"}");
    let mut queue = Queue::new(good);
    deliver_all(&function, &mut queue).await;
    assert_eq!(queue.dead.len(), 1, "the different object is seen");

    let names: BTreeSet<String> = entries()
        .iter()
        .flat_map(|(_, entry)| ["before", "after"].map(|side| entry[side]["name"].as_str().map(str::to_owned)))
        .flatten()
        .chain(["Oak table".to_owned()])
        .collect();
    for line in function.log(bad.len()).await {
        serde_json::from_str::<Value>(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert!(!names.iter().any(|name| line.contains(name)), "{line}");
    }
}
