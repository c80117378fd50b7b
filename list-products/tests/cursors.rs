//! Tampered cursors: each is rejected, or returns the page after the position that it holds; never a product that isn't active.

mod support;

use std::cell::Cell;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use list_products::handler::handle;
use list_products::http::proxy_integration::serve;
use list_products::models::selection::Position;
use list_products::repositories::dynamodb::DynamoDbIndex;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestRunner};
use serde_json::Value;
use support::catalogue::Entry;
use support::gateway::{Call, body};
use support::products_table::{self, TABLE};

const CURSORS: u32 = 12_000;
const SHARDS: u32 = 4;
const LIMIT: usize = 7;

type Parameters = &'static [(&'static str, &'static str)];

/// The queries whose cursors are tampered with, and sent to any of them.
const QUERIES: [Parameters; 7] = [
    &[],
    &[("sort", "-price")],
    &[("currency", "EUR")],
    &[("currency", "EUR"), ("minPrice", "1"), ("maxPrice", "18")],
    &[("name", "oak table")],
    &[("namePrefix", "oak")],
    &[("category", "furniture"), ("sort", "-price")],
];

/// What is done to a cursor.
#[derive(Clone, Debug)]
enum Tampering {
    /// To its text.
    Replace(Index, char),
    Insert(Index, char),
    Cut(Index),
    /// To one character of the JSON in it; the result is a well-formed text again.
    Content(Index, char),
    /// To the place it names: another currency, amount or id.
    Position(String),
    /// To the rest of it.
    Field(&'static str, Value),
}

fn tampering() -> impl Strategy<Value = Tampering> {
    let base64 = select("ABCYZabcyz019-_=+/% ".chars().collect::<Vec<_>>());
    let json = select("{}[]\":,#0123456789abcdefEURJPYZ \\-é\u{0}".chars().collect::<Vec<_>>());
    let position = ("(EUR|JPY|USD|XXX|eur|)", "[0-9]{3}|[1-9][0-9]{3}|[0-9]{0,20}", 0..60_u32, "|#|#oak table|#oak|x")
        .prop_map(|(currency, amount, number, rest)| {
            format!("{currency}#{amount}#{}{rest}", support::catalogue::id(number))
        });
    let value = select(vec![Value::Null, 0.into(), 1.into(), 2.into(), "".into(), "x".into(), Value::Array(vec![])]);
    prop_oneof![
        3 => (any::<Index>(), base64.clone()).prop_map(|(at, to)| Tampering::Replace(at, to)),
        1 => (any::<Index>(), base64).prop_map(|(at, to)| Tampering::Insert(at, to)),
        1 => any::<Index>().prop_map(Tampering::Cut),
        4 => (any::<Index>(), json).prop_map(|(at, to)| Tampering::Content(at, to)),
        4 => position.prop_map(Tampering::Position),
        1 => (select(vec!["v", "position", "query", "more"]), value).prop_map(|(field, to)| Tampering::Field(field, to)),
    ]
}

fn tampered(cursor: &str, tampering: &Tampering) -> String {
    let content = || URL_SAFE_NO_PAD.decode(cursor).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut value: Value = serde_json::from_slice(&content()).unwrap();
        change(&mut value);
        URL_SAFE_NO_PAD.encode(value.to_string())
    };
    let mut text: Vec<char> = cursor.chars().collect();
    match tampering {
        Tampering::Replace(at, to) => text[at.index(cursor.len())] = *to,
        Tampering::Insert(at, to) => text.insert(at.index(cursor.len() + 1), *to),
        Tampering::Cut(at) => text.truncate(at.index(cursor.len())),
        Tampering::Content(at, to) => {
            let mut content: Vec<char> = String::from_utf8(content()).unwrap().chars().collect();
            let at = at.index(content.len());
            content[at] = *to;
            return URL_SAFE_NO_PAD.encode(String::from_iter(content));
        }
        Tampering::Position(position) => return with(&|value| value["position"] = position.as_str().into()),
        Tampering::Field(field, to) => return with(&|value| value[*field] = to.clone()),
    }
    text.into_iter().collect()
}

