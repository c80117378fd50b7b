//! Whoever follows the cursor sees the sorted whole: page by page, in both orders, while products come and go and shards
//! are added.

mod support;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_dynamodb::types::AttributeValue;
use list_products::handler::handle;
use list_products::http::proxy_integration::serve;
use list_products::repositories::dynamodb::DynamoDbIndex;
use list_products::repositories::product_index::ProductIndex;
use list_products::repositories::table_keys::{META, name_pk, product_pk};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use support::catalogue::{Entry, id};
use support::gateway::{Call, body};
use support::memory_index::MemoryIndex;
use support::products_table::{self, TABLE};

const CURRENCIES: [&str; 3] = ["EUR", "JPY", "USD"];
const NAMES: [&str; 3] = ["Oak table", "OAK  table", "Lamp"];

/// Where products are stored and listed from.
enum Store {
    Memory(MemoryIndex),
    Engine { client: aws_sdk_dynamodb::Client, index: DynamoDbIndex },
}

impl Store {
    async fn engine() -> Self {
        let client = products_table::start().await;
        Self::Engine { index: DynamoDbIndex::new(client.clone(), TABLE), client }
    }

    fn index(&self) -> &dyn ProductIndex {
        match self {
            Self::Memory(index) => index,
            Self::Engine { index, .. } => index,
        }
    }

    async fn put(&self, entry: &Entry, shards: u32) {
        match self {
            Self::Memory(index) => index.put(entry, shards),
            Self::Engine { client, .. } => products_table::put(client, entry.item(shards)).await,
        }
    }

    async fn remove(&self, entry: &Entry) {
        match self {
            Self::Memory(index) => index.remove(entry),
            Self::Engine { client, .. } => {
                let key = |text: String| AttributeValue::S(text);
                let item = client.delete_item().table_name(TABLE).key("PK", key(product_pk(entry.product_id())));
                item.key("SK", key(META.to_owned())).send().await.unwrap();
            }
        }
    }
}

/// A request, and the same rule implemented a second time.
#[derive(Clone, Debug)]
struct Question {
    name: Option<&'static str>,
    currency: Option<&'static str>,
    /// In whole units of the currency.
    least: Option<u64>,
    most: Option<u64>,
    descending: bool,
}

impl Question {
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = Vec::new();
        parameters.extend(self.name.map(|name| ("name", name.to_owned())));
        parameters.extend(self.currency.map(|currency| ("currency", currency.to_owned())));
        parameters.extend(self.least.map(|price| ("minPrice", price.to_string())));
        parameters.extend(self.most.map(|price| ("maxPrice", price.to_string())));
        parameters.extend(self.descending.then(|| ("sort", "-price".to_owned())));
        parameters
    }

    fn asks_for(&self, entry: &Entry) -> bool {
        let unit = if entry.currency == "JPY" { 1 } else { 100 };
        self.name.is_none_or(|name| name_pk(name) == name_pk(entry.name))
            && self.currency.is_none_or(|currency| currency == entry.currency)
            && self.least.is_none_or(|price| entry.minor >= price * unit)
            && self.most.is_none_or(|price| entry.minor <= price * unit)
    }
}

/// What happens between two pages.
#[derive(Clone, Debug)]
enum Happening {
    Insert(Entry),
    Delete(Index),
    Reprice(Index, u64),
    /// From now on, lists read this number of shards, and writes are spread over as many.
    Raise(u32),
}

#[derive(Clone, Debug)]
struct Walk {
    /// By number. Those from 1,000,000 on are inserted later.
    products: Vec<Entry>,
    shards: u32,
    question: Question,
    limits: Vec<usize>,
    /// What happens after which page.
    happenings: BTreeMap<usize, Vec<Happening>>,
}

fn entry(numbers: std::ops::Range<u32>) -> impl Strategy<Value = Entry> {
    (numbers, select(&NAMES[..]), select(&CURRENCIES[..]), 0..60_u64)
        .prop_map(|(number, name, currency, price)| Entry::new(number, name, currency, price * 50))
}

