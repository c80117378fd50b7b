//! Following the feed misses no change, although changes become visible late and out of order, are redelivered, and shards
//! are added.

mod support;

use std::collections::BTreeMap;

use list_products::models::identifiers::ProductId;
use list_products::models::product::Status;
use list_products::models::selection::FeedPosition;
use list_products::models::timestamp::Timestamp;
use list_products::services::read_feed::read_feed;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use support::catalogue::Entry;
use support::memory_index::MemoryIndex;
use support::scale::scale;
use support::store::Store;

const SECOND: u64 = 1_000;
/// Time of the first record in `Entry`.
const START: u64 = 1_769_860_800_000;

/// A change of a product, in milliseconds after the start.
#[derive(Clone, Debug)]
struct Change {
    number: u32,
    /// When it is applied.
    applied: u64,
    /// How far the clock that makes `recordedAt` is off, behind or ahead.
    skew: i64,
    /// From the record to the visible row.
    delay: u64,
    deletes: bool,
    /// Delivered once more: the journal holds it already, and nothing is written.
    redelivered: bool,
}

/// What a reader does at a moment: follow the feed to its end, page by page.
#[derive(Clone, Debug)]
struct Poll {
    at: u64,
    limit: usize,
    shards: u32,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let change = (0..12_u32, 0..120 * SECOND, -4_000..4_000_i64, 0..20 * SECOND, any::<bool>(), any::<bool>())
        .prop_map(|(number, applied, skew, delay, deletes, redelivered)| {
            let applied = applied + 10 * SECOND;
            Change { number, applied, skew, delay, deletes, redelivered }
        });
    prop::collection::vec(change, 0..80)
}

fn polls() -> impl Strategy<Value = Vec<Poll>> {
    let poll = (0..200 * SECOND, 1..6_usize).prop_map(|(at, limit)| Poll { at, limit, shards: 1 });
    (prop::collection::vec(poll, 0..25), select(vec![1_u32, 2, 4]), 0..25_usize).prop_map(
        |(mut polls, more, raised)| {
            polls.sort_by_key(|poll| poll.at);
            // The last one is after everything has settled.
            polls.push(Poll { at: 400 * SECOND, limit: 3, shards: 1 });
            for poll in polls.iter_mut().skip(raised) {
                poll.shards = more;
            }
            polls
        },
    )
}

/// The rows that the feed's index has one after another: when each becomes visible, and the product as it then is.
///
/// A product's changes are applied one after another, so its rows become visible in this order.
fn rows(mut changes: Vec<Change>) -> Vec<(u64, Entry)> {
    changes.sort_by_key(|change| change.applied);
    let mut versions: BTreeMap<u32, (u64, u64)> = BTreeMap::new();
    let mut rows = Vec::new();
    for change in changes {
        let (version, last_visible) = versions.entry(change.number).or_default();
        *version += 1;
        *last_visible = (*last_visible + 1).max(change.applied + change.delay);
        let entry = Entry {
            version: *version,
            recorded: change.applied.saturating_add_signed(change.skew),
            ..Entry::new(change.number, "Lamp", "EUR", 1)
        };
        let entry = if change.deletes { entry.deleted() } else { entry };
        rows.push((*last_visible, entry.clone()));
        if change.redelivered {
            rows.push((*last_visible, entry));
        }
    }
    rows.sort_by_key(|(visible, _)| *visible);
    rows
}

async fn check(store: Store, changes: Vec<Change>, polls: Vec<Poll>) {
    let mut rows = rows(changes).into_iter().peekable();
    let mut expected: BTreeMap<ProductId, (u64, Status)> = BTreeMap::new();
    let mut seen: BTreeMap<ProductId, (u64, Status)> = BTreeMap::new();
    let mut after: Option<FeedPosition> = None;
    for poll in polls {
        while let Some((_, entry)) = rows.next_if(|(visible, _)| *visible <= poll.at) {
            store.put(&entry, poll.shards).await;
            expected.insert(entry.product_id(), (entry.version, entry.status));
        }
        loop {
            let now = Timestamp::from_unix_millis(START + poll.at);
            let page = read_feed(store.index(), poll.shards, after, poll.limit, now).await.unwrap();
            assert!(page.items.len() == poll.limit || !page.more);
            for item in page.items {
                assert!(after < Some(item.position), "positions rise");
                assert_eq!(item.product.is_some(), item.status == Status::Active);
                after = Some(item.position);
                seen.insert(item.id, (item.version, item.status));
            }
            if !page.more {
                break;
            }
        }
    }
    assert_eq!(seen, expected);
}

fn run(cases: u32, store: impl AsyncFn() -> Store) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
        .run(&(changes(), polls()), |(changes, polls)| {
            runtime.block_on(async { check(store().await, changes, polls).await });
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn misses_no_change_under_delays_redeliveries_and_raised_shards() {
    run(scale(2_000, 100_000), async || Store::memory());
}

#[test]
fn misses_no_change_over_real_engine() {
    run(scale(20, 500), Store::engine);
}

#[tokio::test]
async fn returns_nothing_before_it_has_settled() {
    let index = MemoryIndex::default();
    index.put(&Entry::new(0, "Lamp", "EUR", 1), 1);
    for (after_record, count) in [(0, 0), (29_999, 0), (30_000, 1)] {
        let now = Timestamp::from_unix_millis(START + after_record);
        assert_eq!(read_feed(&index, 1, None, 20, now).await.unwrap().items.len(), count, "{after_record}");
    }
}

#[tokio::test]
async fn returns_nothing_if_the_clock_is_behind_the_position() {
    // Functions run on several machines, and a position may have been returned by one whose clock is ahead.
    let store = Store::engine().await;
    store.put(&Entry::new(0, "Lamp", "EUR", 1), 1).await;
    let later = Timestamp::from_unix_millis(START + 30_000);
    let page = read_feed(store.index(), 1, None, 20, later).await.unwrap();
    let position = page.items.last().map(|item| item.position);
    for now in [START + 29_999, START] {
        let page = read_feed(store.index(), 1, position, 20, Timestamp::from_unix_millis(now)).await.unwrap();
        assert_eq!((page.items, page.more), (vec![], false), "{now}");
    }
}

#[tokio::test]
async fn exports_whole_catalogue_with_every_limit() {
    let index = MemoryIndex::default();
    for number in 0..100 {
        let entry = Entry::new(number, "Lamp", "EUR", 1);
        index.put(&if number % 3 == 0 { entry.deleted() } else { entry }, [1, 4][number as usize % 2]);
    }
    let now = Timestamp::from_unix_millis(START + 3_600_000);
    for limit in 1..=100 {
        let (mut count, mut after) = (0, None);
        loop {
            let page = read_feed(&index, 4, after, limit, now).await.unwrap();
            count += page.items.len();
            assert!(!page.more || page.items.len() == limit, "limit {limit}");
            assert_eq!(page.more, count < 100, "limit {limit}, after {count}");
            after = page.items.last().map(|item| item.position);
            if !page.more {
                break;
            }
        }
        assert_eq!(count, 100, "limit {limit}");
    }
}
