//! Following the cursor returns the whole list in order, by price, category, name and name prefix, while products are created,
//! changed and deleted and shards are added between the pages.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};

use list_products::handler::handle;
use list_products::http::proxy_integration::serve;
use list_products::models::selection::Position;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use support::catalogue::{Entry, id};
use support::gateway::{Call, body};
use support::scale::scale;
use support::store::Store;

const CURRENCIES: [&str; 3] = ["EUR", "JPY", "USD"];
const NAMES: [&str; 5] = ["Oak table", "OAK  table", "Oak", "Stra\u{df}e", "Lamp"];
const CATEGORIES: [&str; 3] = ["Furniture", "FURNITURE", "lights"];

/// A query, and the same rule implemented a second time.
#[derive(Clone, Debug, Default)]
struct Question {
    name: Option<&'static str>,
    prefix: Option<&'static str>,
    category: Option<&'static str>,
    currency: Option<&'static str>,
    /// In whole units of the currency.
    min: Option<u64>,
    max: Option<u64>,
    descending: bool,
}

impl Question {
    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = Vec::new();
        parameters.extend(self.name.map(|name| ("name", name.to_owned())));
        parameters.extend(self.prefix.map(|prefix| ("namePrefix", prefix.to_owned())));
        parameters.extend(self.category.map(|category| ("category", category.to_owned())));
        parameters.extend(self.currency.map(|currency| ("currency", currency.to_owned())));
        parameters.extend(self.min.map(|price| ("minPrice", price.to_string())));
        parameters.extend(self.max.map(|price| ("maxPrice", price.to_string())));
        parameters.extend(self.descending.then(|| ("sort", "-price".to_owned())));
        parameters
    }

    fn selects(&self, entry: &Entry) -> bool {
        let unit = if entry.currency == "JPY" { 1 } else { 100 };
        self.name.is_none_or(|name| folded(name) == folded(entry.name))
            && self.prefix.is_none_or(|prefix| folded(entry.name).starts_with(&folded(prefix)))
            && self.category.is_none_or(|category| entry.category.is_some_and(|own| folded(category) == folded(own)))
            && self.currency.is_none_or(|currency| currency == entry.currency)
            && self.min.is_none_or(|price| entry.minor >= price * unit)
            && self.max.is_none_or(|price| entry.minor <= price * unit)
    }

    fn position(&self, entry: &Entry) -> Position {
        if self.name.is_some() || self.prefix.is_some() { entry.position_by_name() } else { entry.position() }
    }
}

