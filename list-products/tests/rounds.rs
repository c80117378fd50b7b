//! What a page costs: how many rows of how many shards are read, and in how many rounds, wherever the products are.

mod support;

use std::sync::Mutex;

use async_trait::async_trait;
use list_products::models::folded_text::FoldedText;
use list_products::models::identifiers::ProductId;
use list_products::models::money::{Currency, Money};
use list_products::models::product::Product;
use list_products::models::selection::{FeedPosition, NameFilter, Order, Position, PriceRange, Selection};
use list_products::models::timestamp::Timestamp;
use list_products::repositories::dynamodb::DynamoDbIndex;
use list_products::repositories::product_index::{ChangedProduct, IndexError, ProductIndex, Row};
use list_products::services::list_products::{Page, list_products};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};
use support::catalogue::Entry;
use support::memory_index::MemoryIndex;
use support::products_table::TABLE;
use support::scripted_table;

/// A memory index that keeps the number of rows of each read.
#[derive(Default)]
struct Witness {
    index: MemoryIndex,
    reads: Mutex<Vec<(u32, usize)>>,
}

#[async_trait]
impl ProductIndex for Witness {
    async fn by_price(
        &self,
        shard: u32,
        prices: &PriceRange,
        order: Order,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<Vec<Row>, IndexError> {
        let rows = self.index.by_price(shard, prices, order, after, limit).await?;
        self.reads.lock().unwrap().push((shard, rows.len()));
        Ok(rows)
    }

    async fn by_category(
        &self,
        _: &FoldedText,
        _: &PriceRange,
        _: Order,
        _: Option<&Position>,
        _: usize,
    ) -> Result<Vec<Row>, IndexError> {
        unreachable!("lists by price only")
    }

    async fn by_name(&self, _: &NameFilter, _: Option<&Position>, _: usize) -> Result<Vec<Row>, IndexError> {
        unreachable!("lists by price only")
    }

    async fn sku_holder(&self, _: &str) -> Result<Option<ProductId>, IndexError> {
        unreachable!("lists by price only")
    }

    async fn by_ids(&self, _: &[ProductId]) -> Result<Vec<Product>, IndexError> {
        unreachable!("lists by price only")
    }

    async fn changed(
        &self,
        _: u32,
        _: Timestamp,
        _: Option<FeedPosition>,
        _: usize,
    ) -> Result<Vec<ChangedProduct>, IndexError> {
        unreachable!("lists by price only")
    }
}

/// What a page took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    calls: usize,
    rounds: usize,
    rows: usize,
}

impl Witness {
    /// Products of numbers that are hashed over `shards`.
    fn of(products: std::ops::Range<u32>, shards: u32) -> Self {
        let witness = Self::default();
        for number in products {
            witness.index.put(&Entry::new(number, "Lamp", "EUR", u64::from(number)), shards);
        }
        witness
    }

    async fn page(&self, shards: u32, order: Order, after: Option<&Position>, limit: usize) -> (Page, Cost) {
        let page = list_products(self, shards, &selection(order), after, limit).await.unwrap();
        let reads = std::mem::take(&mut *self.reads.lock().unwrap());
        let rounds = |shard| reads.iter().filter(|(read, _)| *read == shard).count();
        let rounds = (0..shards).map(rounds).max().unwrap_or_default();
        (page, Cost { calls: reads.len(), rounds, rows: reads.iter().map(|(_, rows)| rows).sum() })
    }

    /// The page as it is when each shard is asked for all of it.
    async fn plainly(&self, shards: u32, order: Order, after: Option<&Position>, limit: usize) -> Page {
        let mut rows = Vec::new();
        for shard in 0..shards {
            rows.extend(self.index.by_price(shard, &PriceRange::default(), order, None, usize::MAX).await.unwrap());
        }
        rows.retain(|row| after.is_none_or(|after| order.compare(&row.position, after).is_gt()));
        rows.sort_by(|one, other| order.compare(&one.position, &other.position));
        let more = rows.len() > limit;
        rows.truncate(limit);
        Page { rows, more }
    }
}

