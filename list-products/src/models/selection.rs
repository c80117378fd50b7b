//! Which products a caller selects, in which order, and where in that order a page begins.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use super::folded_text::FoldedText;
use super::identifiers::ProductId;
use super::money::{Currency, Money};
use super::timestamp::Timestamp;

/// The products to list. Only active ones are listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// In the order of prices, of all products or of one category.
    ByPrice { category: Option<FoldedText>, prices: PriceRange, order: Order },
    /// In the order of names; products of one name in the order of prices.
    ByName(NameFilter),
    /// At most one product.
    BySku(String),
    /// In the order of the IDs.
    ByIds(Vec<RequestedId>),
}

/// Prices of one currency, both bounds included, or of all currencies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PriceRange {
    pub currency: Option<Currency>,
    /// In `currency`.
    pub min: Option<Money>,
    /// In `currency`.
    pub max: Option<Money>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

impl Order {
    /// `Less` if `one` comes first.
    pub fn compare<T: Ord>(self, one: &T, other: &T) -> Ordering {
        match self {
            Self::Ascending => one.cmp(other),
            Self::Descending => other.cmp(one),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NameFilter {
    Exact(FoldedText),
    Prefix(FoldedText),
}

/// An ID as the caller wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedId {
    pub text: String,
    /// `None` if the text isn't a UUID, and so names no product.
    pub id: Option<ProductId>,
}

/// The place of a product in the order of its list: by name (empty in a list by price), currency, price and ID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The folded name, as far as the index orders by it.
    pub name: String,
    pub price: Money,
    pub id: ProductId,
}

impl Ord for Position {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |position: &Self| (position.price.currency().code(), position.price.minor_units(), position.id);
        self.name.cmp(&other.name).then_with(|| key(self).cmp(&key(other)))
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// `EUR#1999#{id}#{name}`: minor units, and the name last, since it may hold any character.
impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, price, id } = self;
        write!(f, "{}#{}#{id}#{name}", price.currency().code(), price.minor_units())
    }
}

/// A string that isn't a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a position")]
pub struct InvalidPosition;

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parts: Vec<&str> = text.splitn(4, '#').collect();
        let [currency, minor_units, id, name] = parts[..] else { return Err(InvalidPosition) };
        let currency = Currency::from_code(currency).ok_or(InvalidPosition)?;
        let minor_units = minor_units.parse().map_err(|_| InvalidPosition)?;
        let price = Money::from_minor_units(minor_units, currency).ok_or(InvalidPosition)?;
        let id = id.parse().map_err(|_| InvalidPosition)?;
        let position = Self { name: name.to_owned(), price, id };
        // One text for each position: other spellings of a number or an ID are not ours.
        if position.to_string() == text { Ok(position) } else { Err(InvalidPosition) }
    }
}

impl PriceRange {
    fn contains(&self, price: Money) -> bool {
        self.currency.is_none_or(|currency| currency == price.currency())
            && self.min.is_none_or(|min| min.minor_units() <= price.minor_units())
            && self.max.is_none_or(|max| price.minor_units() <= max.minor_units())
    }
}

impl Selection {
    /// Whether a list of the selection can have a product at this position.
    pub fn contains(&self, position: &Position) -> bool {
        match self {
            Self::ByPrice { prices, .. } => position.name.is_empty() && prices.contains(position.price),
            // The index may have cut the position's name.
            Self::ByName(NameFilter::Exact(name)) => {
                !position.name.is_empty() && name.as_str().starts_with(&position.name)
            }
            Self::ByName(NameFilter::Prefix(prefix)) => {
                let (prefix, name) = (prefix.as_str(), position.name.as_str());
                !name.is_empty() && (name.starts_with(prefix) || prefix.starts_with(name))
            }
            Self::BySku(_) | Self::ByIds(_) => false,
        }
    }
}

/// The place of a product in the feed: of its newest change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FeedPosition {
    pub recorded_at: Timestamp,
    pub id: ProductId,
}

impl fmt::Display for FeedPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.recorded_at, self.id)
    }
}

impl FromStr for FeedPosition {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (recorded_at, id) = text.split_once('#').ok_or(InvalidPosition)?;
        let recorded_at = recorded_at.parse().map_err(|_| InvalidPosition)?;
        let position = Self { recorded_at, id: id.parse().map_err(|_| InvalidPosition)? };
        if position.to_string() == text { Ok(position) } else { Err(InvalidPosition) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84";

    #[test]
    fn reads_positions_that_it_wrote() {
        for text in [format!("EUR#1999#{ID}#"), format!("JPY#0#{ID}#oak #1\ttable")] {
            assert_eq!(text.parse::<Position>().unwrap().to_string(), text);
        }
        let feed = format!("2026-01-31T12:00:00.000Z#{ID}");
        assert_eq!(feed.parse::<FeedPosition>().unwrap().to_string(), feed);
    }

    #[test]
    fn rejects_other_texts() {
        for text in [
            "",
            "EUR#1999",
            &format!("EUR#1999#{ID}"),
            &format!("EUR#01999#{ID}#"),
            &format!("EUR#+1999#{ID}#"),
            &format!("EUR#-1#{ID}#"),
            &format!("XAU#1#{ID}#"),
            &format!("eur#1999#{ID}#"),
            &format!("EUR#1999#{}#", ID.to_uppercase()),
            &format!("EUR#99999999999999999#{ID}#"),
        ] {
            assert_eq!(text.parse::<Position>(), Err(InvalidPosition), "{text}");
        }
        for text in ["", ID, &format!("2026-01-31T12:00:00Z#{ID}"), "2026-01-31T12:00:00.000Z#x"] {
            assert_eq!(text.parse::<FeedPosition>(), Err(InvalidPosition), "{text}");
        }
    }

    #[test]
    fn orders_positions_by_name_currency_price_and_id() {
        let ordered = [
            format!("USD#1#{ID}#"),
            format!("EUR#999#{ID}#oak"),
            "EUR#1000#00000000-0000-4000-8000-000000000000#oak".to_owned(),
            format!("EUR#1000#{ID}#oak"),
            format!("USD#1#{ID}#oak"),
            format!("EUR#1#{ID}#oak table"),
        ]
        .map(|text| text.parse::<Position>().unwrap());
        assert!(ordered.is_sorted());
    }

    #[test]
    fn contains_only_positions_of_its_own_list() {
        let position = |text: &str| text.replace("{id}", ID).parse::<Position>().unwrap();
        let eur = Currency::EUR;
        let [min, max] = [5, 9].map(|minor| Money::from_minor_units(minor, eur));
        let prices = PriceRange { currency: Some(eur), min, max };
        let by_price = Selection::ByPrice { category: None, prices, order: Order::Ascending };
        assert!(by_price.contains(&position("EUR#5#{id}#")) && by_price.contains(&position("EUR#9#{id}#")));
        for other in ["EUR#4#{id}#", "EUR#10#{id}#", "USD#5#{id}#", "EUR#5#{id}#oak"] {
            assert!(!by_price.contains(&position(other)), "{other}");
        }
        let exact = Selection::ByName(NameFilter::Exact(FoldedText::new("Oak")));
        assert!(exact.contains(&position("EUR#4#{id}#oak")) && !exact.contains(&position("EUR#4#{id}#oaks")));
        let prefix = Selection::ByName(NameFilter::Prefix(FoldedText::new("Oak")));
        assert!(prefix.contains(&position("EUR#4#{id}#oaks")) && !prefix.contains(&position("EUR#4#{id}#lamp")));
        assert!(!exact.contains(&position("EUR#4#{id}#")) && !prefix.contains(&position("EUR#4#{id}#")));
    }
}