struct Catalogue {
    index: DynamoDbIndex,
    active: Vec<Entry>,
}

impl Catalogue {
    /// Active products, and between them such as were deleted by a hand that left them in the index.
    async fn start() -> Self {
        let client = products_table::start().await;
        let mut active = Vec::new();
        for number in 0..60 {
            let currency = ["EUR", "JPY", "USD"][number as usize % 3];
            let entry =
                Entry::new(number, "Oak table", currency, u64::from(number) * 37 % 40 * 50).in_category("Furniture");
            let mut item = entry.item(SHARDS);
            if number % 5 == 0 {
                item["status"] = "DELETED".into();
            } else {
                active.push(entry);
            }
            products_table::put(&client, item).await;
        }
        Self { index: DynamoDbIndex::new(client, TABLE), active }
    }

    async fn list(&self, parameters: Parameters, cursor: Option<&str>) -> (u16, Value) {
        let mut call = Call::new("GET", "/products").parameter("limit", &LIMIT.to_string());
        for (name, value) in parameters.iter().copied().chain(cursor.map(|cursor| ("cursor", cursor))) {
            call = call.parameter(name, value);
        }
        let answer = call.answered_by(|event| serve(event, |request| handle(request, &self.index, SHARDS))).await;
        (answer.status().as_u16(), body(&answer))
    }

    /// The IDs of the page after a position, by a second and simpler implementation.
    fn page(&self, parameters: Parameters, after: &str) -> Vec<String> {
        let given = |name| parameters.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
        let bound = |name| given(name).map(|price| price.parse::<u64>().unwrap() * 100);
        let descending = given("sort") == Some("-price");
        let by_name = given("name").is_some() || given("namePrefix").is_some();
        let position = |entry: &Entry| if by_name { entry.position_by_name() } else { entry.position() };
        let after: Position = after.parse().unwrap();
        let mut rows: Vec<&Entry> = self
            .active
            .iter()
            .filter(|entry| given("currency").is_none_or(|currency| currency == entry.currency))
            .filter(|entry| bound("minPrice").is_none_or(|least| entry.minor >= least))
            .filter(|entry| bound("maxPrice").is_none_or(|most| entry.minor <= most))
            .filter(|entry| if descending { position(entry) < after } else { position(entry) > after })
            .collect();
        rows.sort_by_key(|entry| position(entry));
        if descending {
            rows.reverse();
        }
        rows.into_iter().take(LIMIT).map(Entry::id).collect()
    }
}

#[test]
fn rejects_tampered_cursor_or_returns_page_after_its_position() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let catalogue = runtime.block_on(Catalogue::start());
    let cursors: Vec<String> = QUERIES
        .iter()
        .map(|query| runtime.block_on(catalogue.list(query, None)).1["nextCursor"].as_str().unwrap().to_owned())
        .collect();
    let (refused, followed) = (Cell::new(0), Cell::new(0));

    let cases = (0..QUERIES.len(), prop_oneof![3 => Just(None), 1 => (0..QUERIES.len()).prop_map(Some)], tampering());
    TestRunner::new(Config { cases: CURSORS, failure_persistence: None, ..Config::default() })
        .run(&cases, |(from, to, tampering)| {
            let query = QUERIES[to.unwrap_or(from)];
            let cursor = tampered(&cursors[from], &tampering);
            let (status, page) = runtime.block_on(catalogue.list(query, Some(&cursor)));
            if status == 200 {
                followed.set(followed.get() + 1);
                let content: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(&cursor).unwrap()).unwrap();
                let ids: Vec<&str> =
                    page["items"].as_array().unwrap().iter().map(|item| item["productId"].as_str().unwrap()).collect();
                prop_assert_eq!(ids, catalogue.page(query, content["position"].as_str().unwrap()), "{}", content);
            } else {
                refused.set(refused.get() + 1);
                prop_assert_eq!((status, &page["error"]["code"]), (400, &"INVALID_CURSOR".into()));
            }
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));

    println!("{CURSORS} cursors: {} refused, {} followed", refused.get(), followed.get());
    assert!(refused.get() > 1_000 && followed.get() > 500, "both must have been tried");
}
