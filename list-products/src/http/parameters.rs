//! The listing's query parameters. One that is unknown, repeated or out of place is refused by name: a typo must not
//! silently list everything.

use std::collections::BTreeMap;

use super::error::{ErrorCode, Failure};
use crate::models::money::{Currency, Money};
use crate::models::violation::{DetailCode, Violation};
use crate::repositories::product_index::{KeyRange, Order};
use crate::repositories::table_keys::{currency_prefix, name_pk, price_prefix};
use crate::services::list_products::Selection;

const KNOWN: [&str; 7] = ["limit", "cursor", "currency", "minPrice", "maxPrice", "sort", "name"];
const LIMIT: std::ops::RangeInclusive<usize> = 1..=100;
const DEFAULT_LIMIT: usize = 20;
/// A product's name has at most as many characters.
const LONGEST_NAME: usize = 200;

/// What a caller asks for, but for the cursor's meaning (see `cursor`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListParameters {
    pub selection: Selection,
    pub limit: usize,
    pub cursor: Option<String>,
}

impl ListParameters {
    /// Reads the query's pairs, already percent-decoded, in any order.
    ///
    /// # Errors
    /// 400 `INVALID_PARAMETER` with a detail for each parameter that is wrong.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Failure> {
        let mut details = Vec::new();
        let mut given: BTreeMap<&str, &str> = BTreeMap::new();
        for (name, value) in pairs {
            if !KNOWN.contains(&name) {
                let message = format!("is no parameter of this call; those are {}", KNOWN.join(", "));
                details.push(Violation::new(shown(name), DetailCode::UnknownParameter, message));
            } else if given.insert(name, value).is_some() {
                details.push(Violation::new(name, DetailCode::RepeatedParameter, "may be given once only"));
            }
        }

        let mut check = |name: &'static str, outcome: Result<(), (DetailCode, String)>| {
            if let Err((code, message)) = outcome {
                details.push(Violation::new(name, code, message));
            }
        };
        let mut limit = DEFAULT_LIMIT;
        if let Some(text) = given.get("limit") {
            check("limit", parse_limit(text).map(|value| limit = value));
        }
        let mut order = Order::Ascending;
        if let Some(text) = given.get("sort") {
            check("sort", parse_order(text).map(|value| order = value));
        }
        let mut name = None;
        if let Some(text) = given.get("name") {
            check("name", parse_name(text).map(|value| name = Some(value)));
            for other in
                ["sort", "currency", "minPrice", "maxPrice"].into_iter().filter(|other| given.contains_key(other))
            {
                check(other, Err((DetailCode::NotAllowed, "cannot be combined with name".to_owned())));
            }
        }
        let mut currency = None;
        if let Some(text) = given.get("currency") {
            check("currency", parse_currency(text).map(|value| currency = Some(value)));
        }
        let mut bounds: [Option<Money>; 2] = [None, None];
        for (bound, parameter) in bounds.iter_mut().zip(["minPrice", "maxPrice"]) {
            let Some(text) = given.get(parameter) else { continue };
            if !given.contains_key("currency") {
                check(
                    parameter,
                    Err((
                        DetailCode::Required,
                        "needs currency: amounts of different currencies have no order".to_owned(),
                    )),
                );
            } else if let Some(currency) = currency {
                let price = Money::parse(text, currency).map(|value| *bound = Some(value));
                check(parameter, price.map_err(|error| (DetailCode::InvalidFormat, error.to_string())));
            }
        }
        if let [Some(lowest), Some(highest)] = bounds
            && lowest.minor_units() > highest.minor_units()
        {
            check("minPrice", Err((DetailCode::OutOfRange, "must not be above maxPrice".to_owned())));
        }

        if !details.is_empty() {
            let failure = Failure::new(ErrorCode::InvalidParameter, "The query has parameters that cannot be used.");
            return Err(failure.with_details(details));
        }
        let range = key_range(currency, bounds);
        let cursor = given.get("cursor").map(|&text| text.to_owned());
        Ok(Self { selection: Selection { name, range, order }, limit, cursor })
    }
}

/// The part of the index's order that currency and bounds leave.
///
/// `$` is the character after `#`, and `[` the one after `Z`: `EUR$` comes after every key that begins with `EUR#`, and
/// no key is equal to it.
fn key_range(currency: Option<Currency>, [lowest, highest]: [Option<Money>; 2]) -> KeyRange {
    let Some(currency) = currency else {
        return KeyRange { first: "A".to_owned(), last: "[".to_owned() };
    };
    let first = lowest.map_or_else(|| currency_prefix(currency), price_prefix);
    let mut last = highest.map_or_else(|| currency_prefix(currency), price_prefix);
    last.pop();
    last.push('$');
    KeyRange { first, last }
}

type Wrong = (DetailCode, String);

