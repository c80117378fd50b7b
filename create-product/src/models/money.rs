//! Money: an integer number of a currency's minor units. It is never a float, not even on the way in.

use std::fmt;

pub use iso_currency::Currency;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::{Deserialize, Serialize};

/// Amounts are below 10^12 units of the currency, so the minor units of every ISO 4217 currency (at most four
/// decimals) fit 16 digits.
const AMOUNT_LIMIT: u64 = 1_000_000_000_000;

/// Digits of the largest whole number below [`AMOUNT_LIMIT`]. A plain decimal has no leading zeros.
const MAX_WHOLE_DIGITS: usize = 12;

/// Longer strings are refused before they are read.
const MAX_LENGTH: usize = 64;

/// An amount of at least zero and below 10^12, exact to the currency's minor unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(into = "PriceDocument", try_from = "PriceDocument")]
pub struct Money {
    minor_units: u64,
    currency: Currency,
}

/// Money as JSON.
#[derive(Serialize, Deserialize)]
struct PriceDocument {
    /// A decimal with exactly the currency's minor digits; a string, because a JSON number would be read as a float.
    price: String,
    /// ISO 4217.
    currency: String,
}

/// A string that isn't an amount of the currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidMoney {
    /// Not a plain decimal (RFC 8259 §6 without an exponent), or a negative zero.
    #[error("must be a plain decimal such as 19.99, without sign, exponent or separators")]
    Format,
    /// Negative, or 10^12 and more.
    #[error("must be at least 0 and less than 1000000000000")]
    Range,
    /// Finer than the currency's minor unit.
    #[error("must have at most {0} decimals in this currency")]
    Decimals(u16),
    /// An ISO 4217 entry that has no minor unit, such as gold or the test code: nothing is sold in it.
    #[error("isn't supported for this currency")]
    Currency,
}

/// An amount whose currency isn't known yet: a plain decimal of at least zero and below 10^12.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount<'a> {
    whole: &'a str,
    /// Without trailing zeros.
    fraction: &'a str,
}

impl<'a> Amount<'a> {
    /// Reads a plain decimal, such as `19.99` or `1200`.
    ///
    /// An exponent is refused, since `1e3` in a price is more often a slip than an intention; so is `-0`.
    pub fn parse(text: &'a str) -> Result<Self, InvalidMoney> {
        let (negative, digits) = plain_decimal(text).ok_or(InvalidMoney::Format)?;
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let amount = Self { whole, fraction: fraction.trim_end_matches('0') };
        let is_zero = amount.whole == "0" && amount.fraction.is_empty();
        match negative {
            true if is_zero => Err(InvalidMoney::Format),
            true => Err(InvalidMoney::Range),
            false if whole.len() > MAX_WHOLE_DIGITS => Err(InvalidMoney::Range),
            false => Ok(amount),
        }
    }

    /// The amount in a currency, which may be too coarse for it.
    pub fn in_currency(self, currency: Currency) -> Result<Money, InvalidMoney> {
        let minor_digits = currency.exponent().ok_or(InvalidMoney::Currency)?;
        let Self { whole, fraction } = self;
        if fraction.len() > usize::from(minor_digits) {
            return Err(InvalidMoney::Decimals(minor_digits));
        }
        let mut amount = Decimal::from_str_exact(&format!("{whole}.{fraction}0")).map_err(|_| InvalidMoney::Range)?;
        amount.rescale(u32::from(minor_digits));
        let minor_units = amount.mantissa().to_u64().ok_or(InvalidMoney::Range)?;
        Ok(Money { minor_units, currency })
    }
}

impl Money {
    /// Reads a plain decimal, such as `19.99` or `1200`. It is read by value: `19.990` EUR is 19.99 EUR.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, InvalidMoney> {
        Amount::parse(text)?.in_currency(currency)
    }

    /// The amount of the table. `None` if it is outside the limits, or if the currency has no minor unit.
    pub fn from_minor_units(minor_units: u64, currency: Currency) -> Option<Self> {
        let scale = 10_u64.checked_pow(u32::from(currency.exponent()?))?;
        (minor_units < AMOUNT_LIMIT.checked_mul(scale)?).then_some(Self { minor_units, currency })
    }

    pub const fn minor_units(self) -> u64 {
        self.minor_units
    }

    pub const fn currency(self) -> Currency {
        self.currency
    }
}