fn question() -> impl Strategy<Value = Question> {
    let priced = (
        prop::option::weighted(0.6, select(&CURRENCIES[..])),
        prop::option::of(0..20_u64),
        prop::option::of(10..30_u64),
        any::<bool>(),
    )
        .prop_map(|(currency, least, most, descending)| {
            let least = least.filter(|least| currency.is_some() && most.is_none_or(|most| *least <= most));
            Question { name: None, currency, least, most: most.filter(|_| currency.is_some()), descending }
        });
    let named = select(&["oak TABLE", "lamp", "no such name"][..]).prop_map(|name| Question {
        name: Some(name),
        currency: None,
        least: None,
        most: None,
        descending: false,
    });
    prop_oneof![4 => priced, 1 => named]
}

/// Walks through catalogues of up to `most` products in which, with `changing`, things happen on the way.
fn walks(most: usize, changing: bool) -> impl Strategy<Value = Walk> {
    let happening = prop_oneof![
        3 => entry(1_000_000..2_000_000).prop_map(Happening::Insert),
        3 => any::<Index>().prop_map(Happening::Delete),
        1 => (any::<Index>(), 0..3_000_u64).prop_map(|(index, minor)| Happening::Reprice(index, minor)),
        1 => select(vec![4, 8, 16]).prop_map(Happening::Raise),
    ];
    let happenings = prop::collection::btree_map(1..30_usize, prop::collection::vec(happening, 1..6), 0..12);
    (
        prop::collection::vec(entry(0..1_000_000), 0..=most),
        select(vec![1, 4, 8]),
        question(),
        prop_oneof![3 => prop::collection::vec(1..=100_usize, 1), 1 => prop::collection::vec(1..=100_usize, 1..8)],
        if changing { happenings.boxed() } else { Just(BTreeMap::new()).boxed() },
    )
        .prop_map(|(mut products, shards, question, limits, happenings)| {
            let mut known = BTreeSet::new();
            products.retain(|entry| known.insert(entry.number));
            Walk { products, shards, question, limits, happenings }
        })
}

/// The ids of one page, and the cursor.
async fn page(
    store: &Store,
    shards: u32,
    question: &Question,
    limit: usize,
    cursor: Option<&str>,
) -> (Vec<(String, String)>, Option<String>) {
    let mut call = Call::new("GET", "/products").parameter("limit", &limit.to_string());
    for (name, value) in question.parameters() {
        call = call.parameter(name, &value);
    }
    if let Some(cursor) = cursor {
        call = call.parameter("cursor", cursor);
    }
    let answer = call.answered_by(|event| serve(event, |request| handle(request, store.index(), shards))).await;
    let page = body(&answer);
    assert_eq!(answer.status(), 200, "{page}");
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let items = page["items"].as_array().unwrap().iter();
    (
        items.map(|item| (text(&item["productId"]), text(&item["price"]))).collect(),
        page["nextCursor"].as_str().map(str::to_owned),
    )
}

