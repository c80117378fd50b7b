//! Reads the fields of a JSON object one after another, and collects every violation on the way.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::json_object::{JsonObject, JsonString};
use super::money::{Amount, Currency, InvalidMoney, Money};
use super::violation::{DetailCode, Violation};

/// A rule that a value breaks; the reader adds the field's path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    pub code: DetailCode,
    pub message: Cow<'static, str>,
}

/// A value that is parsed from a string.
pub trait ParseField: Sized {
    fn parse(text: &str) -> Result<Self, Vec<Issue>>;
}

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentKind {
    /// All of an object. `null` means that an optional field is not set.
    Whole,
    /// A JSON merge patch (RFC 7396): an absent field stays as it is, `null` removes an optional one.
    Patch,
}

/// Names of invalid fields are truncated to this many characters before they are sent back.
const MAX_REPORTED_NAME: usize = 64;

/// A method for each type of field. Each returns the value, or `None` if the field is absent or invalid; `finish` returns
/// the violations.
pub struct FieldReader<'a> {
    kind: DocumentKind,
    given: BTreeMap<&'a str, &'a RawValue>,
    violations: Vec<Violation>,
    /// The fields that were given, as they were understood.
    normalized: Map<String, Value>,
}

impl<'a> FieldReader<'a> {
    pub fn new(object: &'a JsonObject, kind: DocumentKind) -> Self {
        let mut reader = Self { kind, given: BTreeMap::new(), violations: Vec::new(), normalized: Map::new() };
        for (name, value) in &object.0 {
            match name.as_str() {
                Err(surrogate) => reader.report("body", DetailCode::InvalidFormat, surrogate.to_string()),
                Ok(name) if reader.given.insert(name, value).is_some() => {
                    reader.report(reported_name(name), DetailCode::Duplicate, "appears more than once");
                }
                Ok(_) => {}
            }
        }
        reader
    }

    pub fn required_string<T: ParseField + Serialize>(&mut self, field: &'static str) -> Option<T> {
        let value = self.take_required(field)?;
        self.string(field, value)
    }

    pub fn optional_string<T: ParseField + Serialize>(&mut self, field: &'static str) -> Option<T> {
        let value = self.take_optional(field)?;
        self.string(field, value)
    }

    pub fn string_array<T>(&mut self, field: &'static str, max_items: usize, unique: bool) -> Vec<T>
    where
        T: ParseField + Serialize + PartialEq,
    {
        let Some(value) = self.take_optional(field) else { return Vec::new() };
        let Ok(items) = serde_json::from_str::<Vec<Box<RawValue>>>(value.get()) else {
            self.report(field, DetailCode::InvalidType, "must be an array of strings");
            return Vec::new();
        };
        if items.len() > max_items {
            self.report(field, DetailCode::TooMany, format!("must contain at most {max_items} items"));
            return Vec::new();
        }
        let mut parsed: Vec<T> = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = format!("{field}[{index}]");
            match self.parse::<T>(&path, item) {
                Some(item) if unique && parsed.contains(&item) => {
                    self.report(path, DetailCode::Duplicate, "duplicates an earlier item");
                }
                item => parsed.extend(item),
            }
        }
        // An empty array says the same as null: content has no empty arrays.
        self.keep(field, &Some(&parsed).filter(|items| !items.is_empty()));
        parsed
    }

