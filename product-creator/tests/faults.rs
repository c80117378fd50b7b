//! The function's program under faults: killed during batches, with a failing DynamoDB, with unreadable messages. Nothing is
//! lost, and nothing is applied twice.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use product_creator::models::change_event::ChangeEvent;
use product_creator::models::identifiers::ProductId;
use serde_json::Value;
use support::catalogue::Catalogue;
use support::changes::{body, create, delete, update};
use support::contract::examples;
use support::faulty_engine::FaultyEngine;
use support::lambda::{Lambda, witness};
use support::products_table::Engine;
use support::queue::{Queue, event, failed};
use support::scale::scale;

/// Batch size of the event source mapping.
const BATCH: usize = 10;
/// The function's time-out.
const TIME: Duration = Duration::from_secs(30);

const PROGRAM: &str = env!("CARGO_BIN_EXE_product-creator");
const VARIABLES: [(&str, &str); 2] = [("TABLE_NAME", "products"), ("LIST_SHARDS", "4")];

async fn start(engine: &Engine) -> Lambda {
    let account = [("AWS_ACCESS_KEY_ID", engine.access_key_id.as_str())];
    Lambda::start(PROGRAM, engine.address, &[VARIABLES.as_slice(), &account].concat()).await
}

/// Products that are created, changed `changes` times, and every fourth deleted.
fn lives(products: usize, changes: u64) -> Vec<(ProductId, Vec<ChangeEvent>)> {
    let life = |number: usize| {
        let id = ProductId::random();
        let mut events = vec![create(id, 1)];
        events.extend((0..changes).map(|second| update(id, second + 2, &second.to_string())));
        events.extend(number.is_multiple_of(4).then(|| delete(id, changes + 2)));
        (id, events)
    };
    (0..products).map(life).collect()
}

/// All changes as messages, in random order.
fn shuffled(lives: &[(ProductId, Vec<ChangeEvent>)]) -> Vec<String> {
    let mut bodies: Vec<String> = lives.iter().flat_map(|(_, events)| events).map(body).collect();
    fastrand::shuffle(&mut bodies);
    bodies
}

async fn check(catalogue: &Catalogue, lives: &[(ProductId, Vec<ChangeEvent>)]) {
    for (id, events) in lives {
        catalogue.check_whole(*id, &events.iter().collect::<Vec<_>>()).await;
    }
}

/// Delivers batch after batch until the queue is empty.
async fn deliver_all(function: &Lambda, queue: &mut Queue) {
    while !queue.is_empty() {
        let batch = queue.receive(BATCH);
        let response = function.invoke_within(&event(&batch), TIME).await.expect("a response");
        queue.settle(batch, &failed(&response));
    }
}

#[tokio::test]
async fn uses_connection_opened_at_start_for_first_call() {
    let (endpoint, seen) = witness().await;
    let batch = Queue::new(vec![body(&create(ProductId::random(), 1))]).receive(1);
    let function = Lambda::start_profiled(PROGRAM, endpoint, &VARIABLES).await;
    function.invoke_within(&event(&batch), TIME).await.unwrap();
    function.stop().await;

    let seen = seen.lock().unwrap();
    assert_eq!(seen[..3], ["connection", "GET", "POST"]);
    assert!(!seen[3..].contains(&"connection".to_owned()), "{seen:?}");
}

#[tokio::test]
async fn records_each_change_once_when_killed_during_batches() {
    let (wanted, changes_wanted) = scale((40, 1_000), (200, 5_000));
    let (catalogue, engine) = Catalogue::with_engine().await;
    let mut function = start(&engine).await;
    let (mut kills, mut changes, mut took) = (0, 0, Duration::from_millis(100));

    while kills < wanted || changes < changes_wanted {
        let lives = lives(50, 9);
        let mut queue = Queue::without_dead_letters(shuffled(&lives));
        while !queue.is_empty() {
            let batch = queue.receive(BATCH);
            // At a random moment of a batch. One batch in four is left alone, so that there is progress.
            let moment = if fastrand::u32(0..4) > 0 { took.mul_f64(fastrand::f64()) } else { TIME };
            let (sent, started) = (event(&batch), Instant::now());
            let response = tokio::time::timeout(moment, function.invoke_within(&sent, TIME)).await;
            if let Ok(response) = response {
                took = started.elapsed();
                queue.settle(batch, &failed(&response.expect("a response")));
            } else {
                function.kill().await;
                kills += 1;
                queue.abandon(batch);
                function = start(&engine).await;
            }
        }
        check(&catalogue, &lives).await;
        changes += lives.iter().map(|(_, events)| events.len()).sum::<usize>();
    }
    println!("{changes} changes, killed {kills} times during a batch");
}

