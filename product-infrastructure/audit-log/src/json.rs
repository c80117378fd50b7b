//! The two ways in which the contract writes JSON: canonical, over which digests are taken, and stored, which is how an
//! object of the audit bucket lies there. They differ in the order of members, and only where names are not ASCII.

use std::cmp::Ordering;

use serde_json::{Number, Value};
use sha2::{Digest as _, Sha256};

/// A SHA-256.
pub type Digest = [u8; 32];

/// What the canonical form has no digits for: a fraction, or an integer that not every reader holds exactly.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the number {0} is not an integer below 2^53")]
pub struct NotCanonical(Number);

/// RFC 8785, for what the contract admits: strings, arrays, objects, booleans, integers below 2^53.
pub fn canonical(value: &Value) -> Result<String, NotCanonical> {
    if let Some(number) = strange_number(value) {
        return Err(NotCanonical(number.clone()));
    }
    let mut text = String::new();
    write(value, by_utf16, &mut text);
    Ok(text)
}

/// No whitespace, members by code point: byte for byte what audit-logger writes.
pub fn stored(value: &Value) -> String {
    let mut text = String::new();
    write(value, str::cmp, &mut text);
    text
}

pub fn sha256(bytes: impl AsRef<[u8]>) -> Digest {
    Sha256::digest(bytes).into()
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest that 64 lower-case hexadecimal digits stand for.
pub fn digest(text: &str) -> Option<Digest> {
    let mut digest = [0; 32];
    let lower_case = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    if text.len() != 64 || !lower_case {
        return None;
    }
    for (place, byte) in digest.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).ok()?;
    }
    Some(digest)
}

fn by_utf16(one: &str, other: &str) -> Ordering {
    one.encode_utf16().cmp(other.encode_utf16())
}

fn strange_number(value: &Value) -> Option<&Number> {
    const LIMIT: u64 = 1 << 53;
    match value {
        Value::Number(number) => {
            let plain = number.as_i64().map(i64::unsigned_abs).or(number.as_u64()).is_some_and(|size| size < LIMIT);
            (!plain).then_some(number)
        }
        Value::Array(items) => items.iter().find_map(strange_number),
        Value::Object(members) => members.values().find_map(strange_number),
        _ => None,
    }
}

fn write(value: &Value, order: fn(&str, &str) -> Ordering, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (place, item) in items.iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                write(item, order, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            // Sorted here, whatever order serde_json keeps: that is a feature which any crate of a build can switch.
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|(one, _), (other, _)| order(one, other));
            text.push('{');
            for (place, (name, member)) in sorted.into_iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                // A string in JSON as serde_json writes it has exactly RFC 8785's escapes.
                text.push_str(&Value::from(name.as_str()).to_string());
                text.push(':');
                write(member, order, text);
            }
            text.push('}');
        }
        simple => text.push_str(&simple.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_map, vec};
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn matches_the_contracts_examples() {
        let product = json!({"product": {"name": "Desk lamp", "price": "19.99", "currency": "EUR"}});
        for (value, digest) in [
            (product, "3cf7e7f32c620b89097b2efecf34070eea1aac568b10d748e6863cd608f9b1e4"),
            (json!({}), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"),
        ] {
            assert_eq!(hex(&sha256(canonical(&value).unwrap())), digest);
        }
    }

    #[test]
    fn members_are_sorted_as_utf16_in_one_form_and_by_code_point_in_the_other() {
        let value = json!({"\u{1f525}": 1, "\u{fb33}": 2, "b": {"z": 1, "a": [true, null, "\u{7f}\u{1}\n\"\\/é"]}});
        let rest = "\"b\":{\"a\":[true,null,\"\u{7f}\\u0001\\n\\\"\\\\/é\"],\"z\":1},";
        assert_eq!(canonical(&value).unwrap(), format!("{{{rest}\"\u{1f525}\":1,\"\u{fb33}\":2}}"));
        assert_eq!(stored(&value), format!("{{{rest}\"\u{fb33}\":2,\"\u{1f525}\":1}}"));
    }

    #[test]
    fn rejects_numbers_without_canonical_form() {
        for number in ["1.5", "1.0", "1e3", "9007199254740992", "-9007199254740992", "18446744073709551615"] {
            let value = json!({"a": [serde_json::from_str::<Value>(number).unwrap()]});
            assert!(canonical(&value).is_err(), "{number}");
        }
        assert_eq!(canonical(&json!([9_007_199_254_740_991_u64, -7])).unwrap(), "[9007199254740991,-7]");
    }

    #[test]
    fn parses_written_digest() {
        let given = sha256("x");
        assert_eq!(digest(&hex(&given)), Some(given));
        for text in ["", "00", &hex(&given).to_uppercase(), &"g".repeat(64)] {
            assert_eq!(digest(text), None, "{text}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            any::<String>().prop_map(Value::from),
            (-9_007_199_254_740_991..=9_007_199_254_740_991_i64).prop_map(Value::from),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                vec(inner.clone(), 0..6).prop_map(Value::from),
                btree_map(any::<String>(), inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        /// An implementation of others', which product-creator uses, comes to the same bytes.
        #[test]
        fn canonical_json_matches_another_implementation(value in any_value()) {
            let theirs = serde_json_canonicalizer::to_string(&value).unwrap();
            prop_assert_eq!(canonical(&value).unwrap(), theirs);
        }
    }
}
