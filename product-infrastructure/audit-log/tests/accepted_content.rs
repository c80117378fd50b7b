//! Whatever the API accepts makes a record that matches the audit record's schema. Records are kept for ever, so a schema that
//! refused one of them would report it at every verification until its retention ends.

mod support;

use std::cell::Cell;
use std::path::Path;

use audit_log::record::check;
use jsonschema::Validator;
use proptest::collection::{btree_map, vec};
use proptest::option::weighted;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};
use support::lives::{Catalogue, NO_HASH, event_id, fingerprint, object, product_id, seal, sha256, timestamp};

const MOMENT: u64 = 1_769_860_800_000;
const CASES: u32 = 4_000;

fn schema(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts").join(format!("{name}.schema.json"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn validator(schema: &Value) -> Validator {
    jsonschema::options().should_validate_formats(true).build(schema).unwrap()
}

/// A definition of a schema.
fn definition(name: &str, definition: &str) -> Validator {
    let whole = schema(name);
    validator(&json!({"$schema": whole["$schema"], "$defs": whole["$defs"], "$ref": format!("#/$defs/{definition}")}))
}

/// Strings of ordinary characters and of those that rules treat differently: controls, whitespace, invisible and bidirectional
/// characters, replacement characters, such as fold to several, and such as UTF-16 needs two units for.
fn text(max: usize) -> impl Strategy<Value = String> {
    const AWKWARD: [char; 26] = [
        '\0',
        '\t',
        '\n',
        '\u{b}',
        '\r',
        '\u{1f}',
        ' ',
        '\u{7f}',
        '\u{85}',
        '\u{9b}',
        '\u{a0}',
        '\u{ad}',
        '\u{390}',
        '\u{1680}',
        '\u{180e}',
        '\u{200b}',
        '\u{202e}',
        '\u{2028}',
        '\u{2066}',
        '\u{3000}',
        '\u{feff}',
        '\u{fffd}',
        '\u{fffe}',
        '\u{1f525}',
        '\u{e0041}',
        '\u{10ffff}',
    ];
    let ordinary = select(vec!['a', 'Z', '0', '-', '"', '\\', 'é', 'ß']);
    let character = prop_oneof![12 => ordinary, 1 => select(AWKWARD.to_vec())];
    let short = vec(character, 0..8).prop_map(|characters| characters.into_iter().collect::<String>());
    // Some are as long as the rule allows, or one character longer.
    let long = select(vec!['x', '\u{390}', '\u{1f525}']).prop_flat_map(move |character| {
        (max..=max + 1).prop_map(move |length| std::iter::repeat_n(character, length).collect::<String>())
    });
    prop_oneof![19 => short, 1 => long]
}

