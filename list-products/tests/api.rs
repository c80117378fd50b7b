//! The whole function but for the runtime: a proxy event in, a page out, over a real DynamoDB engine.

mod support;

use lambda_http::Body;
use lambda_http::http::Response;
use list_products::handler::handle;
use list_products::http::proxy_integration::serve;
use list_products::repositories::dynamodb::DynamoDbIndex;
use serde_json::{Value, json};
use support::catalogue::{Entry, id};
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
    async fn add(&self, number: u32, name: &'static str, currency: &'static str, minor: u64) -> String {
        products_table::put(&self.client, item(number, name, currency, minor)).await;
        id(number)
    }

    async fn list(&self, parameters: &[(&str, &str)]) -> Response<Body> {
        let call =
            parameters.iter().fold(Call::new("GET", "/products"), |call, (name, value)| call.parameter(name, value));
        let index = DynamoDbIndex::new(self.client.clone(), TABLE);
        call.answered_by(|event| serve(event, |request| handle(request, &index, SHARDS))).await
    }

    /// The ids of one page and its next cursor.
    async fn page(&self, parameters: &[(&str, &str)]) -> (Vec<String>, Option<String>) {
        let answer = self.list(parameters).await;
        let page = body(&answer);
        assert_eq!(answer.status(), 200, "{page}");
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

fn item(number: u32, name: &'static str, currency: &'static str, minor: u64) -> Value {
    Entry::new(number, name, currency, minor).item(SHARDS)
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
    let mut tombstone = item(2, "Lamp", "EUR", 2);
    for key in ["GSI1_PK", "GSI1_SK", "GSI2_PK"] {
        tombstone.as_object_mut().unwrap().remove(key);
    }
    tombstone["status"] = json!("DELETED");
    products_table::put(&catalogue.client, tombstone.clone()).await;
    // What no function writes, but a hand might: deleted products that kept their keys, more of them than a page holds.
    for number in 3..30 {
        let mut edited = item(number, "Lamp", "EUR", 3);
        edited["status"] = json!("DELETED");
        products_table::put(&catalogue.client, edited).await;
    }
    let behind = catalogue.add(30, "Lamp", "EUR", 4).await;

    assert_eq!(catalogue.walk(&[("limit", "1")]).await, [[shown.clone()], [behind.clone()]]);
    assert_eq!(catalogue.walk(&[("name", "lamp"), ("limit", "1")]).await.concat(), [shown, behind]);
}

#[tokio::test]
async fn large_products_are_read_whole_and_end_a_page_before_it_grows_too_large() {
    let catalogue = Catalogue::empty().await;
    let mut all = Vec::new();
    for number in 0..100_u32 {
        let mut large = item(number, "Book", "EUR", u64::from(number));
        // Within the contract's limits, about 54 kB: a quarter of a hundred is more than one DynamoDB response holds.
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
        assert_eq!(body(&answer)["error"]["code"], "INVALID_CURSOR", "{parameters:?}");
    }
}

#[tokio::test]
async fn an_index_that_cannot_be_reached_is_a_503_that_says_when_to_try_again() {
    let index = DynamoDbIndex::new(products_table::unreachable(), TABLE);

    let answer = Call::new("GET", "/products")
        .answered_by(|event| serve(event, |request| handle(request, &index, SHARDS)))
        .await;

    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "1");
}
