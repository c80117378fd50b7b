//! The function without its runtime: a proxy event in, a page out, over a real DynamoDB engine.

mod support;

use lambda_http::Body;
use lambda_http::http::Response;
use list_products::handler::handle;
use list_products::http::cursor;
use list_products::http::parameters::{ListParameters, canonical};
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

    /// Stores a product with its SKU's claim.
    async fn put(&self, entry: &Entry) -> String {
        products_table::put(&self.client, entry.item(SHARDS)).await;
        products_table::put(&self.client, entry.claim()).await;
        entry.id()
    }

    async fn list(&self, parameters: &[(&str, &str)]) -> Response<Body> {
        self.get("/products", parameters).await
    }

    async fn get(&self, resource: &str, parameters: &[(&str, &str)]) -> Response<Body> {
        let call =
            parameters.iter().fold(Call::new("GET", resource), |call, (name, value)| call.parameter(name, value));
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
async fn returns_empty_page_for_empty_catalogue() {
    assert_eq!(body(&Catalogue::empty().await.list(&[]).await), json!({"items": [], "nextCursor": null}));
}

#[tokio::test]
async fn returns_pages_by_ascending_and_descending_price() {
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
async fn selects_by_currency_and_price_range() {
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
async fn finds_name_by_canonical_caseless_matching() {
    let catalogue = Catalogue::empty().await;
    let mut tables = Vec::new();
    for (number, name) in [(1, "Oak table"), (2, "OAK  TABLE"), (3, "oak\u{a0}table")] {
        tables.push(catalogue.add(number, name, "EUR", u64::from(number)).await);
    }
    catalogue.add(4, "Oak table XL", "EUR", 1).await;
    let street = catalogue.add(5, "Stra\u{df}e", "EUR", 1).await;
    let cafe = catalogue.add(6, "Caf\u{e9}", "EUR", 1).await;

    assert_eq!(catalogue.walk(&[("name", " oak Table "), ("limit", "2")]).await, [&tables[..2], &tables[2..]]);
    assert_eq!(catalogue.page(&[("name", "no such table")]).await.0, [""; 0]);
    assert_eq!(catalogue.page(&[("name", "STRASSE")]).await.0, [street]);
    assert_eq!(catalogue.page(&[("name", "CAFE\u{301}")]).await.0, [cafe]);
}

#[tokio::test]
async fn finds_names_by_prefix_in_order_of_names() {
    let catalogue = Catalogue::empty().await;
    let mut expected = Vec::new();
    for (number, name) in [(1, "Oak"), (2, "oak  Bench"), (3, "OAK table"), (4, "Oaks"), (5, "\u{d6}land")] {
        expected.push(catalogue.add(number, name, "EUR", u64::from(10 - number)).await);
    }
    catalogue.add(6, "Ok", "EUR", 1).await;

    assert_eq!(catalogue.walk(&[("namePrefix", "oAk"), ("limit", "3")]).await, [&expected[..3], &expected[3..4]]);
    assert_eq!(catalogue.page(&[("namePrefix", "oak t")]).await.0, expected[2..3]);
    assert_eq!(catalogue.page(&[("namePrefix", "O\u{308}la")]).await.0, expected[4..]);
    assert_eq!(catalogue.page(&[("namePrefix", "zz")]).await.0, [""; 0]);
}

#[tokio::test]
async fn distinguishes_long_names_that_share_a_key() {
    // Folding makes three characters of each of these: the key holds the first 900 bytes of 1,194.
    let [one, other] = ["a", "b"].map(|end| format!("{}{end}", "\u{390}".repeat(199)));
    let catalogue = Catalogue::empty().await;
    let (one, other): (&'static str, &'static str) = (one.leak(), other.leak());
    let ids = [catalogue.add(1, one, "EUR", 1).await, catalogue.add(2, other, "EUR", 2).await];

    assert_eq!(catalogue.walk(&[("name", one), ("limit", "1")]).await, [[ids[0].clone()]]);
    assert_eq!(catalogue.walk(&[("name", other), ("limit", "1")]).await, [[ids[1].clone()]]);
    assert_eq!(catalogue.walk(&[("namePrefix", &one[..398]), ("limit", "1")]).await.concat(), ids);
}

#[tokio::test]
async fn selects_by_price_within_a_category() {
    let catalogue = Catalogue::empty().await;
    let mut chairs = Vec::new();
    for number in 1..6_u32 {
        let category = if number % 2 == 0 { "Garden  chairs" } else { "GARDEN CHAIRS" };
        let entry = Entry::new(number, "Chair", "EUR", u64::from(number) * 100).in_category(category);
        chairs.push(catalogue.put(&entry).await);
    }
    catalogue.put(&Entry::new(7, "Table", "EUR", 100).in_category("tables")).await;
    catalogue.put(&Entry::new(8, "Bench", "EUR", 100)).await;
    catalogue.put(&Entry::new(9, "Chair", "EUR", 100).in_category("garden chairs").deleted()).await;

    assert_eq!(catalogue.walk(&[("category", "garden chairs"), ("limit", "2")]).await.concat(), chairs);
    let range = [("category", "Garden Chairs"), ("currency", "EUR"), ("minPrice", "2"), ("maxPrice", "4")];
    assert_eq!(catalogue.page(&range).await.0, chairs[1..4]);
    let descending = [&range[..], &[("sort", "-price"), ("limit", "2")]].concat();
    assert_eq!(catalogue.walk(&descending).await.concat(), [&chairs[3], &chairs[2], &chairs[1]].map(String::clone));
    assert_eq!(catalogue.page(&[("category", "none")]).await.0, [""; 0]);
}

#[tokio::test]
async fn finds_the_one_product_with_a_sku() {
    let catalogue = Catalogue::empty().await;
    let holder = catalogue.put(&Entry::new(1, "Lamp", "EUR", 1)).await;
    catalogue.put(&Entry::new(2, "Lamp", "EUR", 1).deleted()).await;

    assert_eq!(catalogue.page(&[("sku", "SKU-1")]).await, (vec![holder], None));
    for sku in ["sku-1", "SKU-2", "SKU-3"] {
        assert_eq!(catalogue.page(&[("sku", sku)]).await, (vec![], None), "{sku}");
    }
    // A claim whose product has another SKU by now.
    let mut moved = Entry::new(4, "Lamp", "EUR", 1).item(SHARDS);
    moved["sku"] = json!("other");
    products_table::put(&catalogue.client, moved).await;
    products_table::put(&catalogue.client, Entry::new(4, "Lamp", "EUR", 1).claim()).await;
    assert_eq!(catalogue.page(&[("sku", "SKU-4")]).await.0, [""; 0]);
}

#[tokio::test]
async fn returns_products_by_id_in_the_order_of_the_request() {
    let catalogue = Catalogue::empty().await;
    let mut known = Vec::new();
    for number in 0..98 {
        known.push(catalogue.put(&Entry::new(number, "Lamp", "EUR", u64::from(100 - number))).await);
    }
    let deleted = catalogue.put(&Entry::new(500, "Lamp", "EUR", 1).deleted()).await;
    let unknown = id(501);

    let requested = [vec![deleted.clone()], known.clone(), vec![unknown.clone()]].concat().join(",");
    let page = body(&catalogue.list(&[("ids", &requested)]).await);

    let ids: Vec<&str> =
        page["items"].as_array().unwrap().iter().map(|item| item["productId"].as_str().unwrap()).collect();
    assert_eq!(ids, known);
    assert_eq!(page["missing"], json!([deleted, unknown]));
    assert_eq!(page["nextCursor"], Value::Null);

    let [one, other] = [known[0].to_uppercase(), "-".repeat(36)];
    let page = body(&catalogue.list(&[("ids", &format!("{one},{},{other}", known[0]))]).await);
    assert_eq!((page["items"].as_array().unwrap().len(), &page["missing"]), (1, &json!([other])));
}

#[tokio::test]
async fn continues_with_cursor_if_requested_products_are_too_large_for_one_response() {
    let catalogue = Catalogue::empty().await;
    let mut requested = Vec::new();
    for number in 0..100_u32 {
        let mut large = item(number, "Book", "EUR", 1);
        large["attributes"] =
            Value::Object((0..50).map(|number| (format!("attribute {number}"), json!("\u{e9}".repeat(500)))).collect());
        if number % 10 != 3 {
            products_table::put(&catalogue.client, large).await;
        }
        requested.push(id(number));
    }
    let (mut items, mut missing, mut pages, mut cursor) = (0, 0, 0, None::<String>);
    let ids = requested.join(",");
    loop {
        let mut parameters = vec![("ids", ids.as_str())];
        parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = body(&catalogue.list(&parameters).await);
        items += page["items"].as_array().unwrap().len();
        missing += page["missing"].as_array().unwrap().len();
        pages += 1;
        assert!(pages <= requested.len(), "the walk does not end");
        cursor = page["nextCursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((items, missing), (90, 10));
    assert!(pages > 1);
}

#[tokio::test]
async fn rejects_cursor_that_does_not_count_requested_ids() {
    let catalogue = Catalogue::empty().await;
    let requested = [1, 2, 3].map(id).join(",");
    let query = canonical(&ListParameters::parse([("ids", requested.as_str())]).unwrap().selection);
    let status = async |position| {
        let cursor = cursor::encode(&query, position);
        catalogue.list(&[("ids", &requested), ("cursor", &cursor)]).await.status().as_u16()
    };
    for position in ["1", "2"] {
        assert_eq!(status(position).await, 200, "{position}");
    }
    for position in ["", "x", "-1", "0", "01", "+1", "3", "4", "99999999999999999999"] {
        assert_eq!(status(position).await, 400, "{position}");
    }
}

#[tokio::test]
async fn returns_changed_products_and_tombstones_in_the_feed() {
    let catalogue = Catalogue::empty().await;
    let feed = async |parameters: &[(&str, &str)]| body(&catalogue.get("/products/changes", parameters).await);
    let empty = feed(&[]).await;
    assert_eq!((&empty["items"], &empty["caughtUp"]), (&json!([]), &json!(true)));
    let start = empty["nextCursor"].as_str().unwrap().to_owned();

    let active = catalogue.put(&Entry::new(1, "Lamp", "EUR", 1)).await;
    let deleted = catalogue.put(&Entry { version: 2, ..Entry::new(2, "Lamp", "EUR", 1).deleted() }).await;
    let page = feed(&[("after", &start), ("limit", "1")]).await;
    assert_eq!(page["caughtUp"], false);
    assert_eq!((&page["items"][0]["productId"], &page["items"][0]["version"]), (&json!(active), &json!(1)));
    assert_eq!(page["items"][0]["product"]["productId"], json!(active));
    let page = feed(&[("after", page["nextCursor"].as_str().unwrap())]).await;
    assert_eq!(
        page["items"],
        json!([{"productId": deleted, "version": 2, "status": "DELETED", "changedAt": "2026-01-31T12:00:00.002Z"}])
    );
    assert_eq!(page["caughtUp"], true);
    let after = page["nextCursor"].as_str().unwrap();
    let again = feed(&[("after", after)]).await;
    assert_eq!((&again["items"], &again["nextCursor"]), (&json!([]), &json!(after)), "the position stays");

    for (parameters, code) in [
        ([("after", "x")], "INVALID_CURSOR"),
        ([("cursor", after)], "INVALID_PARAMETER"),
        ([("limit", "0")], "INVALID_PARAMETER"),
    ] {
        let answer = feed(&parameters).await;
        assert_eq!(answer["error"]["code"], code, "{parameters:?}");
    }
}

#[tokio::test]
async fn lists_active_products_only() {
    let catalogue = Catalogue::empty().await;
    let shown = catalogue.add(1, "Lamp", "EUR", 1).await;
    let mut tombstone = item(2, "Lamp", "EUR", 2);
    for key in ["GSI1_PK", "GSI1_SK", "GSI2_PK", "GSI2_SK"] {
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
async fn ends_page_of_large_products_before_response_is_too_large() {
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
async fn rejects_query_with_all_violations() {
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
async fn rejects_cursor_of_another_query() {
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
async fn returns_503_with_retry_after_if_index_is_unreachable() {
    let index = DynamoDbIndex::new(products_table::unreachable(), TABLE);

    let answer = Call::new("GET", "/products")
        .answered_by(|event| serve(event, |request| handle(request, &index, SHARDS)))
        .await;

    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "1");
}