fn url() -> impl Strategy<Value = String> {
    let part = |parts: &[&'static str]| select(parts.to_vec());
    let scheme = part(&["https://", "HTTPS://", "https://", "hTtPs://", "http://", "https:/"]);
    let host = part(&[
        "x.example",
        "X_y.example",
        "a-b.c",
        "xn--mnchen-3ya.de",
        "x.example.",
        "127.0.0.1",
        "[::1]",
        "u@x.de",
        "",
    ]);
    let port = part(&["", ":", ":443", ":00080", ":65535", ":65536", ":0", ":-1"]);
    let path = part(&["", "/", "/a.jpg", "/a%20b", "/a b", "/%zz", "/ü", "//", "/{w}.jpg", "/~!$&'()*+,;=:@"]);
    let rest = part(&["", "?", "?a=b&c", "#", "#x", "?a#b?c", "#a#b", "?\u{202e}"]);
    (scheme, host, port, path, rest)
        .prop_map(|(scheme, host, port, path, rest)| format!("{scheme}{host}{port}{path}{rest}"))
}

/// A price with the decimals of its currency; product-creator writes no other.
fn price() -> impl Strategy<Value = (String, &'static str)> {
    let currency =
        select(vec![("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("XCG", 2), ("HRK", 2), ("XAU", 2), ("eur", 2)]);
    (currency, prop_oneof![0..100_u64, 0..10_000_000_000_000_000_u64]).prop_map(|((currency, decimals), units)| {
        let (whole, part) = (units / 10_u64.pow(decimals), units % 10_u64.pow(decimals));
        let width = decimals as usize;
        (if decimals == 0 { whole.to_string() } else { format!("{whole}.{part:0width$}") }, currency)
    })
}

/// A product's content, normalised as the functions do it.
fn content() -> impl Strategy<Value = Value> {
    let optional = |text: BoxedStrategy<String>| weighted(0.4, text);
    let strings = (text(200), optional(text(64).boxed()), optional(text(4_000).boxed()), optional(text(100).boxed()));
    let lists = (
        weighted(0.3, vec(text(50), 1..4)),
        weighted(0.3, vec(url(), 1..3)),
        weighted(0.3, btree_map(text(64), text(500), 1..4)),
    );
    (strings, price(), lists).prop_map(
        |((name, sku, description, category), (price, currency), (tags, urls, attributes))| {
            let mut content = json!({"name": name.trim(), "price": price, "currency": currency});
            let optional = [
                ("sku", sku.map(|sku| sku.trim().into())),
                ("description", description.map(Value::from)),
                ("category", category.map(Value::from)),
                ("tags", tags.map(Value::from)),
                ("imageUrls", urls.map(Value::from)),
                (
                    "attributes",
                    attributes.map(|map| {
                        map.into_iter().map(|(name, value)| (name, value.into())).collect::<Map<_, _>>().into()
                    }),
                ),
            ];
            for (member, value) in optional {
                if let Some(value) = value {
                    content[member] = value;
                }
            }
            content
        },
    )
}

/// Records of this content: of an applied creation, and of a rejected one.
fn records(content: &Value) -> [Value; 2] {
    let occurred_at = timestamp(MOMENT);
    let event = event_id(MOMENT, 1);
    let mut after = content.clone();
    for (member, value) in [
        ("productId", json!(product_id(1))),
        ("status", json!("ACTIVE")),
        ("version", json!(1)),
        ("createdAt", json!(occurred_at)),
        ("updatedAt", json!(occurred_at)),
        ("lastEventId", json!(event)),
    ] {
        after[member] = value;
    }
    let mut applied = entry("CREATE");
    applied["outcome"] = json!("APPLIED");
    applied["version"] = json!(1);
    applied["prevHash"] = json!(NO_HASH);
    applied["after"] = after;
    fingerprint(&mut applied);
    seal(&mut applied);
    [applied, rejected(entry("CREATE"), "ALREADY_EXISTS", json!({"product": content}))]
}

fn entry(kind: &str) -> Value {
    json!({
        "schemaVersion": 1, "recordType": "CHANGE", "eventId": event_id(MOMENT, 1), "type": kind, "productId": product_id(1),
        "occurredAt": timestamp(MOMENT), "recordedAt": timestamp(MOMENT + 400), "actor": {}, "requestId": "r",
    })
}

fn rejected(mut entry: Value, reason: &str, requested: Value) -> Value {
    entry["outcome"] = json!("REJECTED");
    entry["reason"] = json!(reason);
    entry["version"] = json!(3);
    entry["fingerprint"] = json!(sha256(&serde_json_canonicalizer::to_vec(&requested).unwrap()));
    entry["requested"] = requested;
    entry
}

fn assert_well_formed(record: &Value) -> Result<(), TestCaseError> {
    let (key, bytes) = object(record);
    let checked = check(&key, &bytes).map_err(|finding| TestCaseError::fail(format!("{finding}: {record}")))?;
    prop_assert_eq!(checked.form(), None, "{}", record);
    Ok(())
}

/// Runs a property on generated values. It must have accepted enough of them to mean something.
fn check_accepted<T: std::fmt::Debug>(
    values: impl Strategy<Value = T>,
    property: impl Fn(T) -> Result<bool, TestCaseError>,
) {
    let accepted = Cell::new(0_u32);
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let result = runner.run(&values, |value| {
        accepted.set(accepted.get() + u32::from(property(value)?));
        Ok(())
    });
    result.unwrap_or_else(|error| panic!("{error}"));
    assert!(accepted.get() > CASES / 10, "only {} of {CASES} values were accepted", accepted.get());
}

#[test]
fn accepted_content_makes_well_formed_records() {
    let sent = validator(&schema("product-content"));
    let accepted = definition("change-event", "acceptedContent");
    check_accepted(content(), |content| {
        let is_accepted = sent.is_valid(&content) || accepted.is_valid(&content);
        if is_accepted {
            records(&content).iter().try_for_each(assert_well_formed)?;
        }
        Ok(is_accepted)
    });
}

#[test]
fn accepted_patch_makes_well_formed_record() {
    let accepted = definition("change-event", "patch");
    let null_or = |value: BoxedStrategy<Value>| prop_oneof![1 => Just(Value::Null), 5 => value].boxed();
    let string = |max| text(max).prop_map(Value::from).boxed();
    let list = || vec(text(50), 0..3).prop_map(Value::from).boxed();
    let attributes = btree_map(text(64), null_or(string(500)), 0..3)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
        .boxed();
    let members = [
        ("name", string(200)),
        ("price", string(64)),
        ("currency", null_or(string(3))),
        ("sku", null_or(string(64))),
        ("description", null_or(string(4_000))),
        ("category", null_or(string(100))),
        ("tags", null_or(list())),
        ("imageUrls", null_or(list())),
        ("attributes", null_or(attributes)),
    ];
    let members = members.map(|(name, value)| weighted(0.4, value).prop_map(move |value| (name, value)).boxed());
    let patches = members.to_vec().prop_map(|members| {
        Value::Object(members.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
    });
    check_accepted(patches, |patch| {
        let is_accepted = accepted.is_valid(&patch);
        if is_accepted {
            assert_well_formed(&rejected(entry("UPDATE"), "INVALID_RESULT", json!({"patch": patch})))?;
        }
        Ok(is_accepted)
    });
}

/// Each new journal entry is a record.
#[test]
fn journal_entries_are_well_formed_records() {
    let journal_entry = validator(&schema("journal-entry"));
    for entry in Catalogue::grown(4, 12).entries {
        assert!(journal_entry.is_valid(&entry), "{entry}");
        let (key, bytes) = object(&entry);
        assert_eq!(check(&key, &bytes).unwrap().form(), None, "{entry}");
    }
}
