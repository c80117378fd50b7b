//! The cursor: where a page ended, bound to the query that it is a page of.
//!
//! It is base64url of a small JSON object. It is not signed: it holds nothing that the caller has not been shown, and
//! whatever it says is checked against the query before it reaches the index. DynamoDB's own `LastEvaluatedKey` is not
//! handed out: there would be one for each shard, and it would tie callers to the table's keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{ErrorCode, Failure};
use crate::models::identifiers::ProductId;
use crate::models::money::Currency;
use crate::models::violation::{DetailCode, Violation};
use crate::repositories::table_keys::AMOUNT_WIDTH;
use crate::services::list_products::Selection;

/// A cursor of ours has some 130 characters.
const LONGEST: usize = 300;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// Version of this form.
    v: u8,
    /// Sort key of the last row of the page before.
    position: String,
    /// Digest of the parameters that choose and order products. `limit` is not among them: a caller may change it
    /// from page to page.
    query: String,
}

/// The cursor for what follows the row at `position`.
pub fn encode(selection: &Selection, position: &str) -> String {
    let content = Content { v: 1, position: position.to_owned(), query: digest(selection) };
    // Three plain fields: there is nothing in them that JSON cannot hold.
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&content).unwrap_or_default())
}

/// The sort key after which the page starts.
///
/// # Errors
/// 400 `INVALID_CURSOR` for anything but a cursor that `encode` gave for the same selection.
pub fn decode(selection: &Selection, cursor: &str) -> Result<String, Failure> {
    let wrong = |message: &'static str| {
        Failure::new(ErrorCode::InvalidCursor, "The cursor cannot be used. Start again without it.")
            .with_details(vec![Violation::new("cursor", DetailCode::InvalidFormat, message)])
    };
    let content: Content = Some(cursor)
        .filter(|cursor| cursor.len() <= LONGEST)
        .and_then(|cursor| URL_SAFE_NO_PAD.decode(cursor).ok())
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .filter(|content: &Content| content.v == 1)
        .ok_or_else(|| wrong("is no cursor of this API"))?;
    if content.query != digest(selection) {
        return Err(wrong("belongs to a query with other parameters"));
    }
    let in_range = selection.range.first <= content.position && content.position <= selection.range.last;
    if !in_range || !is_sort_key(&content.position) {
        return Err(wrong("is no cursor of this API"));
    }
    Ok(content.position)
}

fn digest(selection: &Selection) -> String {
    let digest = Sha256::digest(selection.canonical().as_bytes());
    URL_SAFE_NO_PAD.encode(&digest[..12])
}

fn is_sort_key(text: &str) -> bool {
    let mut parts = text.splitn(3, '#');
    let (Some(currency), Some(amount), Some(id)) = (parts.next(), parts.next(), parts.next()) else { return false };
    Currency::from_code(currency).is_some()
        && amount.len() == AMOUNT_WIDTH
        && amount.bytes().all(|byte| byte.is_ascii_digit())
        && id.parse::<ProductId>().is_ok_and(|parsed| parsed.to_string() == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::parameters::ListParameters;

    const POSITION: &str = "EUR#0000000000001999#3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84";

    fn selection(pairs: &[(&str, &str)]) -> Selection {
        ListParameters::parse(pairs.iter().copied()).unwrap().selection
    }

    fn forged(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn comes_back_as_it_was_given() {
        let selection = selection(&[("currency", "EUR")]);
        assert_eq!(decode(&selection, &encode(&selection, POSITION)).unwrap(), POSITION);
    }

    #[test]
    fn does_not_depend_on_how_a_query_is_written() {
        let cursor = encode(&selection(&[("currency", "EUR"), ("minPrice", "5.00"), ("limit", "3")]), POSITION);
        assert!(
            decode(&selection(&[("limit", "50"), ("minPrice", "5"), ("currency", "EUR"), ("sort", "price")]), &cursor)
                .is_ok()
        );
        let by_name = encode(&selection(&[("name", "Oak  Table")]), POSITION);
        assert!(decode(&selection(&[("name", "oak table ")]), &by_name).is_ok());
    }

    #[test]
    fn is_of_use_for_its_own_query_only() {
        let cursor = encode(&selection(&[("currency", "EUR")]), POSITION);
        for other in
            [vec![], vec![("currency", "USD")], vec![("currency", "EUR"), ("sort", "-price")], vec![("name", "EUR")]]
        {
            assert_eq!(decode(&selection(&other), &cursor).unwrap_err().code, ErrorCode::InvalidCursor, "{other:?}");
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused() {
        let euros = selection(&[("currency", "EUR")]);
        let query = digest(&euros);
        let good = encode(&euros, POSITION);
        let key = |position: &str| forged(&format!(r#"{{"v":1,"position":"{position}","query":"{query}"}}"#));
        assert!(decode(&euros, &key(POSITION)).is_ok(), "what is forged below differs from this in one thing");
        for (what, cursor) in [
            ("empty", String::new()),
            ("no base64", "%%%".to_owned()),
            ("padded", format!("{good}=")),
            ("white space", format!(" {good}")),
            ("cut", good[..good.len() - 1].to_owned()),
            ("no JSON", forged("hello")),
            ("another version", forged(&format!(r#"{{"v":2,"position":"{POSITION}","query":"{query}"}}"#))),
            ("one field more", forged(&format!(r#"{{"v":1,"position":"{POSITION}","query":"{query}","x":1}}"#))),
            ("outside the range", key("USD#0000000000001999#3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84")),
            ("no id", key("EUR#0000000000001999#")),
            ("another amount", key("EUR#1999#3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84")),
            ("upper case", key("EUR#0000000000001999#3F0C1A52-8D4E-4B6A-9F37-0C5D2E1B7A84")),
            ("too long", "A".repeat(100_000)),
        ] {
            let failure = decode(&euros, &cursor).expect_err(what);
            assert_eq!(failure.code, ErrorCode::InvalidCursor, "{what}");
        }
    }
}