/// Caseless matching, as far as these names need it.
fn folded(text: &str) -> String {
    text.replace('\u{df}', "ss").split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// What happens between two pages.
#[derive(Clone, Debug)]
enum Happening {
    Insert(Entry),
    Delete(Index),
    Reprice(Index, u64),
    /// Another name and category, so that the product moves in the other lists.
    Rename(Index, &'static str, Option<&'static str>),
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
    let category = prop::option::of(select(&CATEGORIES[..]));
    (numbers, select(&NAMES[..]), select(&CURRENCIES[..]), 0..60_u64, category).prop_map(
        |(number, name, currency, price, category)| Entry {
            category,
            ..Entry::new(number, name, currency, price * 50)
        },
    )
}

fn question() -> impl Strategy<Value = Question> {
    let by_price = (
        prop::option::weighted(0.3, select(&["furniture", "Lights", "none"][..])),
        prop::option::weighted(0.6, select(&CURRENCIES[..])),
        prop::option::of(0..20_u64),
        prop::option::of(10..30_u64),
        any::<bool>(),
    )
        .prop_map(|(category, currency, min, max, descending)| {
            let min = min.filter(|min| currency.is_some() && max.is_none_or(|max| *min <= max));
            let max = max.filter(|_| currency.is_some());
            Question { category, currency, min, max, descending, ..Question::default() }
        });
    let by_name = select(&["oak TABLE", "lamp", "STRASSE", "no such name"][..])
        .prop_map(|name| Question { name: Some(name), ..Question::default() });
    let by_prefix = select(&["OA", "oak t", "stras", "lamp", "zz"][..])
        .prop_map(|prefix| Question { prefix: Some(prefix), ..Question::default() });
    prop_oneof![4 => by_price, 1 => by_name, 1 => by_prefix]
}

/// Walks through catalogues of up to `most` products in which, with `changing`, things happen on the way.
fn walks(most: usize, changing: bool) -> impl Strategy<Value = Walk> {
    let happening = prop_oneof![
        3 => entry(1_000_000..2_000_000).prop_map(Happening::Insert),
        3 => any::<Index>().prop_map(Happening::Delete),
        1 => (any::<Index>(), 0..3_000_u64).prop_map(|(index, minor)| Happening::Reprice(index, minor)),
        1 => (any::<Index>(), select(&NAMES[..]), prop::option::of(select(&CATEGORIES[..])))
            .prop_map(|(index, name, category)| Happening::Rename(index, name, category)),
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

    let mut seen: Vec<(Position, String)> = Vec::new();
    let mut cursor = None;
    for number in 1.. {
        let limit = limits[number % limits.len()];
        let (items, next) = page(&store, shards, &question, limit, cursor.as_deref()).await;
        prop_assert!(items.len() == limit || (items.len() < limit && next.is_none()), "page {} is not full", number);
        let may_be_empty = number == 1 || !happenings.is_empty();
        prop_assert!(may_be_empty || !items.is_empty(), "a cursor led to an empty page though nothing was deleted");
        PAGES.fetch_add(1, Ordering::Relaxed);
        SEEN.fetch_add(items.len(), Ordering::Relaxed);
        for (id, price) in items {
            let entry = now.get(&id);
            prop_assert!(entry.is_some_and(|entry| entry.price().to_string() == price), "{} is not what is stored", id);
            let entry = entry.unwrap();
            prop_assert!(question.selects(entry), "{:?} was not asked for", entry);
            seen.push((question.position(entry), id));
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
    let of_those = |ids: Vec<&(Position, String)>| ids.into_iter().map(|(_, id)| id.clone()).collect::<Vec<_>>();
    let mut expected: Vec<(Position, String)> = now
        .values()
        .filter(|entry| stayed.contains(&entry.id()) && question.selects(entry))
        .map(|entry| (question.position(entry), entry.id()))
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
        Happening::Rename(index, name, category) => {
            if let Some(entry) = at(index, now) {
                let changed = Entry { name, category: *category, ..entry };
                store.put(&changed, *shards).await;
                stayed.remove(&changed.id());
                now.insert(changed.id(), changed);
            }
        }
        Happening::Raise(number) => *shards = (*shards).max(*number),
    }
}

/// Pages and products that the walks of this program have seen, for the report.
static PAGES: AtomicUsize = AtomicUsize::new(0);
static SEEN: AtomicUsize = AtomicUsize::new(0);

fn run(cases: u32, walks: impl Strategy<Value = Walk>, store: impl AsyncFn() -> Store) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() })
        .run(&walks, |walk| runtime.block_on(async { check(store().await, walk).await }))
        .unwrap_or_else(|error| panic!("{error}"));
    let [pages, seen] = [&PAGES, &SEEN].map(|count| count.load(Ordering::Relaxed));
    println!("{cases} walks; {pages} pages with {seen} products so far");
}

#[test]
fn returns_whole_list_in_order() {
    run(scale(100, 2_000), walks(2_000, false), async || Store::memory());
}

#[test]
fn skips_and_repeats_nothing_while_products_and_shards_change() {
    run(scale(200, 5_000), walks(2_000, true), async || Store::memory());
}

#[test]
fn skips_and_repeats_nothing_over_real_engine() {
    run(scale(8, 300), walks(2_000, true), Store::engine);
}

#[tokio::test]
async fn returns_same_list_with_every_limit() {
    let store = Store::memory();
    for number in 0..250 {
        let place = number as usize;
        store.put(&Entry::new(number, NAMES[place % 3], CURRENCIES[place % 2], u64::from(number % 40)), 4).await;
    }
    let ids: BTreeSet<String> = (0..250).map(id).collect();
    for descending in [false, true] {
        let question = Question { descending, ..Question::default() };
        let mut wholes = BTreeSet::new();
        for limit in 1..=100 {
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let (items, next) = page(&store, 4, &question, limit, cursor.as_deref()).await;
                seen.extend(items.into_iter().map(|(id, _)| id));
                assert!(seen.len() <= ids.len(), "limit {limit}");
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
