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
            let text = value.to_str().map_err(|_| wrong())?.trim();
            if text == "*" {
                return Ok(Some(Self::Any));
            }
            for tag in text.split(',') {
                tags.extend(parse_tag(tag.trim()).ok_or_else(wrong)?);
            }
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

/// `None`: no entity tag. `Some(None)`: an entity tag, but of no version of ours.
fn parse_tag(text: &str) -> Option<Option<EntityTag>> {
    let (weak, quoted) = text.strip_prefix("W/").map_or((false, text), |quoted| (true, quoted));
    let opaque = quoted.strip_prefix('"')?.strip_suffix('"')?;
    let ours = !opaque.is_empty() && opaque.bytes().all(|byte| byte.is_ascii_digit()) && !opaque.starts_with('0');
    Some(ours.then(|| opaque.parse().ok()).flatten().map(|version| EntityTag { version, weak }))
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
        for foreign in ["\"abc\"", "\"\"", "\"03\"", "\"99999999999999999999999\""] {
            assert!(!read(&[foreign]).unwrap().unwrap().match_weakly(3), "{foreign}");
        }
        for slip in ["3", "\"3", "", "3\"", "\"3\",", "'3'"] {
            assert_eq!(read(&[slip]).unwrap_err().field, "if-match", "{slip}");
        }
    }
}
