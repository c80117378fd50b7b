//! The body of a request: its media type, its size, and the JSON object in it, read strictly.

use lambda_http::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use lambda_http::{Body, Request};
use mediatype::{MediaType, ReadParams, names};
use serde::de::IgnoredAny;

use super::error::{ErrorCode, Failure};
use crate::models::json_object::JsonObject;
use crate::models::violation::{DetailCode, Violation};

/// Bytes of the largest body: a product, before and after a change, must fit a message of 256 KiB on its way to the
/// audit log (an Amazon SNS quota).
const MAX_BODY_BYTES: usize = 64 * 1024;

/// The JSON object in the body of a request with the media type `application/{subtype}`.
///
/// `what` is the noun of the messages: the product or the patch.
///
/// # Errors
/// 415 for another media type or a content coding, 413 for a body over 64 KiB, 400 `MALFORMED_JSON` for an absent body or
/// malformed JSON, 400 `VALIDATION_FAILED` for JSON that isn't an object.
pub fn read_object(request: &Request, subtype: &str, what: &str) -> Result<JsonObject, Failure> {
    require_media_type(request, subtype)?;
    let bytes: &[u8] = match request.body() {
        Body::Text(text) => text.as_bytes(),
        Body::Binary(bytes) => bytes,
        _ => &[],
    };
    if bytes.len() > MAX_BODY_BYTES {
        return Err(Failure::new(ErrorCode::PayloadTooLarge, "The request body exceeds 64 KiB."));
    }
    serde_json::from_slice(bytes).map_err(|error| {
        // The gateway decodes a body and leaves the header as it is. What it didn't decode isn't JSON.
        if is_encoded(request) {
            let message = "Content-Encoding isn't supported. Send the request body uncompressed.";
            return Failure::new(ErrorCode::UnsupportedMediaType, message);
        }
        // Another type is an error at its first byte: whether the rest is JSON decides what the error is.
        let malformed = if error.is_data() { serde_json::from_slice::<IgnoredAny>(bytes).err() } else { Some(error) };
        match malformed {
            Some(error) => malformed_json(bytes, &error),
            None => invalid(what, vec![Violation::new("body", DetailCode::InvalidType, "must be a JSON object")]),
        }
    })
}

/// 400 `VALIDATION_FAILED` with the violations of the product or the patch.
pub fn invalid(what: &str, violations: Vec<Violation>) -> Failure {
    let message = format!("The {what} is invalid. See details.");
    Failure::new(ErrorCode::ValidationFailed, message).with_details(violations)
}

fn malformed_json(bytes: &[u8], error: &serde_json::Error) -> Failure {
    if bytes.trim_ascii().is_empty() {
        return Failure::new(ErrorCode::MalformedJson, "A request body is required.")
            .with_details(vec![Violation::new("body", DetailCode::Required, "is required")]);
    }
    let message = if str::from_utf8(bytes).is_err() {
        "must be encoded as UTF-8".to_owned()
    } else {
        // The position only: serde_json's message may quote the body.
        format!("malformed JSON at line {}, column {}", error.line(), error.column())
    };
    Failure::new(ErrorCode::MalformedJson, "The request body isn't valid JSON. See details.")
        .with_details(vec![Violation::new("body", DetailCode::InvalidFormat, message)])
}

fn require_media_type(request: &Request, subtype: &str) -> Result<(), Failure> {
    let mut values = request.headers().get_all(CONTENT_TYPE).iter();
    let value = values.next().and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_expected = MediaType::parse(value).is_ok_and(|media| is_json_in_utf8(&media, subtype));
    if is_expected && values.next().is_none() {
        return Ok(());
    }
    let message = format!("Content-Type must be application/{subtype}.");
    Err(Failure::new(ErrorCode::UnsupportedMediaType, message))
}

/// Parameters that JSON doesn't define are ignored (RFC 8259 §11). A charset other than UTF-8 is not: the bytes would mean
/// something else.
fn is_json_in_utf8(media: &MediaType<'_>, subtype: &str) -> bool {
    let full_subtype = match media.suffix {
        Some(suffix) => format!("{}+{suffix}", media.subty),
        None => media.subty.to_string(),
    };
    let is_utf8 = media.get_param(names::CHARSET).is_none_or(|charset| {
        let charset = charset.unquoted_str();
        ["utf-8", "utf8"].iter().any(|utf8| charset.eq_ignore_ascii_case(utf8))
    });
    media.ty.as_str().eq_ignore_ascii_case("application") && full_subtype.eq_ignore_ascii_case(subtype) && is_utf8
}