    /// An object with string values. In a patch, an attribute that is `null` is removed.
    pub fn string_map<K, V>(&mut self, field: &'static str, max_whole: usize, max_patch: usize) -> BTreeMap<K, V>
    where
        K: ParseField + Serialize + Ord,
        V: ParseField + Serialize,
    {
        let Some(value) = self.take_optional(field) else { return BTreeMap::new() };
        let Ok(JsonObject(members)) = serde_json::from_str(value.get()) else {
            self.report(field, DetailCode::InvalidType, "must be an object with string values");
            return BTreeMap::new();
        };
        let max_items = if self.kind == DocumentKind::Patch { max_patch } else { max_whole };
        if members.len() > max_items {
            self.report(field, DetailCode::TooMany, format!("must contain at most {max_items} items"));
            return BTreeMap::new();
        }
        let mut parsed: BTreeMap<K, Option<V>> = BTreeMap::new();
        for (name, value) in &members {
            let Some(path) = self.attribute_path(field, name) else { continue };
            let removed = self.kind == DocumentKind::Patch && value.get() == "null";
            let name = self.parse_string::<K>(&path, name);
            let value = if removed { Some(None) } else { self.parse::<V>(&path, value).map(Some) };
            if let (Some(name), Some(value)) = (name, value)
                && parsed.insert(name, value).is_some()
            {
                self.report(path, DetailCode::Duplicate, "appears more than once");
            }
        }
        // In a patch, an empty object says nothing: merged into no attributes it would leave an empty object behind.
        if !parsed.is_empty() {
            self.keep(field, &parsed);
        }
        parsed.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// A price and its currency. `currency` parses the code; without one only the form of the price can be checked.
    pub fn money(&mut self, parse_currency: impl Fn(&str) -> Result<Currency, Issue>) -> Option<Money> {
        let amount = self.take_required("price").and_then(|value| self.decimal("price", value));
        let currency = self.take_required("currency").and_then(|value| self.json_string("currency", value));
        let currency = currency.and_then(|code| match code.as_str() {
            Ok(code) => parse_currency(code).map_err(|issue| self.report_issue("currency", issue)).ok(),
            Err(surrogate) => {
                self.report("currency", DetailCode::InvalidFormat, surrogate.to_string());
                None
            }
        });
        let parsed = amount.as_deref().and_then(|text| match Amount::parse(text) {
            Ok(amount) => Some(amount),
            Err(error) => {
                self.report_money(error);
                None
            }
        });
        if let Some(currency) = currency {
            self.keep("currency", &currency.code());
        }
        match (parsed, currency) {
            (Some(amount), Some(currency)) => match amount.in_currency(currency) {
                Ok(money) => {
                    self.keep("price", &money.to_string());
                    Some(money)
                }
                Err(error) => {
                    self.report_money(error);
                    None
                }
            },
            (Some(_), None) => {
                self.keep("price", &amount.as_deref());
                None
            }
            (None, _) => None,
        }
    }

    /// Takes a field out of the document, whatever it holds.
    pub fn take(&mut self, field: &str) -> Option<&'a RawValue> {
        self.given.remove(field)
    }

    pub fn report(&mut self, field: impl Into<String>, code: DetailCode, message: impl Into<Cow<'static, str>>) {
        self.violations.push(Violation::new(field, code, message));
    }

    /// The given fields in normal form, unless one breaks a rule or was not read: then every violation.
    pub fn finish(mut self) -> Result<Map<String, Value>, Vec<Violation>> {
        for field in std::mem::take(&mut self.given).into_keys() {
            self.report(reported_name(field), DetailCode::UnknownField, "isn't a recognized field");
        }
        if self.violations.is_empty() { Ok(self.normalized) } else { Err(self.violations) }
    }

    fn take_required(&mut self, field: &'static str) -> Option<&'a RawValue> {
        let value = self.given.remove(field);
        let is_missing = match (self.kind, value) {
            (_, Some(value)) => value.get() == "null",
            (DocumentKind::Whole, None) => true,
            (DocumentKind::Patch, None) => false,
        };
        if is_missing {
            self.report(field, DetailCode::Required, "is required");
            return None;
        }
        value
    }

    fn take_optional(&mut self, field: &'static str) -> Option<&'a RawValue> {
        let value = self.given.remove(field)?;
        if value.get() == "null" {
            self.keep(field, &Value::Null);
            return None;
        }
        Some(value)
    }

    fn string<T: ParseField + Serialize>(&mut self, field: &str, value: &RawValue) -> Option<T> {
        let parsed = self.parse::<T>(field, value)?;
        self.keep(field, &parsed);
        Some(parsed)
    }

    fn parse<T: ParseField>(&mut self, path: &str, value: &RawValue) -> Option<T> {
        let text = self.json_string(path, value)?;
        self.parse_string(path, &text)
    }

    fn parse_string<T: ParseField>(&mut self, path: &str, text: &JsonString) -> Option<T> {
        let parsed = match text.as_str() {
            Ok(text) => T::parse(text),
            Err(surrogate) => {
                Err(vec![Issue { code: DetailCode::InvalidFormat, message: surrogate.to_string().into() }])
            }
        };
        parsed.map_err(|issues| issues.into_iter().for_each(|issue| self.report_issue(path, issue))).ok()
    }

    fn json_string(&mut self, path: &str, value: &RawValue) -> Option<JsonString> {
        let text = serde_json::from_str(value.get()).ok();
        if text.is_none() {
            self.report(path, DetailCode::InvalidType, "must be a string");
        }
        text
    }

    /// The digits of a decimal, whether sent as a number or as a string.
    fn decimal(&mut self, path: &str, value: &'a RawValue) -> Option<Cow<'a, str>> {
        let json = value.get();
        if json.starts_with(|first: char| first == '-' || first.is_ascii_digit()) {
            return Some(json.into());
        }
        match serde_json::from_str::<JsonString>(json) {
            Ok(text) => match text.as_str() {
                Ok(text) => Some(text.to_owned().into()),
                Err(surrogate) => {
                    self.report(path, DetailCode::InvalidFormat, surrogate.to_string());
                    None
                }
            },
            Err(_) => {
                self.report(path, DetailCode::InvalidType, "must be a number or a decimal string");
                None
            }
        }
    }

    fn attribute_path(&mut self, field: &str, name: &JsonString) -> Option<String> {
        match name.as_str() {
            Ok(name) => Some(format!("{field}[{:?}]", name.chars().take(MAX_REPORTED_NAME).collect::<String>())),
            Err(surrogate) => {
                self.report(field, DetailCode::InvalidFormat, surrogate.to_string());
                None
            }
        }
    }

    fn report_issue(&mut self, path: &str, issue: Issue) {
        self.report(path, issue.code, issue.message);
    }

    fn report_money(&mut self, error: InvalidMoney) {
        let code = match error {
            InvalidMoney::Format => DetailCode::InvalidFormat,
            InvalidMoney::Range => DetailCode::OutOfRange,
            InvalidMoney::Decimals(_) => DetailCode::TooManyDecimals,
            InvalidMoney::Currency => DetailCode::UnknownCurrency,
        };
        self.report("price", code, error.to_string());
    }

    fn keep(&mut self, field: &str, value: &impl Serialize) {
        let value = serde_json::to_value(value).expect("strings, arrays of strings and maps with string keys are JSON");
        self.normalized.insert(field.to_owned(), value);
    }
}

fn reported_name(name: &str) -> String {
    if name.is_empty() { "(empty)".to_owned() } else { name.chars().take(MAX_REPORTED_NAME).collect() }
}
