//! The query parameters of the list and of the feed.

use std::borrow::Cow;
use std::collections::HashSet;

use super::error::Failure;
use super::query_parameters::QueryParameters;
use crate::models::folded_text::FoldedText;
use crate::models::money::{Currency, InvalidMoney, Money};
use crate::models::selection::{NameFilter, Order, PriceRange, RequestedId, Selection};
use crate::models::violation::DetailCode;

const LIST_PARAMETERS: [&str; 11] =
    ["limit", "cursor", "currency", "minPrice", "maxPrice", "sort", "category", "name", "namePrefix", "sku", "ids"];
const FEED_PARAMETERS: [&str; 2] = ["after", "limit"];

/// Parameters that select products by one field, and those that each can be combined with. Of several, the first counts.
const EXCLUSIVE: [(&str, &[&str]); 4] =
    [("ids", &["cursor"]), ("sku", &["limit"]), ("name", &["limit", "cursor"]), ("namePrefix", &["limit", "cursor"])];

const MAX_NAME_LENGTH: usize = 200;
const MAX_CATEGORY_LENGTH: usize = 100;
const MAX_SKU_LENGTH: usize = 64;
const MIN_PREFIX_LENGTH: usize = 2;
const MAX_IDS: usize = 100;
/// Characters of a UUID.
const ID_LENGTH: usize = 36;

type Rejection = (DetailCode, Cow<'static, str>);

/// What a caller requests of the list. The cursor is read when its selection is known: see `cursor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListParameters {
    pub selection: Selection,
    pub limit: usize,
    pub cursor: Option<String>,
}

impl ListParameters {
    /// Reads percent-decoded pairs, in any order.
    ///
    /// # Errors
    /// 400 `INVALID_PARAMETER` with all violations.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Failure> {
        let mut parameters = QueryParameters::new(pairs, &LIST_PARAMETERS);
        let chosen = EXCLUSIVE.into_iter().find(|(name, _)| parameters.get(name).is_some());
        if let Some((chosen, combinable)) = chosen {
            for other in LIST_PARAMETERS.into_iter().filter(|other| *other != chosen && !combinable.contains(other)) {
                if parameters.get(other).is_some() {
                    let message = format!("cannot be combined with {chosen}");
                    parameters.reject(other, DetailCode::NotAllowed, message);
                }
            }
        }

        let limit = parameters.limit();
        let order = parameters.parse("sort", parse_order).unwrap_or(Order::Ascending);
        let prices = read_prices(&mut parameters);
        let category = parameters.parse("category", |text| parse_line(text, 1, MAX_CATEGORY_LENGTH));
        let name = parameters.parse("name", |text| parse_line(text, 1, MAX_NAME_LENGTH));
        let prefix = parameters.parse("namePrefix", |text| parse_line(text, MIN_PREFIX_LENGTH, MAX_NAME_LENGTH));
        let sku = parameters.parse("sku", parse_sku);
        let ids = parameters.parse("ids", parse_ids);
        let cursor = parameters.get("cursor").map(str::to_owned);
        parameters.finish()?;

        // No violation: at most one of them is present.
        let selection = match (ids, sku, name, prefix) {
            (Some(ids), ..) => Selection::ByIds(ids),
            (_, Some(sku), ..) => Selection::BySku(sku),
            (_, _, Some(name), _) => Selection::ByName(NameFilter::Exact(name)),
            (.., Some(prefix)) => Selection::ByName(NameFilter::Prefix(prefix)),
            _ => Selection::ByPrice { category, prices, order },
        };
        Ok(Self { selection, limit, cursor })
    }
}

/// What a caller requests of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedParameters {
    pub after: Option<String>,
    pub limit: usize,
}

impl FeedParameters {
    /// Reads percent-decoded pairs, in any order.
    ///
    /// # Errors
    /// 400 `INVALID_PARAMETER` with all violations.
    pub fn parse<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, Failure> {
        let mut parameters = QueryParameters::new(pairs, &FEED_PARAMETERS);
        let limit = parameters.limit();
        let after = parameters.get("after").map(str::to_owned);
        parameters.finish()?;
        Ok(Self { after, limit })
    }
}