fn selection(order: Order) -> Selection {
    Selection::ByPrice { category: None, prices: PriceRange::default(), order }
}

#[tokio::test]
async fn reads_at_most_two_rows_per_product_and_seldom_a_second_round() {
    let witness = Witness::of(0..3_000, 4);
    let (mut after, mut pages, mut second_rounds) = (None::<Position>, 0, 0);
    loop {
        let (page, cost) = witness.page(4, Order::Ascending, after.as_ref(), 20).await;
        pages += 1;
        if cost.rounds == 1 {
            assert!(cost.calls == 4 && cost.rows <= 48, "{cost:?}");
        } else {
            second_rounds += 1;
        }
        if !page.more {
            break;
        }
        after = page.rows.last().map(|row| row.position.clone());
    }
    assert_eq!(pages, 150);
    // One in fifty is the most that is meant, which is three; the hashes of these ids are what they are.
    assert!(second_rounds <= 6, "{second_rounds}");
}

#[tokio::test]
async fn reads_two_rounds_if_one_shard_has_all_products() {
    let witness = Witness::of(0..300, 1);
    for shards in [4, 16, 32] {
        for limit in [1, 20, 100] {
            let (page, cost) = witness.page(shards, Order::Ascending, None, limit).await;
            assert_eq!(page, witness.plainly(shards, Order::Ascending, None, limit).await);
            assert!(cost.rounds <= 2 && cost.calls <= shards as usize + 1, "{shards} shards, {limit}: {cost:?}");
            assert!(cost.rows <= limit + 1, "{shards} shards, {limit}: {cost:?}");
        }
    }
    let (_, cost) = witness.page(4, Order::Ascending, None, 20).await;
    assert_eq!(cost, Cost { calls: 5, rounds: 2, rows: 21 });
}

#[tokio::test]
async fn reads_two_rounds_after_shards_were_raised() {
    // As it is after the number of shards was raised.
    let witness = Witness::of(0..1_000, 4);
    let (page, cost) = witness.page(32, Order::Descending, None, 100).await;
    assert_eq!(page, witness.plainly(32, Order::Descending, None, 100).await);
    assert!(cost.rounds == 2 && cost.calls == 36, "{cost:?}");
}

#[tokio::test]
async fn reads_one_round_if_catalogue_is_smaller_than_a_page() {
    for products in [0, 1, 12] {
        let (page, cost) = Witness::of(0..products, 4).page(4, Order::Ascending, None, 20).await;
        assert_eq!((page.rows.len(), page.more), (products as usize, false));
        assert_eq!((cost.calls, cost.rounds, cost.rows), (4, 1, products as usize));
    }
}

/// The answer of a Query that reads these products; `more` if it ends before the partition does.
fn answer(entries: &[Entry], more: bool) -> Value {
    let items: Vec<Value> = entries.iter().map(|entry| scripted_table::item(entry.item(1))).collect();
    let mut answer = json!({"Items": items});
    if more {
        answer["LastEvaluatedKey"] = items.last().unwrap().clone();
    }
    answer
}

#[tokio::test]
async fn requests_only_the_rows_that_a_page_lacks_if_a_read_ends_early() {
    let entries: Vec<Entry> = (0..6).map(|number| Entry::new(number, "Lamp", "EUR", u64::from(number))).collect();
    for (after, first, rest, limits) in [
        (None, &entries[..3], &entries[3..5], [5, 2]),
        // The range begins with the row at the cursor, which is read once more and left out.
        (Some(entries[0].position()), &entries[..3], &entries[3..], [6, 3]),
    ] {
        let (client, requests) = scripted_table::start([answer(first, true), answer(rest, false)]).await;
        let index = DynamoDbIndex::new(client, TABLE);

        let rows = index.by_price(0, &PriceRange::default(), Order::Ascending, after.as_ref(), 5).await.unwrap();

        assert_eq!(rows.len(), 5);
        let requested: Vec<Value> = requests.all().into_iter().map(|request| request["Limit"].clone()).collect();
        assert_eq!(requested, limits);
    }
}