fn is_encoded(request: &Request) -> bool {
    let codings = request.headers().get_all(CONTENT_ENCODING);
    codings.iter().any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::http::HeaderValue;

    fn request(content_type: &str, body: impl Into<Body>) -> Request {
        let mut request = Request::new(body.into());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
        request
    }

    fn read(body: impl Into<Body>) -> Result<JsonObject, Failure> {
        read_object(&request("application/json", body), "json", "product")
    }

    fn code(content_type: &str, subtype: &str) -> Option<ErrorCode> {
        read_object(&request(content_type, "{}"), subtype, "product").err().map(|failure| failure.code)
    }

    #[test]
    fn accepts_json_in_utf_8() {
        for content_type in [
            "application/json",
            "application/json; charset=utf-8",
            "application/json; charset=utf8",
            "application/json ; charset=utf-8",
            "application/json\t;charset=UTF8",
            "Application/JSON;charset=\"UTF-8\"",
            "application/json;",
            "application/json; profile=\"a b\"",
        ] {
            assert_eq!(code(content_type, "json"), None, "{content_type}");
        }
        assert_eq!(code("application/merge-patch+json", "merge-patch+json"), None);
        assert_eq!(code("Application/Merge-Patch+JSON ; charset=utf8", "merge-patch+json"), None);
    }

    #[test]
    fn rejects_other_media_types() {
        for content_type in [
            "text/plain",
            "text/json",
            "application/json; charset=latin1",
            "application/jsonx",
            "application/json+json",
            "application/merge-patch+json",
            "application/xml, application/json",
            "",
        ] {
            assert_eq!(code(content_type, "json"), Some(ErrorCode::UnsupportedMediaType), "{content_type}");
        }
        for content_type in ["application/json", "application/json-patch+json", "application/merge-patch"] {
            let found = code(content_type, "merge-patch+json");
            assert_eq!(found, Some(ErrorCode::UnsupportedMediaType), "{content_type}");
        }
        let absent = read_object(&Request::new("{}".into()), "json", "product").unwrap_err();
        assert_eq!(absent.message, "Content-Type must be application/json.");
        let mut twice = request("application/json", "{}");
        twice.headers_mut().append(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        assert!(read_object(&twice, "json", "product").is_err());
    }

    #[test]
    fn rejects_encoded_body_that_the_gateway_did_not_decode() {
        let encoded = |coding: &'static str, body: &'static [u8]| {
            let mut request = request("application/json", body.to_vec());
            request.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
            read_object(&request, "json", "product").err().map(|failure| failure.code)
        };
        assert_eq!(encoded("gzip", b"\x1f\x8b\x08\0"), Some(ErrorCode::UnsupportedMediaType));
        assert_eq!(encoded("br", b"\x0b"), Some(ErrorCode::UnsupportedMediaType));
        assert_eq!(encoded("gzip", b"{}"), None, "decoded by the gateway");
        assert_eq!(encoded("identity", b"{}"), None);
        assert_eq!(encoded("identity", b"{"), Some(ErrorCode::MalformedJson));
    }

    #[test]
    fn accepts_64_kib_and_rejects_one_byte_more() {
        let mut body = "{}".to_owned();
        body.push_str(&" ".repeat(MAX_BODY_BYTES - body.len()));
        assert!(read(body.as_str()).is_ok());
        body.push(' ');
        assert_eq!(read(body.as_str()).unwrap_err().code, ErrorCode::PayloadTooLarge);
    }

    #[test]
    fn requires_body() {
        for body in [Body::Empty, "".into(), " \n".into()] {
            let failure = read(body).unwrap_err();
            assert_eq!(
                (failure.code, failure.message.as_str()),
                (ErrorCode::MalformedJson, "A request body is required.")
            );
        }
    }

    #[test]
    fn distinguishes_malformed_json_from_other_types() {
        for body in ["[]", "null", "5", "\"text\""] {
            let failure = read(body).unwrap_err();
            assert_eq!(failure.code, ErrorCode::ValidationFailed, "{body}");
            assert_eq!(failure.details[0].message, "must be a JSON object", "{body}");
        }
        for body in
            ["{", "{\"name\":}", "{} {}", "{'name':1}", "\u{feff}{}", "nul", "[", "5 5", "\"a", "{\"price\":01}"]
        {
            let failure = read(body).unwrap_err();
            assert_eq!(failure.code, ErrorCode::MalformedJson, "{body:?}");
            assert!(failure.details[0].message.starts_with("malformed JSON at line 1, column "), "{body:?}");
        }
    }

    #[test]
    fn names_encoding_of_body_that_is_not_utf_8() {
        let failure = read(b"{\"name\":\"B\xfcrste\"}".to_vec()).unwrap_err();
        assert_eq!(failure.code, ErrorCode::MalformedJson);
        assert_eq!(failure.details[0].message, "must be encoded as UTF-8");
    }

    #[test]
    fn reads_deeply_nested_body_without_recursion() {
        let deep = format!(r#"{{"name":{}{}}}"#, "[".repeat(30_000), "]".repeat(30_000));
        assert_eq!(read(deep).unwrap().0.len(), 1);
    }
}
