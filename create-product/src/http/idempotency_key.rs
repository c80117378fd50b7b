//! `Idempotency-Key`: the same key always names the same product.

use hmac::{Hmac, KeyInit, Mac};
use lambda_http::http::HeaderMap;
use sha2::Sha256;
use uuid::Uuid;

use super::error::{ErrorCode, Failure};
use crate::models::identifiers::ProductId;
use crate::models::violation::{DetailCode, Violation};

const HEADER: &str = "Idempotency-Key";
const MAX_LENGTH: usize = 255;

/// A key of 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The request's key, if it has one.
    ///
    /// # Errors
    /// 400 `INVALID_PARAMETER` for a header that is repeated, empty, too long or not visible ASCII.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, Failure> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(invalid(DetailCode::RepeatedParameter, "must be specified only once".to_owned()));
        }
        let key = value
            .to_str()
            .ok()
            .map(unquoted)
            .filter(|key| (1..=MAX_LENGTH).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
        let key = key.ok_or_else(|| {
            invalid(DetailCode::InvalidFormat, format!("must consist of 1 to {MAX_LENGTH} visible ASCII characters"))
        })?;
        Ok(Some(Self(key.to_owned())))
    }

    /// The product that this key names in an environment: HMAC-SHA-256 of the key, as a UUIDv8 (RFC 9562 §5.8).
    ///
    /// No store remembers keys: the product itself is what is remembered. The environment's name is the MAC's key, so that
    /// a key that was tried in one environment names another product in the next. It isn't secret, and needn't be: an ID
    /// gives no access. The API key isn't part of it, because a retry may come after the API key's rotation.
    pub fn product_id(&self, environment: &str) -> ProductId {
        let mut mac = Hmac::<Sha256>::new_from_slice(environment.as_bytes())
            .expect("HMAC takes a key of any length (RFC 2104 §3)");
        mac.update(self.0.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        ProductId::from_uuid(Uuid::new_v8(bytes))
    }
}

/// `"k"` and `k` are one key: the IETF draft writes a key as a quoted string, and many clients leave the quotes out.
fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

fn invalid(code: DetailCode, message: String) -> Failure {
    Failure::new(ErrorCode::InvalidParameter, "Invalid Idempotency-Key header.")
        .with_details(vec![Violation::new(HEADER, code, message)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::http::HeaderValue;

    fn read(values: &[&[u8]]) -> Result<Option<IdempotencyKey>, Failure> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(HEADER, HeaderValue::from_bytes(value).unwrap());
        }
        IdempotencyKey::from_headers(&headers)
    }

    fn key(text: &str) -> IdempotencyKey {
        read(&[text.as_bytes()]).unwrap().unwrap()
    }

    #[test]
    fn derives_product_id_from_environment_and_key() {
        assert_eq!(key("order-1").product_id("dev"), key("order-1").product_id("dev"));
        assert_ne!(key("order-1").product_id("dev"), key("order-2").product_id("dev"));
        assert_ne!(key("order-1").product_id("dev"), key("order-1").product_id("prod"));
        // A change of the derivation would let a repeated request create a second product.
        assert_eq!(key("order-1").product_id("dev").to_string(), "9368515d-98e9-8787-a48c-55861dbb96d2");
    }

    #[test]
    fn treats_quoted_and_unquoted_key_as_one() {
        assert_eq!(key("\"k\""), key("k"));
        assert_ne!(key("\"k"), key("k"));
        assert!(read(&[format!("\"{}\"", "x".repeat(255)).as_bytes()]).is_ok());
    }

    #[test]
    fn rejects_malformed_and_repeated_keys() {
        assert_eq!(read(&[]).unwrap(), None);
        assert!(read(&[&[b'x'; 255]]).is_ok());
        for malformed in [&b""[..], b"\"\"", b"a b", b"\xe4", &[b'x'; 256]] {
            let failure = read(&[malformed]).unwrap_err();
            assert_eq!(failure.code, ErrorCode::InvalidParameter, "{malformed:?}");
            assert_eq!(failure.details[0].code, DetailCode::InvalidFormat, "{malformed:?}");
        }
        assert_eq!(read(&[b"a", b"a"]).unwrap_err().details[0].code, DetailCode::RepeatedParameter);
    }
}
