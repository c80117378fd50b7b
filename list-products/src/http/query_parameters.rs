//! Query parameters, checked all at once. An unknown or repeated one is refused by name: a typo must not silently select
//! other items.

use std::collections::BTreeMap;

use super::error::{ErrorCode, Failure};
use crate::models::violation::{DetailCode, Violation};

const LIMITS: std::ops::RangeInclusive<usize> = 1..=100;
const DEFAULT_LIMIT: usize = 20;
/// Characters of an unknown parameter's name that a response repeats.
const MAX_NAME_LENGTH: usize = 64;

/// The parameters of one request, and the violations found so far.
#[derive(Debug)]
pub struct QueryParameters<'a> {
    values: BTreeMap<&'a str, &'a str>,
    violations: Vec<Violation>,
}

impl<'a> QueryParameters<'a> {
    /// Reads percent-decoded pairs, of which only those with a `known` name are allowed, each once.
    pub fn new(pairs: impl IntoIterator<Item = (&'a str, &'a str)>, known: &[&str]) -> Self {
        let mut parameters = Self { values: BTreeMap::new(), violations: Vec::new() };
        for (name, value) in pairs {
            if !known.contains(&name) {
                let message = format!("unknown parameter; expected one of: {}", known.join(", "));
                parameters.violations.push(Violation::new(printable(name), DetailCode::UnknownParameter, message));
            } else if parameters.values.insert(name, value).is_some() {
                parameters.reject(name, DetailCode::RepeatedParameter, "must be specified only once");
            }
        }
        parameters
    }

    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.values.get(name).copied()
    }

    pub fn reject(&mut self, name: &str, code: DetailCode, message: impl Into<std::borrow::Cow<'static, str>>) {
        self.violations.push(Violation::new(name, code, message));
    }

    /// Reads a parameter with `parse`; `None` if it is absent or rejected.
    pub fn parse<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&'a str) -> Result<T, (DetailCode, std::borrow::Cow<'static, str>)>,
    ) -> Option<T> {
        match parse(self.get(name)?) {
            Ok(value) => Some(value),
            Err((code, message)) => {
                self.reject(name, code, message);
                None
            }
        }
    }

    /// `limit`: the maximum number of items of a page.
    pub fn limit(&mut self) -> usize {
        let message = || format!("must be an integer from {} to {}", LIMITS.start(), LIMITS.end()).into();
        let parsed = self.parse("limit", |text| {
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err((DetailCode::InvalidFormat, message()));
            }
            // Digits only: what doesn't parse is too large.
            text.parse().ok().filter(|limit| LIMITS.contains(limit)).ok_or_else(|| (DetailCode::OutOfRange, message()))
        });
        parsed.unwrap_or(DEFAULT_LIMIT)
    }

    /// Ends the checks.
    ///
    /// # Errors
    /// 400 `INVALID_PARAMETER` with all violations.
    pub fn finish(self) -> Result<(), Failure> {
        if self.violations.is_empty() {
            return Ok(());
        }
        let failure = Failure::new(ErrorCode::InvalidParameter, "One or more query parameters are invalid.");
        Err(failure.with_details(self.violations))
    }
}

/// A parameter's name as the response repeats it.
fn printable(name: &str) -> String {
    let start: String = name.chars().take(MAX_NAME_LENGTH).collect();
    if start.is_empty() { "(empty)".to_owned() } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<usize, Vec<(String, &'static str)>> {
        let mut parameters = QueryParameters::new(pairs.iter().copied(), &["limit", "cursor"]);
        let limit = parameters.limit();
        let rejected = |failure: Failure| {
            assert_eq!(failure.code, ErrorCode::InvalidParameter);
            failure.details.into_iter().map(|detail| (detail.field, detail.code.name())).collect()
        };
        parameters.finish().map(|()| limit).map_err(rejected)
    }

    #[test]
    fn reads_limit_with_default() {
        assert_eq!(read(&[]), Ok(20));
        for limit in [1, 100] {
            assert_eq!(read(&[("limit", &limit.to_string()), ("cursor", "x")]), Ok(limit));
        }
    }

    #[test]
    fn rejects_each_invalid_parameter_by_name() {
        for (pairs, field, code) in [
            (vec![("limt", "5")], "limt", "UNKNOWN_PARAMETER"),
            (vec![("Limit", "5")], "Limit", "UNKNOWN_PARAMETER"),
            (vec![("", "")], "(empty)", "UNKNOWN_PARAMETER"),
            (vec![("limit", "5"), ("limit", "5")], "limit", "REPEATED_PARAMETER"),
            (vec![("limit", "0")], "limit", "OUT_OF_RANGE"),
            (vec![("limit", "101")], "limit", "OUT_OF_RANGE"),
            (vec![("limit", "99999999999999999999999")], "limit", "OUT_OF_RANGE"),
            (vec![("limit", "")], "limit", "INVALID_FORMAT"),
            (vec![("limit", "+5")], "limit", "INVALID_FORMAT"),
            (vec![("limit", "5.0")], "limit", "INVALID_FORMAT"),
        ] {
            assert_eq!(read(&pairs), Err(vec![(field.to_owned(), code)]), "{pairs:?}");
        }
    }

    #[test]
    fn rejects_all_invalid_parameters_at_once() {
        assert_eq!(read(&[("page", "2"), ("limit", "0"), ("cursor", ""), ("cursor", "")]).unwrap_err().len(), 3);
    }
}
