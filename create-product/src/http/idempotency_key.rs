//! `Idempotency-Key`: the same key of the same caller always names the same product.

use hmac::{Hmac, KeyInit, Mac};
use lambda_http::http::HeaderMap;
use sha2::Sha256;
use uuid::Uuid;

use super::error::{ErrorCode, Failure};
use crate::models::identifiers::ProductId;
use crate::models::violation::{DetailCode, Violation};

const HEADER: &str = "idempotency-key";
const LONGEST: usize = 255;

/// A key of 1 to 255 visible ASCII characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// The request's key, if it carries one.
    ///
    /// # Errors
    /// 400 `INVALID_PARAMETER` for a header that is repeated, empty, too long or not visible ASCII.
    pub fn from_headers(headers: &HeaderMap) -> Result<Option<Self>, Failure> {
        let mut values = headers.get_all(HEADER).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let visible = (1..=LONGEST).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_graphic);
        match (value.to_str(), values.next()) {
            (Ok(key), None) if visible => Ok(Some(Self(key.to_owned()))),
            (_, second) => {
                let message = if second.is_some() {
                    "may be given once only".to_owned()
                } else {
                    format!("must be 1 to {LONGEST} visible ASCII characters")
                };
                let code = if second.is_some() { DetailCode::RepeatedParameter } else { DetailCode::InvalidFormat };
                Err(Failure::new(ErrorCode::InvalidParameter, "The Idempotency-Key cannot be used.")
                    .with_details(vec![Violation::new("Idempotency-Key", code, message)]))
            }
        }
    }

    /// The product that this key names for the caller with `caller_key_id`: HMAC-SHA-256 of the key under the caller's
    /// key id, as a UUIDv8 (RFC 9562 §5.8).
    ///
    /// No store remembers keys: the product itself is what is remembered. Keyed by the caller, so that two callers
    /// who count 1, 2, 3 do not meet.
    pub fn product_id(&self, caller_key_id: &str) -> ProductId {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(caller_key_id.as_bytes()) else {
            unreachable!("HMAC takes a key of any length (RFC 2104 §3)");
        };
        mac.update(self.0.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&mac.finalize().into_bytes()[..16]);
        ProductId::from_uuid(Uuid::new_v8(bytes))
    }
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

    #[test]
    fn one_key_of_one_caller_names_one_product() {
        let key = |text: &str| read(&[text.as_bytes()]).unwrap().unwrap();
        assert_eq!(key("order-1").product_id("caller"), key("order-1").product_id("caller"));
        assert_ne!(key("order-1").product_id("caller"), key("order-2").product_id("caller"));
        assert_ne!(key("order-1").product_id("caller"), key("order-1").product_id("other"));
        // A change of the derivation would let a repeated request create a second product.
        assert_eq!(key("order-1").product_id("caller").to_string(), "3e8bc776-37ac-8335-b25d-ef7e1c1f1223");
    }

    #[test]
    fn only_one_visible_key_is_taken() {
        assert_eq!(read(&[]).unwrap(), None);
        assert!(read(&[&[b'x'; 255]]).is_ok());
        for bad in [&b""[..], b"a b", b"\xe4", &[b'x'; 256]] {
            assert_eq!(read(&[bad]).unwrap_err().code, ErrorCode::InvalidParameter, "{bad:?}");
        }
        assert_eq!(read(&[b"a", b"a"]).unwrap_err().details[0].code, DetailCode::RepeatedParameter);
    }
}