#[tokio::test]
async fn reads_nothing_if_the_cursor_is_after_the_range() {
    let (client, requests) = scripted_table::start([]).await;
    let money = |minor| Money::from_minor_units(minor, Currency::EUR);
    let prices = PriceRange { currency: Some(Currency::EUR), min: money(1), max: money(9) };
    let after = Entry::new(1, "Lamp", "EUR", 10).position();

    let rows = DynamoDbIndex::new(client, TABLE).by_price(0, &prices, Order::Ascending, Some(&after), 5).await.unwrap();

    // DynamoDB refuses a range whose end is before its beginning.
    assert_eq!((rows.len(), requests.all().len()), (0, 0));
}

#[tokio::test]
async fn requests_the_attributes_of_products_and_all_of_the_feed() {
    let (client, requests) = scripted_table::start([json!({"Items": []}), json!({"Items": []})]).await;
    let index = DynamoDbIndex::new(client, TABLE);
    index.by_price(0, &PriceRange::default(), Order::Ascending, None, 5).await.unwrap();
    index.changed(0, Timestamp::now(), None, 5).await.unwrap();

    let [list, feed] = requests.all().try_into().unwrap();
    assert!(list["ProjectionExpression"].as_str().unwrap().contains("#priceMinor"), "{list}");
    assert_eq!(feed["ProjectionExpression"], Value::Null);
}

#[tokio::test]
async fn requests_unprocessed_keys_again_in_at_most_five_rounds() {
    let entries = [Entry::new(1, "Lamp", "EUR", 1), Entry::new(2, "Lamp", "EUR", 2)];
    let [one, other] = entries.each_ref().map(|entry| scripted_table::item(entry.item(1)));
    let unprocessed = json!({TABLE: {"Keys": [{"PK": other["PK"], "SK": other["SK"]}]}});
    let ids = entries.each_ref().map(Entry::product_id);
    let first = json!({"Responses": {TABLE: [one]}, "UnprocessedKeys": unprocessed});
    let nothing = json!({"Responses": {TABLE: []}, "UnprocessedKeys": unprocessed});
    let last = json!({"Responses": {TABLE: [other]}, "UnprocessedKeys": {}});

    let (client, requests) = scripted_table::start([first.clone(), nothing.clone(), last]).await;
    let products = DynamoDbIndex::new(client, TABLE).by_ids(&ids).await.unwrap();
    assert_eq!(products.into_iter().map(|product| product.id).collect::<Vec<_>>(), ids);
    let requested = requests.all().into_iter().map(|request| request["RequestItems"][TABLE]["Keys"].clone());
    assert_eq!(
        requested.skip(1).collect::<Vec<_>>(),
        [unprocessed[TABLE]["Keys"].clone(), unprocessed[TABLE]["Keys"].clone()]
    );

    let (client, requests) = scripted_table::start([vec![first], vec![nothing; 9]].concat()).await;
    let refused = DynamoDbIndex::new(client, TABLE).by_ids(&ids).await;
    assert!(matches!(refused, Err(IndexError::Unavailable(_))), "{refused:?}");
    assert_eq!(requests.all().len(), 5);
}

proptest! {
    #[test]
    fn returns_same_page_as_reading_every_shard_whole(
        products in prop::collection::vec((0..400_u32, 0..5_u64, select(vec![1_u32, 2, 4, 8])), 0..200),
        shards in select(vec![8_u32, 16, 32]),
        order in select(vec![Order::Ascending, Order::Descending]),
        start in prop::option::of(0..200_usize),
        limit in 1..=100_usize,
    ) {
        let witness = Witness::default();
        let mut keys = Vec::new();
        for (number, minor, spread) in products {
            let entry = Entry::new(number, "Lamp", "EUR", minor);
            witness.index.put(&entry, spread);
            keys.push(entry.position());
        }
        let after = start.and_then(|start| keys.get(start));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (page, cost) = witness.page(shards, order, after, limit).await;
            prop_assert_eq!(page, witness.plainly(shards, order, after, limit).await);
            prop_assert!(cost.rounds <= 2, "{:?}", cost);
            Ok(())
        })?;
    }
}
