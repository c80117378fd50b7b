//! `If-Match` and `If-None-Match` (RFC 9110 §13.1). A product's entity tag is its version in double quotes.

use lambda_http::http::header::{IF_MATCH, IF_NONE_MATCH};
use lambda_http::http::{HeaderMap, HeaderName};

use super::error::{ErrorCode, Failure};
use crate::models::expected_version::{Evaluation, ExpectedVersion, Versions};
use crate::models::violation::{DetailCode, Violation};

/// What the request's conditional headers expect of the product's version.
///
/// # Errors
/// 400 `INVALID_PARAMETER` for a header that is neither `*` nor a list of quoted entity tags: an unquoted version is a
/// mistake that must not pass for "no condition".
pub fn from_headers(headers: &HeaderMap) -> Result<ExpectedVersion, Failure> {
    // If-Match compares strongly: a weak tag matches nothing (RFC 9110 §8.8.3.2). If-None-Match compares weakly.
    let if_match = read(headers, &IF_MATCH, "If-Match", |tag| !tag.weak)?;
    let if_none_match = read(headers, &IF_NONE_MATCH, "If-None-Match", |_| true)?;
    Ok(ExpectedVersion { if_match, if_none_match })
}

/// 412 `PRECONDITION_FAILED`, with the current version as `ETag`.
pub fn failed(failed: Evaluation, current_version: u64) -> Failure {
    let message = if failed == Evaluation::IfNoneMatchFailed {
        "The product's version matches If-None-Match. Fetch the product and retry."
    } else {
        "The product's version doesn't match If-Match. Fetch the product and retry."
    };
    Failure { current_version: Some(current_version), ..Failure::new(ErrorCode::PreconditionFailed, message) }
}

/// An entity tag that can be a product's. Any other valid tag matches no product and is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct EntityTag {
    version: u64,
    weak: bool,
}

fn read(
    headers: &HeaderMap,
    header: &HeaderName,
    name: &'static str,
    can_match: impl Fn(&EntityTag) -> bool,
) -> Result<Option<Versions>, Failure> {
    if !headers.contains_key(header) {
        return Ok(None);
    }
    // Several lines of a list are one list (RFC 9110 §5.3).
    let list = headers.get_all(header).iter().map(|value| value.as_bytes()).collect::<Vec<_>>().join(&b',');
    if list.trim_ascii() == b"*" {
        return Ok(Some(Versions::Any));
    }
    let tags =
        parse_list(&list).ok_or_else(|| {
            let message = "must be * or a list of entity tags in double quotes, such as \"3\"";
            Failure::new(ErrorCode::InvalidParameter, format!("Invalid {name} header."))
                .with_details(vec![Violation::new(name, DetailCode::InvalidFormat, message)])
        })?;
    Ok(Some(Versions::OneOf(tags.into_iter().filter(can_match).map(|tag| tag.version).collect())))
}

/// The tags of a list that can be a product's; `None` if the text isn't a list of at least one entity tag.
///
/// Empty elements are ignored (RFC 9110 §5.6.1.2), and a comma may be part of a tag.
fn parse_list(mut text: &[u8]) -> Option<Vec<EntityTag>> {
    let mut tags = Vec::new();
    let mut is_empty = true;
    loop {
        text = text.trim_ascii_start();
        if let [b',', rest @ ..] = text {
            text = rest;
            continue;
        }
        if text.is_empty() {
            return (!is_empty).then_some(tags);
        }
        let (tag, rest) = parse_tag(text)?;
        is_empty = false;
        tags.extend(tag);
        text = rest.trim_ascii_start();
        if !(text.is_empty() || text.starts_with(b",")) {
            return None;
        }
    }
}

