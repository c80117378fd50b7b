//! The cursor: the position at which a page ended, bound to the query that the page belongs to.
//!
//! It is base64url of a small JSON object. It is not signed: it holds only what the caller has seen, and whoever uses the
//! position checks it first. DynamoDB's own `LastEvaluatedKey` is not sent: a merged list would have one for each shard, and
//! clients would depend on the table's keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{ErrorCode, Failure};
use crate::models::violation::{DetailCode, Violation};

/// The contract's `maxLength`. A position holds at most 900 bytes of a name, each of which JSON can escape.
const MAX_LENGTH: usize = 4_096;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// Version of this form.
    v: u8,
    position: String,
    /// Digest of the parameters that select and order the items. `limit` is not one of them: it may change from page to
    /// page.
    query: String,
}

/// The cursor for the items after `position`. `query` is equal only for queries of the same items in the same order.
pub fn encode(query: &str, position: &str) -> String {
    let content = Content { v: 1, position: position.to_owned(), query: digest(query) };
    URL_SAFE_NO_PAD.encode(serde_json::to_vec(&content).expect("strings always serialize to JSON"))
}

/// The position in a cursor, read by `parse_position`, which refuses what can't be a position of this query.
///
/// # Errors
/// 400 `INVALID_CURSOR`, naming `parameter`, for anything but a cursor that `encode` made for the same query.
pub fn decode<T>(
    query: &str,
    parameter: &'static str,
    cursor: &str,
    parse_position: impl FnOnce(&str) -> Option<T>,
) -> Result<T, Failure> {
    let invalid = |message: &'static str| {
        Failure::new(ErrorCode::InvalidCursor, "Invalid cursor. Restart without it.")
            .with_details(vec![Violation::new(parameter, DetailCode::InvalidFormat, message)])
    };
    const NOT_VALID: &str = "isn't a valid cursor";
    let content = Some(cursor)
        .filter(|cursor| cursor.len() <= MAX_LENGTH)
        .and_then(|cursor| URL_SAFE_NO_PAD.decode(cursor).ok())
        .and_then(|bytes| serde_json::from_slice::<Content>(&bytes).ok())
        .filter(|content| content.v == 1)
        .ok_or_else(|| invalid(NOT_VALID))?;
    if content.query != digest(query) {
        return Err(invalid("was issued for different query parameters"));
    }
    parse_position(&content.position).ok_or_else(|| invalid(NOT_VALID))
}

fn digest(query: &str) -> String {
    let digest = Sha256::digest(query.as_bytes());
    URL_SAFE_NO_PAD.encode(&digest[..12])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_text(query: &str, cursor: &str) -> Result<String, Failure> {
        decode(query, "cursor", cursor, |position| (position != "nowhere").then(|| position.to_owned()))
    }

    fn forge(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    #[test]
    fn decodes_what_it_encoded() {
        let position = format!("{}\tEUR", "\u{300}".repeat(450));
        assert_eq!(decode_text("query", &encode("query", &position)).unwrap(), position);
        let longest = encode("query", &"\\".repeat(1_024));
        assert!(longest.len() <= MAX_LENGTH, "{}", longest.len());
    }

    #[test]
    fn rejects_cursor_of_another_query() {
        let failure = decode_text("other", &encode("query", "here")).unwrap_err();
        assert_eq!(failure.code, ErrorCode::InvalidCursor);
        assert_eq!(failure.details[0].message, "was issued for different query parameters");
    }

    #[test]
    fn rejects_anything_but_a_cursor() {
        let good = encode("query", "here");
        let query = digest("query");
        for (what, cursor) in [
            ("empty", String::new()),
            ("not base64", "%%%".to_owned()),
            ("padded", format!("{good}=")),
            ("whitespace", format!(" {good}")),
            ("truncated", good[..good.len() - 1].to_owned()),
            ("not JSON", forge("hello")),
            ("another version", forge(&format!(r#"{{"v":2,"position":"here","query":"{query}"}}"#))),
            ("an additional field", forge(&format!(r#"{{"v":1,"position":"here","query":"{query}","x":1}}"#))),
            ("a position that can't be", encode("query", "nowhere")),
            ("too long", "A".repeat(100_000)),
        ] {
            let failure = decode_text("query", &cursor).expect_err(what);
            assert_eq!(failure.code, ErrorCode::InvalidCursor, "{what}");
            assert_eq!(failure.details[0].field, "cursor", "{what}");
        }
    }
}
