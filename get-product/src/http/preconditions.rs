//! `ETag`, `If-Match` and `If-None-Match` (RFC 9110 §8.8.3, §13.1). A product's entity tag is its version in quotes.

use lambda_http::http::{HeaderMap, HeaderName, HeaderValue};

use super::error::Detail;

/// The entity tag of a version.
pub fn etag(version: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

/// The versions that a conditional header names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Versions {
    /// `*`: whichever there is.
    Any,
    /// The tags that can be ours. One of another form is a valid tag that matches nothing, and is not kept.
    Of(Vec<EntityTag>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag {
    version: u64,
    weak: bool,
}

impl Versions {
    /// Reads a conditional header; `None` when the request does not carry it.
    ///
    /// # Errors
    /// A header that is not `*` or a list of quoted tags: an unquoted version is a slip that must not go unnoticed.
    pub fn from_header(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Self>, Detail> {
        let wrong = || {
            let message = "must be * or a list of entity tags in double quotes, such as \"3\"";
            Detail::new(name.as_str(), "INVALID_FORMAT", message)
        };
        let mut tags = Vec::new();
        let mut present = false;
        for value in headers.get_all(name) {
            present = true;
            let text = value.as_bytes().trim_ascii();
            if text == b"*" {
                return Ok(Some(Self::Any));
            }
            tags.extend(parse_list(text).ok_or_else(wrong)?);
        }
        Ok(present.then_some(Self::Of(tags)))
    }

    /// Strong comparison (RFC 9110 §8.8.3.2), as `If-Match` needs: a weak tag never matches.
    pub fn match_strongly(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Of(tags) => tags.iter().any(|tag| tag.version == version && !tag.weak),
        }
    }

    /// Weak comparison, as `If-None-Match` needs.
    pub fn match_weakly(&self, version: u64) -> bool {
        match self {
            Self::Any => true,
            Self::Of(tags) => tags.iter().any(|tag| tag.version == version),
        }
    }
}

/// The tags of a list that can be ours; `None` for what is no list of entity tags. A comma may stand within a tag.
fn parse_list(mut text: &[u8]) -> Option<Vec<EntityTag>> {
    let mut tags = Vec::new();
    loop {
        let (tag, rest) = parse_tag(text)?;
        tags.extend(tag);
        match rest.trim_ascii_start() {
            [] => return Some(tags),
            [b',', rest @ ..] => text = rest.trim_ascii_start(),
            _ => return None,
        }
    }
}

/// The entity tag that the text begins with, `None` in its place if it is of no version of ours, and what follows it.
fn parse_tag(text: &[u8]) -> Option<(Option<EntityTag>, &[u8])> {
    let (weak, quoted) = text.strip_prefix(b"W/").map_or((false, text), |quoted| (true, quoted));
    let opened = quoted.strip_prefix(b"\"")?;
    let length = opened.iter().position(|byte| *byte == b'"')?;
    let (opaque, rest) = (&opened[..length], &opened[length + 1..]);
    // etagc: visible characters, and what is beyond ASCII.
    if opaque.iter().any(|byte| byte.is_ascii() && !byte.is_ascii_graphic()) {
        return None;
    }
    let ours = opaque.iter().all(u8::is_ascii_digit) && !opaque.starts_with(b"0");
    let version = ours.then(|| str::from_utf8(opaque).ok()?.parse().ok()).flatten();
    Some((version.map(|version| EntityTag { version, weak }), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::http::header::IF_MATCH;

    fn read(values: &[&str]) -> Result<Option<Versions>, Detail> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(IF_MATCH, HeaderValue::from_str(value).unwrap());
        }
        Versions::from_header(&headers, &IF_MATCH)
    }

    #[test]
    fn a_list_of_tags_matches_each_of_its_versions() {
        let versions = read(&["\"1\", \"3\"", "\"7\""]).unwrap().unwrap();
        assert_eq!([1, 2, 3, 7].map(|version| versions.match_strongly(version)), [true, false, true, true]);
    }

    #[test]
    fn a_weak_tag_matches_only_weakly() {
        let versions = read(&["W/\"3\""]).unwrap().unwrap();
        assert!(!versions.match_strongly(3));
        assert!(versions.match_weakly(3));
    }

    #[test]
    fn an_asterisk_matches_every_version_and_no_header_asks_nothing() {
        assert_eq!(read(&["*"]), Ok(Some(Versions::Any)));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(etag(12), "\"12\"");
    }

    #[test]
    fn a_foreign_tag_matches_nothing_and_what_is_no_tag_is_an_error() {
        for foreign in ["\"abc\"", "\"\"", "\"03\"", "\"99999999999999999999999\"", "\"a,b\"", "\",\"", "\"ä\""] {
            assert!(!read(&[foreign]).unwrap().unwrap().match_weakly(3), "{foreign}");
        }
        assert!(read(&["\"a,b\" , \"3\""]).unwrap().unwrap().match_strongly(3), "a comma within a tag parts nothing");
        for slip in ["3", "\"3", "", "3\"", "\"3\",", "'3'", "\"3\" \"4\"", "\"a b\"", "\"3\";", "w/\"3\""] {
            assert_eq!(read(&[slip]).unwrap_err().field, "if-match", "{slip}");
        }
    }
}
