//! The two identifiers of an audit record, and what follows from an event's: its order, its date and its object's key.
//!
//! Written from `contracts/README.md`, not shared with the functions: a verifier that borrows the code of what it
//! verifies finds none of its mistakes.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use time::{Date, OffsetDateTime};

/// Names one change. Compares as its text does, which is the order of a product's changes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId(u128);

/// Names one product.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProductId(u128);

impl EventId {
    /// A UUIDv7 in lower case with hyphens; nothing else.
    pub fn parse(text: &str) -> Option<Self> {
        let bits = parse(text)?;
        (version(bits) == 7).then_some(Self(bits))
    }

    /// Milliseconds since 1970: the first 48 bits.
    pub fn millis(self) -> u64 {
        u64::try_from(self.0 >> 80).unwrap_or_default()
    }

    /// The day in UTC; an id from after the year 9999 counts to its last day.
    pub fn date(self) -> Date {
        date_of(self.millis())
    }

    /// Where the change's record lies.
    pub fn object_key(self) -> String {
        format!("{}/{self}.json", day_folder("events", self.date()))
    }
}

impl ProductId {
    /// Any UUID of RFC 9562 in lower case with hyphens.
    pub fn parse(text: &str) -> Option<Self> {
        let bits = parse(text)?;
        (1..=8).contains(&version(bits)).then_some(Self(bits))
    }
}

/// The folder of a day's objects: `events/year=2026/month=01/day=31`.
pub fn day_folder(prefix: &str, date: Date) -> String {
    format!("{prefix}/year={:04}/month={:02}/day={:02}", date.year(), u8::from(date.month()), date.day())
}

/// The day in UTC of a moment.
pub fn date_of(millis: u64) -> Date {
    let seconds = i64::try_from(millis / 1_000).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).map_or(Date::MAX, OffsetDateTime::date)
}

/// The bits of a UUID of RFC 9562's variant, written as the contract wants it.
fn parse(text: &str) -> Option<u128> {
    if text.len() != 36 {
        return None;
    }
    let mut bits = 0;
    for (place, byte) in text.bytes().enumerate() {
        let digit = match byte {
            b'-' if matches!(place, 8 | 13 | 18 | 23) => continue,
            _ if matches!(place, 8 | 13 | 18 | 23) => return None,
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        bits = bits << 4 | u128::from(digit);
    }
    (bits >> 62 & 0b11 == 0b10).then_some(bits)
}

fn version(bits: u128) -> u128 {
    bits >> 76 & 0xf
}

macro_rules! text_form {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = format!("{:032x}", self.0);
                write!(formatter, "{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, formatter)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| D::Error::custom(concat!("malformed ", stringify!($name))))
            }
        }
    };
}

text_form!(EventId);
text_form!(ProductId);

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: &str = "019c13ec-9e00-728a-83f3-929b1085347a";

    #[test]
    fn event_id_gives_time_and_object_key() {
        let id = EventId::parse(EVENT).unwrap();
        assert_eq!(id.to_string(), EVENT);
        assert_eq!(id.millis(), 1_769_860_800_000);
        assert_eq!(id.object_key(), format!("events/year=2026/month=01/day=31/{EVENT}.json"));
        let far = EventId::parse("ffffffff-ffff-7fff-bfff-ffffffffffff").unwrap();
        assert_eq!(far.date(), Date::MAX);
        assert!(id < far);
    }

    #[test]
    fn accepts_only_ids_in_the_contracts_form() {
        for text in [
            "",
            "019c13ec-9e00-728a-83f3-929b1085347",
            "019C13EC-9E00-728A-83F3-929B1085347A",
            "019c13ec9e00728a83f3929b1085347a0000",
            "019c13ec-9e00-728a-83f3_929b1085347a",
            "019c13ec-9e00-728a-c3f3-929b1085347a",
            // A version and a variant, if the hyphen at the end were left out.
            "019c13ec-9e07-728a-83f3-929b1085347-",
            "019c13ec-9e00-728a-83f3-929b1085347é",
        ] {
            assert_eq!(EventId::parse(text), None, "{text}");
            assert_eq!(ProductId::parse(text), None, "{text}");
        }
        let random = "3f0c2f5e-8d1b-4c6a-9e57-2b8a4d1f6c03";
        assert_eq!(EventId::parse(random), None, "version 4 tells no time");
        assert_eq!(ProductId::parse(random).unwrap().to_string(), random);
        assert_eq!(ProductId::parse("3f0c2f5e-8d1b-0c6a-9e57-2b8a4d1f6c03"), None, "no version");
    }
}
