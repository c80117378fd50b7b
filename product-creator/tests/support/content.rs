//! Values of each field of a product: such as are valid, such as are almost valid, and such as no client should send.

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::string::string_regex;
use serde_json::{Value, json};

pub const FIELDS: [&str; 10] =
    ["name", "price", "currency", "sku", "description", "category", "tags", "imageUrls", "attributes", "brand"];

/// A field and a value for it.
pub fn field(name: &'static str) -> BoxedStrategy<(&'static str, Value)> {
    let value = match name {
        "price" => price(),
        "currency" => currency(),
        "name" => text(200).prop_map(Value::from).boxed(),
        "sku" => text(64).prop_map(Value::from).boxed(),
        "description" => text(4_000).prop_map(Value::from).boxed(),
        "category" => text(100).prop_map(Value::from).boxed(),
        "tags" => {
            vec(prop_oneof![6 => text(50).prop_map(Value::from), 1 => other()], 0..22).prop_map(Value::from).boxed()
        }
        "imageUrls" => {
            vec(prop_oneof![9 => url().prop_map(Value::from), 1 => other()], 0..4).prop_map(Value::from).boxed()
        }
        "attributes" => {
            let value = prop_oneof![9 => text(500).prop_map(Value::from), 1 => other()];
            btree_map(text(64), value, 0..4).prop_map(|members| json!(members)).boxed()
        }
        _ => other(),
    };
    prop_oneof![12 => value, 1 => other()].prop_map(move |value| (name, value)).boxed()
}

/// A JSON string literal with escapes, of surrogates among others, in pairs and alone: a `Value` can't hold the latter.
pub fn literal() -> BoxedStrategy<String> {
    let pieces = [
        "a",
        "b",
        " ",
        "\\ud83d\\ude00",
        "\\ud83d",
        "\\ude00",
        "\\uD800",
        "\\udfff",
        "\\u0000",
        "\\u001f",
        "\\u0041",
        "\\u00e9",
        "\\u200b",
        "\\u202E",
        "\\ufffd",
        "\\uffff",
        "\\/",
        "\\\\",
        "\\\"",
        "\\n",
        "\u{e9}",
        "\u{1f600}",
        "\u{10ffff}",
    ];
    vec(select(pieces.to_vec()), 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat())).boxed()
}

/// A product's members with a literal in the place of one string, which may be the name of a member.
pub fn members_with_literal() -> BoxedStrategy<String> {
    let place = select(vec![
        "\"name\":@",
        "\"price\":@",
        "\"currency\":@",
        "\"sku\":@",
        "\"description\":@",
        "\"category\":@",
        "\"tags\":[\"x\",@]",
        "\"imageUrls\":[@]",
        "\"attributes\":{@:\"x\"}",
        "\"attributes\":{\"x\":@}",
        "@:\"x\"",
    ]);
    (place, literal()).prop_map(|(place, literal)| place.replace('@', &literal)).boxed()
}

/// A value of another type.
fn other() -> BoxedStrategy<Value> {
    select(vec![
        Value::Null,
        json!(true),
        json!(5),
        json!(""),
        json!("x"),
        json!([]),
        json!(["x"]),
        json!([null]),
        json!({}),
        json!({"x": "y"}),
        json!({"x": {}}),
    ])
    .boxed()
}

/// Strings around a limit of characters, with awkward characters in them.
pub fn text(max: usize) -> BoxedStrategy<String> {
    let notable = notable_characters();
    let short = vec(prop_oneof![2 => select(notable.clone()), 2 => "[a-z ]".prop_map(first), 1 => any::<char>()], 0..6);
    let long = (max - 1..max + 2, prop_oneof![2 => "[a-z0-9]".prop_map(first), 1 => select(notable.clone())])
        .prop_map(|(length, character)| vec![character; length]);
    // Folding makes three characters of it.
    let lengthening = Just(vec!['\u{390}'; max]);
    let padded = (0..3_usize, max - 1..max + 2, 0..3_usize)
        .prop_map(|(before, length, after)| [vec![' '; before], vec!['x'; length], vec!['\u{2003}'; after]].concat());
    prop_oneof![8 => short, 2 => long, 1 => lengthening, 1 => padded].prop_map(String::from_iter).boxed()
}

fn first(text: String) -> char {
    text.chars().next().unwrap()
}