/// Goes through all pages and checks what was seen.
async fn check(store: Store, walk: Walk) -> Result<(), TestCaseError> {
    let Walk { products, mut shards, question, limits, happenings } = walk;
    for entry in &products {
        store.put(entry, shards).await;
    }
    let mut now: BTreeMap<String, Entry> = products.into_iter().map(|entry| (entry.id(), entry)).collect();
    let mut stayed: BTreeSet<String> = now.keys().cloned().collect();

    let mut seen: Vec<(String, String)> = Vec::new();
    let mut cursor = None;
    for number in 1.. {
        let limit = limits[number % limits.len()];
        let (items, next) = page(&store, shards, &question, limit, cursor.as_deref()).await;
        prop_assert!(items.len() == limit || (items.len() < limit && next.is_none()), "page {} is not full", number);
        let may_be_empty = number == 1 || !happenings.is_empty();
        prop_assert!(may_be_empty || !items.is_empty(), "a cursor led to an empty page though nothing was deleted");
        for (id, price) in items {
            let entry = now.get(&id);
            prop_assert!(entry.is_some_and(|entry| entry.price().to_string() == price), "{} is not what is stored", id);
            let entry = entry.unwrap();
            prop_assert!(question.asks_for(entry), "{:?} was not asked for", entry);
            seen.push((entry.sort_key(), id));
        }
        cursor = next;
        if cursor.is_none() {
            break;
        }
        for happening in happenings.get(&number).into_iter().flatten() {
            happen(&store, happening, &mut now, &mut stayed, &mut shards).await;
        }
        prop_assert!(number < 10_000, "the walk does not end");
    }

    let in_order = if question.descending {
        seen.is_sorted_by(|one, next| one.0 > next.0)
    } else {
        seen.is_sorted_by(|one, next| one.0 < next.0)
    };
    prop_assert!(in_order, "not in order, or repeated: {:?}", seen);
    let of_those = |ids: Vec<&(String, String)>| ids.into_iter().map(|(_, id)| id.clone()).collect::<Vec<_>>();
    let mut expected: Vec<(String, String)> = now
        .values()
        .filter(|entry| stayed.contains(&entry.id()) && question.asks_for(entry))
        .map(|entry| (entry.sort_key(), entry.id()))
        .collect();
    expected.sort();
    if question.descending {
        expected.reverse();
    }
    let seen_stayed: Vec<_> = seen.iter().filter(|(_, id)| stayed.contains(id)).collect();
    prop_assert_eq!(of_those(seen_stayed), of_those(expected.iter().collect()), "skipped or repeated");
    if happenings.is_empty() {
        prop_assert_eq!(seen, expected);
    }
    Ok(())
}

async fn happen(
    store: &Store,
    happening: &Happening,
    now: &mut BTreeMap<String, Entry>,
    stayed: &mut BTreeSet<String>,
    shards: &mut u32,
) {
    let at = |index: &Index, now: &BTreeMap<String, Entry>| {
        (!now.is_empty()).then(|| now.values().nth(index.index(now.len())).unwrap().clone())
    };
    match happening {
        Happening::Insert(entry) => {
            store.put(entry, *shards).await;
            now.insert(entry.id(), entry.clone());
        }
        Happening::Delete(index) => {
            if let Some(entry) = at(index, now) {
                store.remove(&entry).await;
                now.remove(&entry.id());
                stayed.remove(&entry.id());
            }
        }
        Happening::Reprice(index, minor) => {
            if let Some(entry) = at(index, now) {
                let changed = Entry { minor: *minor, ..entry };
                store.put(&changed, *shards).await;
                stayed.remove(&changed.id());
                now.insert(changed.id(), changed);
            }
        }
        Happening::Raise(number) => *shards = (*shards).max(*number),
    }
}

fn run(cases: u32, walks: impl Strategy<Value = Walk>, store: impl AsyncFn() -> Store) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
        .run(&walks, |walk| runtime.block_on(async { check(store().await, walk).await }))
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn pages_concatenate_to_the_sorted_whole() {
    run(100, walks(2_000, false), async || Store::Memory(MemoryIndex::default()));
}

#[test]
fn nothing_that_stays_is_skipped_or_repeated_while_products_come_and_go_and_shards_are_added() {
    run(200, walks(2_000, true), async || Store::Memory(MemoryIndex::default()));
}

#[test]
fn the_same_over_a_real_engine() {
    run(8, walks(2_000, true), Store::engine);
}

#[tokio::test]
async fn every_limit_gives_the_same_whole_in_both_orders() {
    let store = Store::Memory(MemoryIndex::default());
    for number in 0..250 {
        let place = number as usize;
        store.put(&Entry::new(number, NAMES[place % 3], CURRENCIES[place % 2], u64::from(number % 40)), 4).await;
    }
    let ids: BTreeSet<String> = (0..250).map(id).collect();
    for descending in [false, true] {
        let question = Question { name: None, currency: None, least: None, most: None, descending };
        let mut wholes = BTreeSet::new();
        for limit in 1..=100 {
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let (items, next) = page(&store, 4, &question, limit, cursor.as_deref()).await;
                seen.extend(items.into_iter().map(|(id, _)| id));
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(seen.len(), ids.len(), "limit {limit}");
            assert_eq!(seen.iter().cloned().collect::<BTreeSet<_>>(), ids, "limit {limit}");
            wholes.insert(seen);
        }
        assert_eq!(wholes.len(), 1, "the limit changes the order");
    }
}