fn read_prices(parameters: &mut QueryParameters<'_>) -> PriceRange {
    let currency = parameters.parse("currency", parse_currency);
    let is_given = parameters.get("currency").is_some();
    let mut bound = |name| match currency {
        Some(currency) => parameters.parse(name, |text| parse_price(text, currency)),
        None => {
            if parameters.get(name).is_some() && !is_given {
                parameters.reject(name, DetailCode::Required, "requires currency");
            }
            None
        }
    };
    let (min, max) = (bound("minPrice"), bound("maxPrice"));
    if let (Some(min), Some(max)) = (min, max)
        && min.minor_units() > max.minor_units()
    {
        parameters.reject("minPrice", DetailCode::OutOfRange, "must not be greater than maxPrice");
    }
    PriceRange { currency, min, max }
}

fn parse_currency(text: &str) -> Result<Currency, Rejection> {
    Currency::from_code(text)
        .filter(|currency| currency.exponent().is_some())
        .ok_or((DetailCode::UnknownCurrency, "must be an ISO 4217 currency code such as EUR".into()))
}

fn parse_price(text: &str, currency: Currency) -> Result<Money, Rejection> {
    Money::parse(text, currency).map_err(|error| {
        let code = match error {
            InvalidMoney::Range => DetailCode::OutOfRange,
            InvalidMoney::Decimals(_) => DetailCode::TooManyDecimals,
            _ => DetailCode::InvalidFormat,
        };
        (code, error.to_string().into())
    })
}

fn parse_order(text: &str) -> Result<Order, Rejection> {
    match text {
        "price" => Ok(Order::Ascending),
        "-price" => Ok(Order::Descending),
        _ => Err((DetailCode::InvalidFormat, "must be price or -price".into())),
    }
}

/// A name, its beginning, or a category.
fn parse_line(text: &str, min_length: usize, max_length: usize) -> Result<FoldedText, Rejection> {
    let trimmed = text.trim();
    let folded = FoldedText::new(trimmed);
    let length = trimmed.chars().count();
    if length == 0 {
        Err((DetailCode::TooShort, "must not be blank".into()))
    } else if length < min_length || folded.as_str().chars().count() < min_length {
        Err((DetailCode::TooShort, format!("must contain at least {min_length} characters").into()))
    } else if length > max_length {
        Err((DetailCode::TooLong, format!("must contain at most {max_length} characters").into()))
    } else if trimmed.chars().any(char::is_control) {
        // Nothing stored has one, and a tab would end a name in the index.
        Err((DetailCode::InvalidFormat, "must not contain control characters".into()))
    } else {
        Ok(folded)
    }
}

fn parse_sku(text: &str) -> Result<String, Rejection> {
    match text.trim() {
        "" => Err((DetailCode::TooShort, "must not be blank".into())),
        sku if sku.chars().count() > MAX_SKU_LENGTH => {
            Err((DetailCode::TooLong, format!("must contain at most {MAX_SKU_LENGTH} characters").into()))
        }
        sku => Ok(sku.to_owned()),
    }
}

/// IDs separated by commas. A repeated one counts once.
fn parse_ids(text: &str) -> Result<Vec<RequestedId>, Rejection> {
    let is_id = |id: &str| id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let ids: Vec<&str> = text.split(',').collect();
    if !ids.iter().all(|id| is_id(id)) {
        return Err((DetailCode::InvalidFormat, "must be product IDs separated by commas".into()));
    }
    if ids.len() > MAX_IDS {
        return Err((DetailCode::TooMany, format!("must contain at most {MAX_IDS} items").into()));
    }
    let mut known = HashSet::new();
    let requested = ids.into_iter().filter(|id| known.insert(id.to_ascii_lowercase()));
    Ok(requested.map(|id| RequestedId { text: id.to_owned(), id: id.parse().ok() }).collect())
}