#[tokio::test]
async fn records_each_change_of_failing_table_at_last_after_redrive() {
    let wanted = scale(500, 2_000);
    let (catalogue, engine) = Catalogue::with_engine().await;
    let (faulty, address) = FaultyEngine::start(engine.address).await;
    let function = start(&Engine { address, ..engine }).await;
    let (mut all, mut dead) = (Vec::new(), 0);

    while faulty.failed().values().sum::<u32>() < wanted {
        let lives = lives(20, 3);
        let mut queue = Queue::new(shuffled(&lives));
        deliver_all(&function, &mut queue).await;

        let events = lives.iter().flat_map(|(_, events)| events).count();
        let dead_letters: BTreeSet<&str> = queue.dead.iter().map(|message| message.body.as_str()).collect();
        assert_eq!(dead_letters.len(), queue.dead.len(), "each in the dead-letter queue once");
        assert_eq!(dead_letters.len() + queue.done.len(), events, "each done or in the dead-letter queue");
        dead += dead_letters.len();
        all.push((lives, queue));
    }

    faulty.heal();
    for (lives, mut queue) in all {
        queue.redrive();
        deliver_all(&function, &mut queue).await;
        assert!(queue.dead.is_empty(), "nothing fails any more");
        check(&catalogue, &lives).await;
    }
    println!("calls that failed: {:?}; {dead} messages were in the dead-letter queue", faulty.failed());
    assert_eq!(faulty.failed().len(), 7, "each kind of fault occurred");
}

#[tokio::test]
async fn processes_good_messages_among_invalid_ones() {
    let (catalogue, engine) = Catalogue::with_engine().await;
    let function = start(&engine).await;
    // 250 products with a creation, two changes and, every fourth, a deletion. The rest are creations alone.
    let mut lives = lives(250, 2);
    let more = 1_000 - lives.iter().map(|(_, events)| events.len()).sum::<usize>();
    lives.extend((0..more).map(|_| ProductId::random()).map(|id| (id, vec![create(id, 1)])));

    let kinds = examples("change-event", "invalid");
    assert!(kinds.len() >= 10, "{} kinds", kinds.len());
    let invalid: Vec<String> = kinds.iter().map(|(_, text)| text.clone()).cycle().take(100).collect();
    let mut bodies: Vec<String> = shuffled(&lives).into_iter().chain(invalid.iter().cloned()).collect();
    fastrand::shuffle(&mut bodies);
    let mut queue = Queue::new(bodies);
    deliver_all(&function, &mut queue).await;

    let tally = |texts: Vec<&String>| {
        texts.into_iter().fold(BTreeMap::<String, u32>::new(), |mut tally, text| {
            *tally.entry(text.clone()).or_default() += 1;
            tally
        })
    };
    let dead: Vec<&String> = queue.dead.iter().map(|message| &message.body).collect();
    assert_eq!(tally(dead), tally(invalid.iter().collect()), "each invalid message is in the dead-letter queue once");
    assert!(queue.dead.iter().all(|message| message.receives == 5));
    assert_eq!(queue.done.len(), 1_000);
    assert!(queue.done.iter().all(|message| message.receives == 1), "no valid message was redelivered");
    check(&catalogue, &lives).await;

    // One line of JSON for each failure and each outcome, without a product's content.
    let log = function.log(1_500).await;
    for line in &log {
        serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        assert!(!line.contains("Oak"), "{line}");
    }
    println!("{} kinds of invalid messages, {} log lines", kinds.len(), log.len());
}