fn parse_limit(text: &str) -> Result<usize, Wrong> {
    let message = || format!("must be a whole number from {} to {}", LIMIT.start(), LIMIT.end());
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err((DetailCode::InvalidFormat, message()));
    }
    // Only digits: what cannot be read is too large.
    text.parse().ok().filter(|value| LIMIT.contains(value)).ok_or_else(|| (DetailCode::OutOfRange, message()))
}

fn parse_order(text: &str) -> Result<Order, Wrong> {
    match text {
        "price" => Ok(Order::Ascending),
        "-price" => Ok(Order::Descending),
        _ => Err((DetailCode::InvalidFormat, "must be price or -price".to_owned())),
    }
}

fn parse_name(text: &str) -> Result<String, Wrong> {
    match text.trim() {
        "" => Err((DetailCode::TooShort, "must not be blank".to_owned())),
        name if name.chars().count() > LONGEST_NAME => {
            Err((DetailCode::TooLong, format!("must have at most {LONGEST_NAME} characters")))
        }
        name => Ok(name.to_owned()),
    }
}

fn parse_currency(text: &str) -> Result<Currency, Wrong> {
    Currency::from_code(text)
        .filter(|currency| currency.exponent().is_some())
        .ok_or_else(|| (DetailCode::UnknownCurrency, "must be an ISO 4217 code such as EUR".to_owned()))
}

/// A name that a caller made up, short enough to be sent back.
fn shown(name: &str) -> String {
    let mut start: String = name.chars().take(64).collect();
    if start.is_empty() {
        start.push_str("(empty)");
    }
    start
}

impl Selection {
    /// A text that is equal for equal selections only; cursors are bound to it.
    pub fn canonical(&self) -> String {
        let name = self.name.as_deref().map(name_pk).unwrap_or_default();
        format!("{:?}\n{}\n{}\n{name}", self.order, self.range.first, self.range.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(pairs: &[(&str, &str)]) -> Vec<(String, &'static str)> {
        let failure = ListParameters::parse(pairs.iter().copied()).expect_err(&format!("{pairs:?}"));
        assert_eq!(failure.code, ErrorCode::InvalidParameter);
        failure.details.into_iter().map(|detail| (detail.field, detail.code.name())).collect()
    }

    fn range(pairs: &[(&str, &str)]) -> (String, String) {
        let range = ListParameters::parse(pairs.iter().copied()).unwrap().selection.range;
        (range.first, range.last)
    }

    #[test]
    fn nothing_given_means_the_twenty_cheapest() {
        let parameters = ListParameters::parse([]).unwrap();
        assert_eq!((parameters.limit, parameters.selection.order, parameters.cursor), (20, Order::Ascending, None));
    }

    #[test]
    fn prices_become_a_range_of_the_index() {
        let pair = |first: &str, last: &str| (first.to_owned(), last.to_owned());
        assert_eq!(range(&[]), pair("A", "["));
        assert_eq!(range(&[("currency", "EUR")]), pair("EUR#", "EUR$"));
        assert_eq!(
            range(&[("currency", "EUR"), ("minPrice", "5"), ("maxPrice", "19.99")]),
            pair("EUR#0000000000000500#", "EUR#0000000000001999$")
        );
        assert_eq!(range(&[("currency", "JPY"), ("minPrice", "5")]), pair("JPY#0000000000000005#", "JPY$"));
    }

    #[test]
    fn each_wrong_parameter_is_named() {
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
            (vec![("sort", "name")], "sort", "INVALID_FORMAT"),
            (vec![("currency", "eur")], "currency", "UNKNOWN_CURRENCY"),
            (vec![("currency", "XAU")], "currency", "UNKNOWN_CURRENCY"),
            (vec![("minPrice", "5")], "minPrice", "REQUIRED"),
            (vec![("maxPrice", "5")], "maxPrice", "REQUIRED"),
            (vec![("currency", "EUR"), ("minPrice", "1e3")], "minPrice", "INVALID_FORMAT"),
            (vec![("currency", "JPY"), ("maxPrice", "0.5")], "maxPrice", "INVALID_FORMAT"),
            (vec![("currency", "EUR"), ("minPrice", "2"), ("maxPrice", "1.99")], "minPrice", "OUT_OF_RANGE"),
            (vec![("name", "   ")], "name", "TOO_SHORT"),
            (vec![("name", "table"), ("sort", "price")], "sort", "NOT_ALLOWED"),
            (vec![("name", "table"), ("currency", "EUR")], "currency", "NOT_ALLOWED"),
        ] {
            assert_eq!(refused(&pairs), [(field.to_owned(), code)], "{pairs:?}");
        }
        assert_eq!(refused(&[("name", &"x".repeat(201))]), [("name".to_owned(), "TOO_LONG")]);
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let details = refused(&[("limit", "0"), ("sort", "x"), ("page", "2"), ("minPrice", "1")]);
        assert_eq!(details.len(), 4, "{details:?}");
    }
}