/// The characters on either side of each border between kinds of characters, and what people stumble over.
pub fn notable_characters() -> Vec<char> {
    let borders = [
        0x0, 0x1, 0x8, 0x9, 0xa, 0xb, 0xc, 0xd, 0xe, 0x1f, 0x20, 0x21, 0x7e, 0x7f, 0x80, 0x84, 0x85, 0x86, 0x9b, 0x9f,
        0xa0, 0xa1, 0xad, 0xae, 0x34e, 0x34f, 0x350, 0x61c, 0x115e, 0x115f, 0x1160, 0x1161, 0x1680, 0x1681, 0x17b3,
        0x17b4, 0x17b5, 0x17b6, 0x180a, 0x180b, 0x180f, 0x1810, 0x180e, 0x1fff, 0x2000, 0x200a, 0x200b, 0x200d, 0x200f,
        0x2010, 0x2027, 0x2028, 0x2029, 0x202a, 0x202e, 0x202f, 0x2030, 0x205f, 0x2060, 0x2066, 0x206f, 0x2070, 0x2800,
        0x3000, 0x3001, 0x3163, 0x3164, 0x3165, 0xd7ff, 0xe000, 0xfdd0, 0xfe00, 0xfe0f, 0xfe10, 0xfeff, 0xff00, 0xffa0,
        0xffef, 0xfff0, 0xfff8, 0xfff9, 0xfffb, 0xfffc, 0xfffd, 0xfffe, 0xffff, 0x10000, 0x1bc9f, 0x1bca0, 0x1bca3,
        0x1bca4, 0x1d172, 0x1d173, 0x1d17a, 0x1d17b, 0x1fffe, 0x1f600, 0xdffff, 0xe0000, 0xe0001, 0xe0fff, 0xe1000,
        0x10fffd, 0x10ffff, 0x390, 0xdf, 0x130, 0x301, 0xb7,
    ];
    borders.into_iter().filter_map(char::from_u32).collect()
}

fn price() -> BoxedStrategy<Value> {
    let decimal = string_regex("-?(0|[1-9][0-9]{0,13}|0[0-9])(\\.[0-9]{0,6}|\\.0{1,4})?").unwrap();
    let awkward = select(vec![
        "-0",
        "-0.00",
        "1e3",
        "NaN",
        "",
        " 1",
        "1 ",
        "+1",
        "1,5",
        ".5",
        "5.",
        "999999999999.99",
        "1000000000000",
        "٣",
        "0",
        "0.0",
        "0x1",
        "1_000",
        "999999999999",
        "12.3456",
        "12.34567",
    ]);
    prop_oneof![
        4 => decimal.prop_map(Value::from),
        2 => awkward.prop_map(Value::from),
        1 => (0..64_usize).prop_map(|zeros| json!(format!("1.{}", "0".repeat(zeros)))),
        // A number with neither minus sign nor exponent, which is what a schema can say of numbers.
        1 => (0..2_000_000_000_000_u64).prop_map(Value::from),
        1 => (0..100_000_u32).prop_map(|cents| json!(f64::from(cents) / 100.0)),
    ]
    .boxed()
}

fn currency() -> BoxedStrategy<Value> {
    let known = select(vec![
        "EUR", "USD", "JPY", "KWD", "CLF", "UYW", "UGX", "IQD", "VES", "VED", "XCG", "ZWG", "SLE", "XAF", "CHE", "XAD",
    ]);
    let unknown = select(vec![
        "HRK", "BGN", "ANG", "CUC", "SLL", "ZWL", "DEM", "XAU", "XXX", "XDR", "XTS", "eur", "EURO", "EU", "", " EUR",
        "978", "EUR\n",
    ]);
    prop_oneof![3 => known, 2 => unknown].prop_map(Value::from).boxed()
}

fn url() -> BoxedStrategy<String> {
    let scheme =
        select(vec!["https://", "https://", "https://", "HTTPS://", "HttpS://", "http://", "https:/", "https:", ""]);
    let host = prop_oneof![
        6 => select(vec![
            "x.example", "X-1.example", "localhost", "my_bucket.x.example", "a.b.c9", "_x", "x_y", "x-", "-x.a", "x.a-",
        ]),
        3 => select(vec![
            "", "203.0.113.9", "[2001:db8::9]", "[v1.a]", "x..example", ".x", "x.", "x.9a", "9", "x*", "bücher.example", "%41.x",
            "x y", "user@x.example", "user:password@x.example", "@x.example", "xn--bcher-kva.example", "a.0x1", "x!y",
        ]),
    ];
    let port = prop_oneof![
        4 => Just(String::new()),
        1 => (0..70_000_u32).prop_map(|port| format!(":{port}")),
        1 => select(vec![":", ":00080", ":000000000065535", ":65535", ":65536", ":0", ":080", ":-1", ":8a", "::", ":99999999999"])
            .prop_map(str::to_owned),
    ];
    let part = || {
        prop_oneof![
            3 => "[A-Za-z0-9._~!$&'()*+,;=:@/-]{0,8}",
            1 => "(%[0-9A-Fa-f]{2}){0,3}",
            1 => "[ -~]{0,5}",
            1 => select(vec!["%", "%2", "%zz", "%2g", "ü", "\u{202e}", "{w}", " ", "\\", "|", "^", "`", "\"", "<", "[a]", "\u{fffd}"])
                .prop_map(str::to_owned),
        ]
    };
    let tail = prop_oneof![
        2 => Just(String::new()),
        4 => part().prop_map(|path| format!("/{path}")),
        1 => part().prop_map(|query| format!("?{query}")),
        1 => part().prop_map(|fragment| format!("#{fragment}")),
        1 => part(),
        2 => (part(), part(), part()).prop_map(|(path, query, fragment)| format!("/{path}?{query}#{fragment}")),
        1 => (2_030..2_050_usize).prop_map(|length| format!("/{}", "x".repeat(length))),
    ];
    (scheme, host, port, tail).prop_map(|(scheme, host, port, tail)| format!("{scheme}{host}{port}{tail}")).boxed()
}