/// Splits the entity tag off that the text begins with. The tag is `None` if it can't be a product's.
fn parse_tag(text: &[u8]) -> Option<(Option<EntityTag>, &[u8])> {
    let (weak, quoted) = text.strip_prefix(b"W/").map_or((false, text), |quoted| (true, quoted));
    let opened = quoted.strip_prefix(b"\"")?;
    let length = opened.iter().position(|byte| *byte == b'"')?;
    let (opaque, rest) = (&opened[..length], &opened[length + 1..]);
    // etagc: visible characters, and whatever is beyond ASCII.
    if opaque.iter().any(|byte| byte.is_ascii() && !byte.is_ascii_graphic()) {
        return None;
    }
    let is_version = opaque.iter().all(u8::is_ascii_digit) && !opaque.starts_with(b"0");
    let version = is_version.then(|| str::from_utf8(opaque).ok()?.parse().ok()).flatten();
    Some((version.map(|version| EntityTag { version, weak }), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::http::HeaderValue;

    fn read_headers(pairs: &[(HeaderName, &str)]) -> Result<ExpectedVersion, Failure> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        from_headers(&headers)
    }

    fn if_match(values: &[&str]) -> Option<Versions> {
        let pairs: Vec<_> = values.iter().map(|value| (IF_MATCH, *value)).collect();
        read_headers(&pairs).unwrap().if_match
    }

    fn if_none_match(value: &str) -> Option<Versions> {
        read_headers(&[(IF_NONE_MATCH, value)]).unwrap().if_none_match
    }

    #[test]
    fn reads_every_version_of_a_list() {
        assert_eq!(if_match(&["\"1\", \"3\"", "\"7\""]), Some(Versions::OneOf(vec![1, 3, 7])));
        assert_eq!(
            if_match(&["\"a,b\" , \"3\""]),
            Some(Versions::OneOf(vec![3])),
            "a comma within a tag splits nothing"
        );
        assert_eq!(if_match(&[" * "]), Some(Versions::Any));
        assert_eq!(read_headers(&[]).unwrap(), ExpectedVersion::default());
    }

    #[test]
    fn failure_names_the_header_and_the_current_version() {
        for (evaluation, header) in
            [(Evaluation::IfMatchFailed, "If-Match"), (Evaluation::IfNoneMatchFailed, "If-None-Match")]
        {
            let failure = failed(evaluation, 7);
            assert!(failure.message.contains(&format!(" {header}. ")), "{}", failure.message);
            assert_eq!((failure.code, failure.current_version), (ErrorCode::PreconditionFailed, Some(7)));
        }
    }

    #[test]
    fn ignores_empty_list_elements() {
        assert_eq!(if_match(&["\"1\","]), Some(Versions::OneOf(vec![1])));
        assert_eq!(if_match(&[",, \"1\""]), Some(Versions::OneOf(vec![1])));
        assert_eq!(if_none_match("\"1\", ,\"2\""), Some(Versions::OneOf(vec![1, 2])));
    }

    #[test]
    fn keeps_weak_tags_only_for_if_none_match() {
        assert_eq!(if_match(&["W/\"3\""]), Some(Versions::OneOf(vec![])));
        assert_eq!(if_none_match("W/\"3\""), Some(Versions::OneOf(vec![3])));
    }

    #[test]
    fn keeps_no_tag_that_cannot_be_a_version() {
        for tag in ["\"abc\"", "\"\"", "\"03\"", "\"99999999999999999999999\"", "\"a,b\"", "\",\"", "\"ä\""] {
            assert_eq!(if_none_match(tag), Some(Versions::OneOf(vec![])), "{tag}");
        }
    }

    #[test]
    fn rejects_malformed_headers_by_name() {
        for malformed in ["3", "\"3", "", ",", "3\"", "'3'", "\"3\" \"4\"", "\"a b\"", "\"3\";", "w/\"3\"", "*, \"3\""]
        {
            for (header, name) in [(IF_MATCH, "If-Match"), (IF_NONE_MATCH, "If-None-Match")] {
                let failure = read_headers(&[(header, malformed)]).unwrap_err();
                assert_eq!(failure.code, ErrorCode::InvalidParameter, "{malformed}");
                assert_eq!(failure.message, format!("Invalid {name} header."), "{malformed}");
                assert_eq!(failure.details[0].field, name, "{malformed}");
            }
        }
    }
}
