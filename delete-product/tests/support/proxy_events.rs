//! Proxy events of every kind: such as clients send, such as no client should, and such as API Gateway itself never would.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::num::NonZero;
use std::sync::Mutex;
use std::thread::{self, available_parallelism};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::LambdaEvent;
use lambda_http::aws_lambda_events::apigw::ApiGatewayProxyResponse;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tracing::Subscriber;

use super::gateway;
use super::log::Log;
use super::scale::scale;

/// Stands in every part of an event that no log may contain: body, product fields, headers, parameters, the key.
const PRIVATE: &str = "Pr1v@te";

/// The change that a function may know.
pub const RECORDED_EVENT: &str = "019c1941-fe00-7d2e-9f10-2b3c4d5e6f70";

/// Sends the function 10,000 events, or 100,000. Each must be answered, not with a 5xx, as the contract describes, and leave
/// one log line, of JSON, that holds nothing private.
///
/// `ids` are ids of products that the function knows in one state or another; `logging` is how it logs.
pub fn bombard<Logging, Logger, Function, Answer>(
    method: &'static str,
    resource: &'static str,
    ids: &[&'static str],
    logging: Logging,
    function: Function,
) where
    Logging: Fn(Log) -> Logger + Sync,
    Logger: Subscriber + Send + Sync,
    Function: Fn(LambdaEvent<Box<RawValue>>) -> Answer + Sync,
    Answer: Future<Output = Result<ApiGatewayProxyResponse, Infallible>>,
{
    let events = scale(10_000, 100_000_u32);
    let statuses = Mutex::new(BTreeMap::<u16, u32>::new());
    let threads = u32::try_from(available_parallelism().map_or(1, NonZero::get)).unwrap();
    let events_of_each = events.div_ceil(threads);
    let volley = || {
        let log = Log::default();
        let _logging = tracing::subscriber::set_default(logging(log.clone()));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let config = Config { cases: events_of_each, failure_persistence: None, ..Config::default() };
        TestRunner::new(config).run(&any_event(method, resource, ids.to_vec()), |event| {
            log.take();
            let answer = runtime.block_on(gateway::answer(method, resource, &event, &function));
            let status = answer.status();
            prop_assert!(!status.is_server_error(), "{:?}", answer);
            check_log(&log.take(), status.as_u16())?;
            *statuses.lock().unwrap().entry(status.as_u16()).or_default() += 1;
            Ok(())
        })
    };
    thread::scope(|scope| {
        let volleys: Vec<_> = (0..threads).map(|_| scope.spawn(volley)).collect();
        volleys.into_iter().for_each(|volley| volley.join().unwrap().unwrap());
    });
    let statuses = statuses.into_inner().unwrap();
    println!("{method} {resource}, events by status of their answer: {statuses:?}");
    assert!(statuses.values().sum::<u32>() >= events);
}

/// One line of JSON for one request, with the IDs of an accepted change, and nothing private in it.
fn check_log(lines: &[String], status: u16) -> Result<(), TestCaseError> {
    prop_assert_eq!(lines.len(), 1, "one line for one request: {:?}", lines);
    let line: Value = serde_json::from_str(&lines[0]).map_err(|error| TestCaseError::fail(error.to_string()))?;
    prop_assert_eq!(&line["status"], status);
    prop_assert!(!lines[0].contains(PRIVATE), "{}", lines[0]);
    if matches!(status, 202 | 204) {
        prop_assert!(line["productId"].is_string() && line["eventId"].is_string(), "an accepted change: {}", line);
    }
    Ok(())
}

fn any_event(method: &'static str, resource: &'static str, ids: Vec<&'static str>) -> impl Strategy<Value = Value> {
    let context = (text(), text(), prop_oneof![9 => Just(None), 1 => text().prop_map(Some)]);
    let base64 = prop_oneof![6 => Just(Base64::No), 3 => Just(Base64::Yes), 1 => Just(Base64::Claimed)];
    (
        headers(method),
        parameters(),
        (product_id(ids), event_id()),
        context,
        prop_oneof![9 => body().prop_map(Some), 1 => Just(None)],
        base64,
    )
        .prop_map(move |(headers, parameters, (id, event_id), (request_id, source_ip, path), body, base64)| {
            let body = body.map(|body| if base64 == Base64::Yes { STANDARD.encode(body) } else { body });
            let path = path.unwrap_or_else(|| format!("/dev/v1.0{resource}"));
            let path_parameters = id.map(|id| {
                let mut parameters = json!({"productId": id});
                if resource.contains("{eventId}") {
                    parameters["eventId"] = json!(event_id);
                }
                parameters
            });
            json!({
                "resource": resource, "path": path, "httpMethod": method,
                "headers": last(&headers), "multiValueHeaders": all(&headers),
                "queryStringParameters": last(&parameters), "multiValueQueryStringParameters": all(&parameters),
                "pathParameters": path_parameters,
                "stageVariables": null,
                "body": body,
                "isBase64Encoded": base64 != Base64::No,
                "requestContext": {
                    "requestId": request_id, "httpMethod": method, "path": path, "stage": "dev",
                    "identity": {"sourceIp": source_ip, "apiKeyId": "key-1", "apiKey": PRIVATE},
                },
            })
        })
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Base64 {
    No,
    Yes,
    /// Declared, and not done.
    Claimed,
}

/// Pairs as API Gateway's plural maps hold them; `null` for none.
fn all(pairs: &[(String, String)]) -> Value {
    let mut map = Map::new();
    for (name, value) in pairs {
        let values = map.entry(name).or_insert_with(|| json!([]));
        values.as_array_mut().unwrap().push(json!(value));
    }
    if map.is_empty() { Value::Null } else { Value::Object(map) }
}

/// Pairs as API Gateway's singular maps hold them.
fn last(pairs: &[(String, String)]) -> Value {
    let map: Map<String, Value> = pairs.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    if map.is_empty() { Value::Null } else { Value::Object(map) }
}

/// Short strings of any characters, line ends, quotes and escapes included.
fn text() -> BoxedStrategy<String> {
    let awkward = select(vec![
        "",
        " ",
        "\r\n",
        "\n{\"level\":\"ERROR\"}",
        "\0",
        "\u{1b}[31m",
        "\"",
        "\\",
        "\\u0000",
        "%00",
        "%",
        "{",
        "\u{feff}",
        "\u{fffe}",
        "\u{ffff}",
        "\u{2028}",
        "\u{202e}",
        "\u{85}",
        "\u{7f}",
        "é",
        "e\u{301}",
        "𝄞",
        "0",
        "-1",
        "null",
        "*",
    ]);
    prop_oneof![
        3 => "[ -~]{0,16}",
        2 => awkward.prop_map(str::to_owned),
        1 => vec(any::<char>(), 0..6).prop_map(String::from_iter),
    ]
    .boxed()
}

fn private_text() -> BoxedStrategy<String> {
    text().prop_map(|text| format!("{PRIVATE}{text}")).boxed()
}

fn product_id(ids: Vec<&'static str>) -> impl Strategy<Value = Option<String>> {
    let known = if ids.is_empty() { text() } else { select(ids).prop_map(str::to_owned).boxed() };
    prop_oneof![
        8 => known.prop_map(Some),
        1 => Just(Some("00000000-0000-4000-8000-000000000000".to_owned())),
        2 => private_text().prop_map(Some),
        1 => Just(None),
    ]
}

/// IDs of a change that a function may know, of one that can be pending, of old and future ones, and no IDs at all.
fn event_id() -> impl Strategy<Value = String> {
    let recent = uuid::Uuid::now_v7().to_string();
    prop_oneof![
        4 => Just(RECORDED_EVENT.to_owned()),
        4 => Just(recent),
        1 => select(vec![
            "01900000-0000-7000-8000-000000000000",
            "ffffffff-ffff-7fff-bfff-ffffffffffff",
            "00000000-0000-4000-8000-000000000000",
            "",
        ]).prop_map(str::to_owned),
        1 => private_text(),
    ]
}

fn headers(method: &str) -> impl Strategy<Value = Vec<(String, String)>> + use<> {
    let usual = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
    let media = select(vec![
        "application/json",
        "application/json ; charset=utf8",
        "application/merge-patch+json",
        "application/json; charset=utf-8",
        "Application/JSON",
        "text/plain",
        "application/json;",
        "",
        "application/json; charset=latin1",
        "application/vnd.api+json",
        "*/*",
    ]);
    let media = prop_oneof![3 => Just(usual), 1 => media].prop_map(str::to_owned);
    let media = (select(vec!["Content-Type", "content-type", "CONTENT-TYPE"]), media);
    let tags = prop_oneof![
        4 => select(vec!["\"3\"", "\"4\"", "*", "W/\"3\"", "\"1\", \"3\"", "3", "\"\"", "\"3", ",", "\"99999999999999999999\""])
            .prop_map(str::to_owned),
        1 => private_text(),
    ];
    let tags = (select(vec!["If-Match", "if-none-match"]), tags);
    let key = prop_oneof![3 => "[!-~]{1,40}".prop_map(|key| format!("{PRIVATE}{key}")), 1 => text()];
    let key = (select(vec!["Idempotency-Key", "idempotency-key"]), key);
    let uri = (select(vec!["Host", "X-Forwarded-Proto", "X-Forwarded-For"]), private_text());
    let other = (prop_oneof![3 => "[A-Za-z-]{1,12}", 1 => text()], private_text());
    let named = |(name, value): (&str, String)| (name.to_owned(), value);
    (
        prop_oneof![9 => vec(media.prop_map(named), 1), 1 => vec(Just((String::new(), String::new())), 0)],
        vec(
            prop_oneof![3 => tags.prop_map(named), 3 => key.prop_map(named), 1 => uri.prop_map(named), 1 => other],
            0..3,
        ),
    )
        .prop_map(|(mut headers, more)| {
            headers.push(("x-api-key".to_owned(), PRIVATE.to_owned()));
            headers.extend(more);
            headers
        })
}

fn parameters() -> impl Strategy<Value = Vec<(String, String)>> {
    let value = prop_oneof![
        4 => select(vec!["1", "20", "100", "0", "101", "price", "-price", "EUR", "JPY", "XXX", "0.5", "19.99", "1e3", "NaN",
            "oak table", "STRASSE", "o", "OAK-1", "furniture", "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84,,"])
            .prop_map(str::to_owned),
        1 => private_text(),
    ];
    let known = [
        ("limit", select(vec!["1", "7", "100"])),
        ("currency", select(vec!["EUR", "JPY", "USD"])),
        ("minPrice", select(vec!["0", "5", "10"])),
        ("maxPrice", select(vec!["10", "999", "999999999999"])),
        ("sort", select(vec!["price", "-price"])),
        ("category", select(vec!["furniture", "FURNITURE", "none"])),
    ]
    .map(|(name, values)| values.prop_map(move |value| (name.to_owned(), value.to_owned())).boxed());
    let name = prop_oneof![
        6 => select(vec!["limit", "cursor", "currency", "minPrice", "maxPrice", "sort", "name", "namePrefix", "category", "sku",
            "ids", "after"]).prop_map(str::to_owned),
        1 => text(),
    ];
    prop_oneof![
        2 => vec(proptest::strategy::Union::new(known), 0..3),
        1 => vec((name, value), 0..4),
        1 => (select(vec!["name", "namePrefix", "category", "sku", "ids"]), private_text())
            .prop_map(|(name, text)| vec![(name.to_owned(), text)]),
        1 => select(vec![
            ("name", "Oak  TABLE"), ("namePrefix", "oa"), ("sku", "OAK-1"), ("sku", "OAK-2"),
            ("ids", "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84,00000000-0000-4000-8000-000000000000"),
        ]).prop_map(|(name, text)| vec![(name.to_owned(), text.to_owned())]),
    ]
}

fn body() -> BoxedStrategy<String> {
    prop_oneof![
        8 => object(vec(field(), 0..2).boxed()),
        3 => object(vec(field(), 0..9).boxed()),
        2 => (object(vec(field(), 0..2).boxed()), any::<prop::sample::Index>()).prop_map(|(body, end)| {
            body.chars().take(end.index(body.len())).collect()
        }),
        1 => private_text(),
        1 => (1..2_000_usize).prop_map(|depth| format!("{{\"name\":{}", "[".repeat(depth))),
        1 => prop_oneof![99 => 0..4_000_usize, 1 => 60_000..70_000_usize]
            .prop_map(|size| format!("{{\"description\":\"{PRIVATE}{}\"}}", "x".repeat(size))),
    ]
    .boxed()
}

/// A JSON object of a good product's fields, and then of others, which may repeat them.
fn object(others: BoxedStrategy<Vec<(String, String)>>) -> BoxedStrategy<String> {
    let good =
        (private_text(), select(vec!["19.99", "\"19.990\"", "0", "\"0.01\"", "5"]), select(vec!["EUR", "USD", "KWD"]));
    (prop_oneof![9 => Just(true), 1 => Just(false)], good, others)
        .prop_map(|(complete, (name, price, currency), others)| {
            let mut fields = Vec::new();
            if complete {
                fields.push(format!("\"name\":{},\"price\":{price},\"currency\":\"{currency}\"", json!(name)));
            }
            fields.extend(others.into_iter().map(|(name, value)| format!("{}:{value}", json!(name))));
            format!("{{{}}}", fields.join(","))
        })
        .boxed()
}

/// A field and its value, as JSON text.
fn field() -> BoxedStrategy<(String, String)> {
    let any_value = prop_oneof![
        4 => private_text().prop_map(|text| json!(text).to_string()),
        2 => select(vec![
            "1e3", "-0", "NaN", "19.990", "0.001", "12345678901234567890", "1E+400", "01", "true", "null", "[]", "{}", "-1",
            "\"1e3\"", "\"-0\"", "\"NaN\"", "\"\\ud800\"", "\"https://x.example/a\"", "[[]]", "\"\\u0000\"", "999999999999.99",
        ])
        .prop_map(str::to_owned),
        1 => any::<f64>().prop_map(|number| json!(number).to_string()),
    ]
    .boxed();
    let list = vec(any_value.clone(), 0..4).prop_map(|values| format!("[{}]", values.join(","))).boxed();
    let map = vec((text(), any_value.clone()), 0..4)
        .prop_map(|pairs| {
            let pairs: Vec<String> =
                pairs.into_iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
            format!("{{{}}}", pairs.join(","))
        })
        .boxed();
    let texts = vec(private_text(), 0..4).prop_map(|texts| json!(texts).to_string()).boxed();
    let text_map = vec(("[a-z]{1,4}", private_text()), 0..4)
        .prop_map(|pairs| {
            Value::Object(pairs.into_iter().map(|(name, text)| (name, json!(text))).collect()).to_string()
        })
        .boxed();
    let urls = vec("https://x.example/[a-z]{0,8}", 0..3).prop_map(|urls| json!(urls).to_string()).boxed();
    let named =
        |name: &'static str, value: BoxedStrategy<String>| value.prop_map(move |value| (name.to_owned(), value));
    prop_oneof![
        named("sku", private_text().prop_map(|text| json!(text).to_string()).boxed()),
        named("description", private_text().prop_map(|text| json!(text).to_string()).boxed()),
        named("tags", texts),
        named("imageUrls", urls),
        named("attributes", text_map),
        (
            select(vec![
                "name",
                "price",
                "currency",
                "sku",
                "description",
                "category",
                "tags",
                "imageUrls",
                "attributes"
            ]),
            prop_oneof![2 => any_value.clone(), 1 => list, 1 => map],
        )
            .prop_map(|(name, value)| (name.to_owned(), value)),
        (text(), any_value),
    ]
    .boxed()
}
