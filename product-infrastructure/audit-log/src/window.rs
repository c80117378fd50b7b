//! A range of days.

use serde::{Deserialize, Serialize};
use time::Date;
use time::macros::format_description;

use crate::ids::day_folder;

/// Days in UTC, both inclusive; `None` is unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    #[serde(with = "date_text")]
    pub from: Option<Date>,
    #[serde(with = "date_text")]
    pub to: Option<Date>,
}

/// A day as `2026-01-31`; `null` without one.
pub mod date_text {
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use time::Date;

    pub fn serialize<S: Serializer>(date: &Option<Date>, serializer: S) -> Result<S::Ok, S::Error> {
        date.map(|date| date.to_string()).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Date>, D::Error> {
        let text: Option<String> = Deserialize::deserialize(deserializer)?;
        text.map(|text| super::day(&text)).transpose().map_err(D::Error::custom)
    }
}

/// A range of keys, both ends exclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    pub after: String,
    pub before: Option<String>,
}

impl Keys {
    /// What is left of the range after a key, unless the key is behind it.
    pub fn left_after(self, key: &str) -> Option<Self> {
        let after = self.after.max(key.to_owned());
        self.before.as_ref().is_none_or(|before| after < *before).then_some(Self { after, ..self })
    }

    /// The keys of the register of API keys, `clients/KEY_ID.json`. API Gateway's IDs are letters and digits, which sort before
    /// `~`, so an object of another name is still read as a foreign one.
    pub fn of_register() -> Self {
        Self { after: "clients/".to_owned(), before: Some("clients/~".to_owned()) }
    }
}

impl Window {
    pub fn is_whole(&self) -> bool {
        *self == Self::default()
    }

    pub fn contains(&self, date: Date) -> bool {
        self.from.is_none_or(|from| date >= from) && self.to.is_none_or(|to| date <= to)
    }

    /// The keys under a prefix of the objects in the window.
    pub fn keys(&self, prefix: &str) -> Keys {
        // Keys sort by their days. '0' is the character after '/'.
        let after = self.from.map_or_else(|| format!("{prefix}/"), |from| format!("{}/", day_folder(prefix, from)));
        let before = self.to.map_or_else(|| format!("{prefix}0"), |to| format!("{}0", day_folder(prefix, to)));
        Keys { after, before: Some(before) }
    }

    /// All keys but those of the register of API keys, which has no records; in a limited window, those of its days.
    pub fn all_keys(&self) -> Vec<Keys> {
        if self.is_whole() {
            let register = Keys::of_register();
            return vec![
                Keys { after: String::new(), before: Some(register.after) },
                Keys { after: register.before.unwrap_or_default(), before: None },
            ];
        }
        vec![self.keys("events"), self.keys("out-of-band")]
    }
}

/// Parses a day such as `2026-01-31`.
pub fn day(text: &str) -> Result<Date, String> {
    Date::parse(text, format_description!("[year]-[month]-[day]"))
        .map_err(|_| "must be a date such as 2026-01-31".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limited_window_is_a_range_of_keys() {
        let window = Window { from: day("2026-01-31").ok(), to: day("2026-02-01").ok() };
        let keys = window.keys("events");
        let inside = |key: &str| key > keys.after.as_str() && key < keys.before.as_deref().unwrap();
        for (key, expected) in [
            ("events/year=2026/month=01/day=30/a.json", false),
            ("events/year=2026/month=01/day=31/a.json", true),
            ("events/year=2026/month=02/day=01/ffff.json", true),
            ("events/year=2026/month=02/day=02/a.json", false),
        ] {
            assert_eq!(inside(key), expected, "{key}");
        }
        assert!(window.contains(day("2026-02-01").unwrap()) && !window.contains(day("2026-02-02").unwrap()));
        assert_eq!(window.all_keys().len(), 2);
    }

    #[test]
    fn unlimited_window_has_all_keys() {
        let window = Window::default();
        assert!(window.is_whole() && window.contains(Date::MAX));
        let all = window.all_keys();
        let is_in =
            |keys: &Keys, key: &str| key > keys.after.as_str() && keys.before.as_deref().is_none_or(|end| key < end);
        for (key, expected) in [
            ("a", true),
            ("events/year=2026/month=01/day=31/a.json", true),
            ("zzz", true),
            ("clients.json", true),
            ("clients0", true),
            ("clients/a1b2c3d4e5.json", false),
            ("clients/zzzzzzzzzz.json", false),
        ] {
            assert_eq!(all.iter().any(|keys| is_in(keys, key)), expected, "{key}");
            assert_eq!(is_in(&Keys::of_register(), key), !expected, "{key}");
        }
        let keys = Window { to: day("2026-02-01").ok(), ..window }.keys("events");
        assert!(keys.after.as_str() < "events/year=2020/month=01/day=01/a.json");
    }

    #[test]
    fn range_after_a_key_has_only_the_keys_behind_it() {
        let keys =
            |after: &str, before: Option<&str>| Keys { after: after.to_owned(), before: before.map(str::to_owned) };
        assert_eq!(keys("b", Some("f")).left_after("a"), Some(keys("b", Some("f"))));
        assert_eq!(keys("b", Some("f")).left_after("d"), Some(keys("d", Some("f"))));
        assert_eq!(keys("b", Some("f")).left_after("f"), None);
        assert_eq!(keys("", None).left_after("z"), Some(keys("z", None)));
    }

    #[test]
    fn rejects_invalid_days() {
        for text in ["", "2026-02-30", "31.1.2026", "2026-1-1"] {
            assert!(day(text).is_err(), "{text}");
        }
    }
}
