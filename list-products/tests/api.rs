//! The whole function but for the runtime: a proxy event in, a page out, over a real DynamoDB engine.

mod support;

use lambda_http::Body;
use lambda_http::http::Response;
use list_products::handler::handle;
use list_products::repositories::dynamodb::DynamoDbIndex;
use list_products::repositories::table_keys::{name_pk, shard_of, shard_pk};
use serde_json::{Value, json};
use support::contract::assert_keeps;
use support::gateway::{Call, body};
use support::products_table::{self, TABLE};

const SHARDS: u32 = 4;

struct Catalogue {
    client: aws_sdk_dynamodb::Client,
}

impl Catalogue {
    async fn empty() -> Self {
        Self { client: products_table::start().await }
    }

    /// Stores an active product and returns its id. `number` makes the id.
    async fn add(&self, number: u32, name: &str, currency: &str, minor: u64) -> String {
        let id = id(number);
        products_table::put(&self.client, item(&id, name, currency, minor)).await;
        id
    }

    async fn list(&self, parameters: &[(&str, &str)]) -> Response<Body> {
        let call =
            parameters.iter().fold(Call::new("GET", "/products"), |call, (name, value)| call.parameter(name, value));
        handle(call.request(), &DynamoDbIndex::new(self.client.clone(), TABLE), SHARDS).await
    }

    /// The ids of one page and its next cursor.
    async fn page(&self, parameters: &[(&str, &str)]) -> (Vec<String>, Option<String>) {
        let answer = self.list(parameters).await;
        let page = body(&answer);
        assert_eq!(answer.status(), 200, "{page}");
        assert_keeps("list-page", &page);
        let ids = page["items"].as_array().unwrap().iter().map(|item| item["productId"].as_str().unwrap().to_owned());
        (ids.collect(), page["nextCursor"].as_str().map(str::to_owned))
    }

    /// All pages, one after another, following the cursor.
    async fn walk(&self, parameters: &[(&str, &str)]) -> Vec<Vec<String>> {
        let mut pages = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut with_cursor = parameters.to_vec();
            if let Some(cursor) = &cursor {
                with_cursor.push(("cursor", cursor));
            }
            let (ids, next) = self.page(&with_cursor).await;
            pages.push(ids);
            assert!(pages.len() < 1_000, "the walk does not end");
            if next.is_none() {
                return pages;
            }
            cursor = next;
        }
    }
}

fn id(number: u32) -> String {
    // Ids in an order of their own, so that nothing is in order by accident.
    format!("{:08x}-0000-4000-8000-000000000000", number.wrapping_mul(2_654_435_761))
}

fn item(id: &str, name: &str, currency: &str, minor: u64) -> Value {
    let mut item = products_table::product(id);
    item["GSI1_PK"] = json!(shard_pk(shard_of(id.parse().unwrap(), SHARDS)));
    item["GSI1_SK"] = json!(format!("{currency}#{minor:016}#{id}"));
    item["GSI2_PK"] = json!(name_pk(name));
    item["name"] = json!(name);
    item["currency"] = json!(currency);
    item["priceMinor"] = json!(minor);
    item
}

#[tokio::test]
async fn an_empty_catalogue_is_an_empty_page() {
    assert_eq!(body(&Catalogue::empty().await.list(&[]).await), json!({"items": [], "nextCursor": null}));
}

#[tokio::test]
async fn pages_follow_one_another_from_the_cheapest_to_the_dearest_and_back() {
    let catalogue = Catalogue::empty().await;
    let mut by_price = Vec::new();
    for number in 0..53 {
        // Several products of one price: their ids decide.
        let minor = u64::from(number % 7) * 250;
        by_price.push((minor, catalogue.add(number, "Chair", "EUR", minor).await));
    }
    by_price.sort();
    let sorted: Vec<String> = by_price.into_iter().map(|(_, id)| id).collect();

    for limit in ["1", "2", "7", "52", "53", "54", "100"] {
        let pages = catalogue.walk(&[("limit", limit)]).await;
        assert_eq!(pages.concat(), sorted, "limit {limit}");
        let size: usize = limit.parse().unwrap();
        assert!(pages.iter().rev().skip(1).all(|page| page.len() == size), "limit {limit}");
        assert!(pages.iter().all(|page| !page.is_empty()), "limit {limit}: no page is empty, and none after the last");
    }
    let mut backwards = catalogue.walk(&[("sort", "-price"), ("limit", "10")]).await.concat();
    backwards.reverse();
    assert_eq!(backwards, sorted);
    assert_eq!(catalogue.page(&[]).await.0.len(), 20, "twenty when no limit is given");
}

#[tokio::test]
async fn only_the_currency_and_prices_asked_for_are_listed() {
    let catalogue = Catalogue::empty().await;
    let mut euros = Vec::new();
    for (number, minor) in [(1, 0), (2, 999), (3, 1_000), (4, 1_500), (5, 2_000), (6, 2_001)] {
        euros.push(catalogue.add(number, "Lamp", "EUR", minor).await);
    }
    let dollar = catalogue.add(7, "Lamp", "USD", 1_500).await;

    assert_eq!(catalogue.walk(&[("currency", "EUR"), ("limit", "4")]).await.concat(), euros);
    assert_eq!(catalogue.page(&[("currency", "USD")]).await.0, [dollar]);
    let range = [("currency", "EUR"), ("minPrice", "10"), ("maxPrice", "20.00"), ("limit", "2")];
    assert_eq!(catalogue.walk(&range).await, [&euros[2..4], &euros[4..5]]);
    assert_eq!(catalogue.page(&[("currency", "EUR"), ("minPrice", "20.01")]).await.0, &euros[5..]);
    assert_eq!(catalogue.page(&[("currency", "EUR"), ("maxPrice", "0")]).await.0, &euros[..1]);
    assert_eq!(catalogue.page(&[("currency", "GBP")]).await.0, [""; 0]);
}