/// Exactly the currency's decimals: `19.90`, and `1200` for a currency without them.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = u32::from(self.currency.exponent().unwrap_or_default());
        fmt::Display::fmt(&Decimal::from_i128_with_scale(i128::from(self.minor_units), scale), f)
    }
}

impl From<Money> for PriceDocument {
    fn from(money: Money) -> Self {
        Self { price: money.to_string(), currency: money.currency.code().to_owned() }
    }
}

impl TryFrom<PriceDocument> for Money {
    type Error = InvalidMoney;

    fn try_from(document: PriceDocument) -> Result<Self, InvalidMoney> {
        let currency = Currency::from_code(&document.currency).ok_or(InvalidMoney::Currency)?;
        Self::parse(&document.price, currency)
    }
}

/// Sign and digits of a JSON number (RFC 8259 §6) that has no exponent.
fn plain_decimal(text: &str) -> Option<(bool, &str)> {
    if text.len() > MAX_LENGTH {
        return None;
    }
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, rest)| (whole, Some(rest)));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    let no_leading_zero = whole == "0" || !whole.starts_with('0');
    (all_digits(whole) && no_leading_zero && fraction.is_none_or(all_digits)).then_some((negative, digits))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_plain_decimals_by_value() {
        for (text, currency, minor, written) in [
            ("19.99", Currency::EUR, 1_999, "19.99"),
            ("19.9", Currency::EUR, 1_990, "19.90"),
            ("19.990", Currency::EUR, 1_999, "19.99"),
            ("0", Currency::EUR, 0, "0.00"),
            ("0.00", Currency::EUR, 0, "0.00"),
            ("1200", Currency::JPY, 1_200, "1200"),
            ("1200.000", Currency::JPY, 1_200, "1200"),
            ("0.001", Currency::KWD, 1, "0.001"),
            ("999999999999.99", Currency::EUR, 99_999_999_999_999, "999999999999.99"),
            ("1.00000000000000000000000000000000000000", Currency::EUR, 100, "1.00"),
        ] {
            let money = Money::parse(text, currency).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((money.minor_units(), money.to_string().as_str()), (minor, written), "{text}");
        }
    }

    #[test]
    fn rejects_inexact_and_malformed_amounts() {
        use InvalidMoney::{Currency as NoMinorUnit, Decimals, Format, Range};
        for (text, currency, error) in [
            ("", Currency::EUR, Format),
            (".5", Currency::EUR, Format),
            ("5.", Currency::EUR, Format),
            ("05", Currency::EUR, Format),
            ("+5", Currency::EUR, Format),
            ("1e3", Currency::EUR, Format),
            ("1_000", Currency::EUR, Format),
            ("1,000", Currency::EUR, Format),
            (" 5", Currency::EUR, Format),
            ("NaN", Currency::EUR, Format),
            ("Infinity", Currency::EUR, Format),
            ("٣", Currency::EUR, Format),
            ("--5", Currency::EUR, Format),
            ("-0", Currency::EUR, Format),
            ("-0.00", Currency::EUR, Format),
            (&"9".repeat(65), Currency::EUR, Format),
            ("-0.01", Currency::EUR, Range),
            ("-1", Currency::XAU, Range),
            ("1000000000000", Currency::EUR, Range),
            ("99999999999999999999", Currency::EUR, Range),
            (&"9".repeat(64), Currency::EUR, Range),
            ("19.999", Currency::EUR, Decimals(2)),
            ("1200.5", Currency::JPY, Decimals(0)),
            ("0.000000000000000000000000000000000001", Currency::EUR, Decimals(2)),
            ("1", Currency::XAU, NoMinorUnit),
        ] {
            assert_eq!(Money::parse(text, currency), Err(error), "{text}");
        }
    }

    #[test]
    fn rejects_minor_units_outside_limits() {
        assert_eq!(Money::from_minor_units(99_999_999_999_999, Currency::EUR).unwrap().to_string(), "999999999999.99");
        assert_eq!(Money::from_minor_units(100_000_000_000_000, Currency::EUR), None);
        assert_eq!(Money::from_minor_units(1, Currency::XAU), None);
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(minor in 0..99_999_999_999_999_u64) {
            for currency in [Currency::EUR, Currency::KWD, Currency::CLF] {
                let money = Money::from_minor_units(minor, currency).unwrap();
                prop_assert_eq!(Money::parse(&money.to_string(), currency), Ok(money));
            }
        }

        #[test]
        fn returns_error_for_any_other_string(text in "\\PC*") {
            let _ = Money::parse(&text, Currency::EUR);
        }
    }
}