/// A string that is equal for equal selections only; cursors are bound to it.
pub fn canonical(selection: &Selection) -> String {
    match selection {
        Selection::ByPrice { category, prices: PriceRange { currency, min, max }, order } => {
            let category = category.as_ref().map(FoldedText::as_str);
            let currency = currency.map(|currency| currency.code());
            let [min, max] = [min, max].map(|price| price.map(Money::minor_units));
            format!("price {order:?} {currency:?} {min:?} {max:?} {category:?}")
        }
        Selection::ByName(NameFilter::Exact(name)) => format!("name {}", name.as_str()),
        Selection::ByName(NameFilter::Prefix(prefix)) => format!("namePrefix {}", prefix.as_str()),
        Selection::BySku(sku) => format!("sku {sku}"),
        Selection::ByIds(ids) => {
            let ids: Vec<&str> = ids.iter().map(|id| id.text.as_str()).collect();
            format!("ids {}", ids.join(","))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::error::ErrorCode;

    const ID: &str = "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84";

    fn rejected(pairs: &[(&str, &str)]) -> Vec<(String, &'static str)> {
        let failure = ListParameters::parse(pairs.iter().copied()).expect_err(&format!("{pairs:?}"));
        assert_eq!(failure.code, ErrorCode::InvalidParameter);
        failure.details.into_iter().map(|detail| (detail.field, detail.code.name())).collect()
    }

    fn selection(pairs: &[(&str, &str)]) -> Selection {
        ListParameters::parse(pairs.iter().copied()).unwrap().selection
    }

    #[test]
    fn selects_all_products_by_price_without_parameters() {
        let ListParameters { selection, limit, cursor } = ListParameters::parse([]).unwrap();
        let all = Selection::ByPrice { category: None, prices: PriceRange::default(), order: Order::Ascending };
        assert_eq!((selection, limit, cursor), (all, 20, None));
    }

    #[test]
    fn selects_by_each_field() {
        let euros = |minor| Money::from_minor_units(minor, Currency::EUR);
        let prices = PriceRange { currency: Some(Currency::EUR), min: euros(500), max: euros(1_999) };
        assert_eq!(
            selection(&[
                ("category", " Garden  CHAIRS"),
                ("currency", "EUR"),
                ("minPrice", "5"),
                ("maxPrice", "19.99"),
                ("sort", "-price"),
            ]),
            Selection::ByPrice { category: Some(FoldedText::new("garden chairs")), prices, order: Order::Descending }
        );
        let name = FoldedText::new("straße");
        assert_eq!(
            selection(&[("name", "STRASSE"), ("limit", "3")]),
            Selection::ByName(NameFilter::Exact(name.clone()))
        );
        assert_eq!(selection(&[("namePrefix", "STRASSE")]), Selection::ByName(NameFilter::Prefix(name)));
        assert_eq!(selection(&[("sku", " OAK-1 "), ("limit", "1")]), Selection::BySku("OAK-1".to_owned()));
        let upper = ID.to_uppercase();
        let ids = format!("{upper},{ID},{}", "-".repeat(36));
        assert_eq!(
            selection(&[("ids", &ids)]),
            Selection::ByIds(vec![
                RequestedId { text: upper, id: ID.parse().ok() },
                RequestedId { text: "-".repeat(36), id: None },
            ]),
            "each once, and a malformed UUID names no product"
        );
    }

    #[test]
    fn rejects_each_invalid_parameter_by_name() {
        for (pairs, field, code) in [
            (vec![("limt", "5")], "limt", "UNKNOWN_PARAMETER"),
            (vec![("limit", "5"), ("limit", "5")], "limit", "REPEATED_PARAMETER"),
            (vec![("limit", "101")], "limit", "OUT_OF_RANGE"),
            (vec![("sort", "name")], "sort", "INVALID_FORMAT"),
            (vec![("currency", "eur")], "currency", "UNKNOWN_CURRENCY"),
            (vec![("currency", "XAU")], "currency", "UNKNOWN_CURRENCY"),
            (vec![("minPrice", "5")], "minPrice", "REQUIRED"),
            (vec![("maxPrice", "5")], "maxPrice", "REQUIRED"),
            (vec![("currency", "EUR"), ("minPrice", "1e3")], "minPrice", "INVALID_FORMAT"),
            (vec![("currency", "JPY"), ("maxPrice", "0.5")], "maxPrice", "TOO_MANY_DECIMALS"),
            (vec![("currency", "EUR"), ("maxPrice", "1000000000000")], "maxPrice", "OUT_OF_RANGE"),
            (vec![("currency", "EUR"), ("minPrice", "2"), ("maxPrice", "1.99")], "minPrice", "OUT_OF_RANGE"),
            (vec![("category", "")], "category", "TOO_SHORT"),
            (vec![("name", "   ")], "name", "TOO_SHORT"),
            (vec![("name", "a\tb")], "name", "INVALID_FORMAT"),
            (vec![("namePrefix", "a ")], "namePrefix", "TOO_SHORT"),
            // Two characters as stored, but one as sent.
            (vec![("namePrefix", "\u{df}")], "namePrefix", "TOO_SHORT"),
            (vec![("sku", " ")], "sku", "TOO_SHORT"),
            (vec![("ids", "")], "ids", "INVALID_FORMAT"),
            (vec![("ids", "1,2")], "ids", "INVALID_FORMAT"),
            (vec![("name", "table"), ("sort", "price")], "sort", "NOT_ALLOWED"),
            (vec![("name", "table"), ("currency", "EUR")], "currency", "NOT_ALLOWED"),
            (vec![("name", "table"), ("category", "x")], "category", "NOT_ALLOWED"),
            (vec![("name", "table"), ("namePrefix", "ta")], "namePrefix", "NOT_ALLOWED"),
            (vec![("sku", "x"), ("cursor", "x")], "cursor", "NOT_ALLOWED"),
            (vec![("ids", ID), ("limit", "5")], "limit", "NOT_ALLOWED"),
            (vec![("ids", ID), ("sku", "x")], "sku", "NOT_ALLOWED"),
        ] {
            assert_eq!(rejected(&pairs), [(field.to_owned(), code)], "{pairs:?}");
        }
        assert_eq!(rejected(&[("name", &"x".repeat(201))]), [("name".to_owned(), "TOO_LONG")]);
        assert_eq!(rejected(&[("category", &"x".repeat(101))]), [("category".to_owned(), "TOO_LONG")]);
        assert_eq!(rejected(&[("sku", &"x".repeat(65))]), [("sku".to_owned(), "TOO_LONG")]);
        assert_eq!(rejected(&[("ids", &[ID; 101].join(","))]), [("ids".to_owned(), "TOO_MANY")]);
    }

    #[test]
    fn accepts_values_at_their_limits() {
        for (name, length) in [
            ("category", 1),
            ("category", 100),
            ("name", 1),
            ("name", 200),
            ("namePrefix", 2),
            ("namePrefix", 200),
            ("sku", 1),
            ("sku", 64),
        ] {
            let value = "x".repeat(length);
            assert!(ListParameters::parse([(name, value.as_str())]).is_ok(), "{name} of {length} characters");
        }
        let ids = [ID; 100].join(",");
        assert!(ListParameters::parse([("ids", ids.as_str())]).is_ok());
        let one_price = [("currency", "EUR"), ("minPrice", "2"), ("maxPrice", "2.00")];
        assert!(ListParameters::parse(one_price).is_ok());
    }

    #[test]
    fn rejects_all_invalid_parameters_at_once() {
        let details = rejected(&[("limit", "0"), ("sort", "x"), ("page", "2"), ("minPrice", "1")]);
        assert_eq!(details.len(), 4, "{details:?}");
    }

    #[test]
    fn writes_equal_text_for_equal_selections_only() {
        let text = |pairs: &[(&str, &str)]| canonical(&selection(pairs));
        assert_eq!(
            text(&[("currency", "EUR"), ("minPrice", "5.00"), ("limit", "3")]),
            text(&[("limit", "50"), ("minPrice", "5"), ("currency", "EUR"), ("sort", "price")])
        );
        assert_eq!(text(&[("name", "Oak  Table")]), text(&[("name", "oak table ")]));
        let different = [
            vec![],
            vec![("sort", "-price")],
            vec![("currency", "EUR")],
            vec![("currency", "EUR"), ("minPrice", "1")],
            vec![("currency", "EUR"), ("maxPrice", "1")],
            vec![("category", "EUR")],
            vec![("name", "EUR")],
            vec![("namePrefix", "EUR")],
            vec![("sku", "EUR")],
            vec![("ids", ID)],
        ];
        let texts: HashSet<String> = different.iter().map(|pairs| text(pairs)).collect();
        assert_eq!(texts.len(), different.len());
    }
}