#[tokio::test]
async fn a_name_is_found_whatever_its_case_and_white_space() {
    let catalogue = Catalogue::empty().await;
    let mut tables = Vec::new();
    for (number, name) in [(1, "Oak table"), (2, "OAK  TABLE"), (3, "oak\u{a0}table")] {
        tables.push(catalogue.add(number, name, "EUR", u64::from(number)).await);
    }
    catalogue.add(4, "Oak table XL", "EUR", 1).await;

    assert_eq!(catalogue.walk(&[("name", " oak Table "), ("limit", "2")]).await, [&tables[..2], &tables[2..]]);
    assert_eq!(catalogue.page(&[("name", "no such table")]).await.0, [""; 0]);
}

#[tokio::test]
async fn a_product_that_is_no_longer_active_is_not_listed() {
    let catalogue = Catalogue::empty().await;
    let shown = catalogue.add(1, "Lamp", "EUR", 1).await;
    let mut tombstone = item(&id(2), "Lamp", "EUR", 2);
    for key in ["GSI1_PK", "GSI1_SK", "GSI2_PK"] {
        tombstone.as_object_mut().unwrap().remove(key);
    }
    tombstone["status"] = json!("DELETED");
    products_table::put(&catalogue.client, tombstone.clone()).await;
    // What no function writes, but a hand might: a deleted product that kept its keys.
    let mut edited = item(&id(3), "Lamp", "EUR", 3);
    edited["status"] = json!("DELETED");
    products_table::put(&catalogue.client, edited).await;

    assert_eq!(catalogue.walk(&[("limit", "1")]).await.concat(), [shown.as_str()]);
    assert_eq!(catalogue.walk(&[("name", "lamp"), ("limit", "1")]).await.concat(), [shown]);
}

#[tokio::test]
async fn large_products_are_read_whole_and_end_a_page_before_it_grows_too_large() {
    let catalogue = Catalogue::empty().await;
    let mut all = Vec::new();
    for number in 0..100_u32 {
        let mut large = item(&id(number), "Book", "EUR", u64::from(number));
        // Within the contract's limits, some 54 kB: a quarter of a hundred is more than DynamoDB answers at once.
        let texts = (0..50).map(|attribute| (format!("attribute {attribute}"), json!("é".repeat(500))));
        large["attributes"] = Value::Object(texts.collect());
        products_table::put(&catalogue.client, large).await;
        all.push(id(number));
    }

    let first = catalogue.list(&[("limit", "100")]).await;

    assert!(first.body().len() < 3_000_000, "{}", first.body().len());
    let pages = catalogue.walk(&[("limit", "100")]).await;
    assert_eq!(pages.concat(), all);
    assert!(pages.len() > 1);
}

#[tokio::test]
async fn a_query_that_cannot_be_used_is_refused_with_all_its_faults() {
    let catalogue = Catalogue::empty().await;
    let answer = catalogue.list(&[("limit", "0"), ("colour", "red"), ("sort", "price"), ("sort", "price")]).await;

    assert_eq!(answer.status(), 400);
    assert_keeps("error", &body(&answer));
    assert_eq!(body(&answer)["error"]["code"], "INVALID_PARAMETER");
    let details = body(&answer)["error"]["details"].as_array().unwrap().clone();
    let mut fields: Vec<_> = details.iter().map(|detail| detail["field"].as_str().unwrap()).collect();
    fields.sort_unstable();
    assert_eq!(fields, ["colour", "limit", "sort"]);
}

#[tokio::test]
async fn a_cursor_of_another_query_or_of_nobody_is_refused() {
    let catalogue = Catalogue::empty().await;
    for number in 0..3 {
        catalogue.add(number, "Lamp", "EUR", 1).await;
    }
    let (_, cursor) = catalogue.page(&[("limit", "1")]).await;
    let cursor = cursor.unwrap();

    for parameters in
        [vec![("cursor", cursor.as_str()), ("currency", "EUR")], vec![("cursor", "eyJ2IjoxfQ")], vec![("cursor", "")]]
    {
        let answer = catalogue.list(&parameters).await;
        assert_eq!(answer.status(), 400, "{parameters:?}");
        assert_keeps("error", &body(&answer));
        assert_eq!(body(&answer)["error"]["code"], "INVALID_CURSOR", "{parameters:?}");
    }
}

#[tokio::test]
async fn an_index_that_cannot_be_reached_is_a_503_that_says_when_to_try_again() {
    let index = DynamoDbIndex::new(products_table::unreachable(), TABLE);

    let answer = handle(Call::new("GET", "/products").request(), &index, SHARDS).await;

    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "1");
    assert_keeps("error", &body(&answer));
}
