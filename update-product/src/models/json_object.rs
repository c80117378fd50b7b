//! JSON objects of untrusted origin, read strictly.
//!
//! Each member is kept as the text that was sent until its type is known: a price is a decimal from the first moment and
//! never a float, a repeated name is seen, and all violations can be reported at once.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

/// The members of a JSON object in the order in which they were sent, repeated names included.
#[derive(Debug)]
pub struct JsonObject(pub Vec<(JsonString, Box<RawValue>)>);

impl<'de> Deserialize<'de> for JsonObject {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = JsonObject;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<JsonObject, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(JsonObject(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A JSON string, which unlike a Rust string may hold half of a surrogate pair, written as `\ud83d`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonString(Result<String, UnpairedSurrogate>);

/// The first unpaired surrogate of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must not contain the unpaired surrogate \\u{0:04x}")]
pub struct UnpairedSurrogate(u16);

impl JsonString {
    pub fn as_str(&self) -> Result<&str, UnpairedSurrogate> {
        self.0.as_deref().map_err(|surrogate| *surrogate)
    }

    fn from_wtf8(bytes: &[u8]) -> Option<Self> {
        let error = match str::from_utf8(bytes) {
            Ok(text) => return Some(Self(Ok(text.to_owned()))),
            Err(error) => error,
        };
        // serde_json hands an unpaired surrogate on as WTF-8 does: in the three bytes that UTF-8 would give its code point.
        match bytes.get(error.valid_up_to()..)? {
            [0xed, second, third, ..] => {
                let low_bits = u16::from(second & 0x3f) << 6 | u16::from(third & 0x3f);
                Some(Self(Err(UnpairedSurrogate(0xd000 | low_bits))))
            }
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for JsonString {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = JsonString;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<JsonString, E> {
                JsonString::from_wtf8(bytes).ok_or_else(|| E::custom("a string isn't encoded as UTF-8"))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<JsonString, E> {
                Ok(JsonString(Ok(text.to_owned())))
            }
        }
        deserializer.deserialize_bytes(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_members_in_order_with_repeated_names() {
        let JsonObject(members) = serde_json::from_str(r#"{"b":1.10,"a":"x","b":null}"#).unwrap();
        let members: Vec<_> = members.iter().map(|(name, value)| (name.as_str().unwrap(), value.get())).collect();
        assert_eq!(members, [("b", "1.10"), ("a", "\"x\""), ("b", "null")]);
        let error = serde_json::from_str::<JsonObject>("[]").map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("expected an object"), "{error}");
    }

    #[test]
    fn names_unpaired_surrogates() {
        for (json, surrogate) in [
            (r#""BUG-\ud83d""#, 0xd83d),
            (r#""\udc3d x""#, 0xdc3d),
            (r#""\ude00\ud83d""#, 0xde00),
            (r#""\ud800\ud83d\ude00""#, 0xd800),
        ] {
            let string: JsonString = serde_json::from_str(json).unwrap();
            assert_eq!(string.as_str(), Err(UnpairedSurrogate(surrogate)), "{json}");
        }
        assert_eq!(UnpairedSurrogate(0xd83d).to_string(), r"must not contain the unpaired surrogate \ud83d");
        let JsonObject(members) = serde_json::from_str(r#"{"\ud83d":1}"#).unwrap();
        assert!(members[0].0.as_str().is_err());
    }

    #[test]
    fn reads_paired_surrogates_and_rejects_other_types() {
        let string: JsonString = serde_json::from_str(r#""\ud83d\ude00""#).unwrap();
        assert_eq!(string.as_str(), Ok("😀"));
        for json in ["1", "null", "[97]", "{}"] {
            let error = serde_json::from_str::<JsonString>(json).unwrap_err().to_string();
            assert!(error.contains("expected a string"), "{error}");
        }
    }
}
