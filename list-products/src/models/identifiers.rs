//! The two identifiers of the catalogue: of a product, and of a change to it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::{Uuid, Variant};

use super::timestamp::Timestamp;

/// A string that isn't an identifier in canonical form: 36 characters, hyphenated (RFC 9562 §4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a UUID in its canonical form (RFC 9562)")]
pub struct InvalidIdentifier;

/// Accepts the hyphenated form only, in upper or lower case, of the versions that RFC 9562 defines. `Uuid` itself also
/// accepts braces, a URN and no hyphens, which would give each product four addresses, and any 128 bits.
fn parse_canonical(text: &str) -> Result<Uuid, InvalidIdentifier> {
    if text.len() != uuid::fmt::Hyphenated::LENGTH {
        return Err(InvalidIdentifier);
    }
    let uuid = Uuid::try_parse(text).map_err(|_| InvalidIdentifier)?;
    let is_defined = uuid.get_variant() == Variant::RFC4122 && (1..=8).contains(&uuid.get_version_num());
    if is_defined { Ok(uuid) } else { Err(InvalidIdentifier) }
}

/// Identifies a product. The ID of a deleted product isn't used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ProductId(Uuid);

impl ProductId {
    /// A random ID, which reveals nothing about the product (UUIDv4).
    pub fn random() -> Self {
        Self(Uuid::new_v4())
    }

    pub const fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

/// Identifies a change, and orders the changes of a product: a UUIDv7, whose text sorts by the time it was made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventId(Uuid);

impl EventId {
    /// A new ID made at `now`, and greater than `last_seen` even if the clock is behind.
    ///
    /// A change comes after the state it was based on, even when the clock of the machine that accepted it is behind the
    /// clock that made `last_seen`: the ID's time is then one millisecond after that of `last_seen`.
    pub fn after(last_seen: Option<EventId>, now: Timestamp) -> Self {
        let fresh = Self::at(now.unix_millis());
        match last_seen {
            Some(last) if fresh <= last => Self::at(last.unix_millis() + 1),
            _ => fresh,
        }
    }

    fn at(unix_millis: u64) -> Self {
        let seconds = unix_millis / 1_000;
        let nanos = u32::try_from(unix_millis % 1_000).unwrap_or_default() * 1_000_000;
        Self(Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, nanos)))
    }

    /// Milliseconds since the Unix epoch, from the ID's first 48 bits (RFC 9562 §5.7).
    pub fn unix_millis(self) -> u64 {
        let (high, low, ..) = self.0.as_fields();
        (u64::from(high) << 16) | u64::from(low)
    }

    /// When the ID was made, to the millisecond.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_unix_millis(self.unix_millis())
    }
}

impl FromStr for ProductId {
    type Err = InvalidIdentifier;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_canonical(text).map(Self)
    }
}

impl FromStr for EventId {
    type Err = InvalidIdentifier;

    /// Refuses UUIDs of another version than 7: they don't hold the time that orders changes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uuid = parse_canonical(text)?;
        if uuid.get_version_num() == 7 { Ok(Self(uuid)) } else { Err(InvalidIdentifier) }
    }
}

macro_rules! text_form {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.as_hyphenated().fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidIdentifier;

            /// In data an ID has one form, since it is compared as a string there.
            fn try_from(text: String) -> Result<Self, Self::Error> {
                let id: Self = text.parse()?;
                if id.to_string() == text { Ok(id) } else { Err(InvalidIdentifier) }
            }
        }
    };
}

text_form!(ProductId);
text_form!(EventId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_canonical_form_only() {
        let canonical = "0190b6f5-7c3a-7d2e-9f10-2b3c4d5e6f70";
        assert_eq!(canonical.parse::<ProductId>().unwrap().to_string(), canonical);
        assert_eq!(canonical.to_uppercase().parse::<ProductId>().unwrap().to_string(), canonical);
        for other in [
            "",
            "1",
            "0190b6f57c3a7d2e9f102b3c4d5e6f70",
            "{0190b6f5-7c3a-7d2e-9f10-2b3c4d5e6f70}",
            "urn:uuid:0190b6f5-7c3a-7d2e-9f10-2b3c4d5e6f70",
            "0190b6f5-7c3a-7d2e-9f10-2b3c4d5e6f7g",
            "０190b6f5-7c3a-7d2e-9f10-2b3c4d5e6",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
            "0190b6f5-7c3a-9d2e-9f10-2b3c4d5e6f70",
            "0190b6f5-7c3a-7d2e-cf10-2b3c4d5e6f70",
        ] {
            assert_eq!(other.parse::<ProductId>(), Err(InvalidIdentifier), "{other}");
        }
    }

    #[test]
    fn accepts_lower_case_only_in_data() {
        let id = "0190b6f5-7c3a-7d2e-9f10-2b3c4d5e6f70".to_owned();
        assert!(ProductId::try_from(id.to_uppercase()).is_err() && EventId::try_from(id.to_uppercase()).is_err());
        assert!(ProductId::try_from(id.clone()).is_ok() && EventId::try_from(id).is_ok());
    }

    #[test]
    fn accepts_event_id_of_version_7_only() {
        assert!(Uuid::new_v4().to_string().parse::<EventId>().is_err());
        assert!(Uuid::now_v7().to_string().parse::<EventId>().is_ok());
    }

    #[test]
    fn makes_event_id_after_last_seen_when_clock_is_behind() {
        let now = Timestamp::from_unix_millis(1_800_000_000_000);
        let from_a_fast_clock = EventId::after(None, Timestamp::from_unix_millis(1_800_000_090_000));

        let next = EventId::after(Some(from_a_fast_clock), now);

        assert!(next > from_a_fast_clock);
        assert!(next.to_string() > from_a_fast_clock.to_string(), "the text sorts as the id does");
        assert_eq!(next.unix_millis(), 1_800_000_090_001);
    }

    #[test]
    fn makes_event_id_at_the_clocks_time_when_clock_is_ahead() {
        let earlier = EventId::after(None, Timestamp::from_unix_millis(1_700_000_000_000));
        let now = Timestamp::from_unix_millis(1_800_000_000_000);
        assert_eq!(EventId::after(Some(earlier), now).unix_millis(), now.unix_millis());
    }

    #[test]
    fn returns_time_of_event_id() {
        let now = Timestamp::from_unix_millis(1_767_225_600_123);
        assert_eq!(EventId::after(None, now).timestamp(), now);
    }
}
