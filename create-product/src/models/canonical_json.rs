//! Digests of JSON documents.

use serde::Serialize;
use sha2::{Digest, Sha256};

/// SHA-256, in lower-case hexadecimal, of the canonical JSON (RFC 8785) of `document`.
///
/// # Panics
///
/// If `document` isn't JSON, such as a map with keys that aren't strings. No model of the catalogue is such a document, and
/// a digest of anything else would end in the audit log for ever.
pub fn canonical_digest(document: &impl Serialize) -> String {
    let canonical = serde_json_canonicalizer::to_vec(document).expect("models are JSON documents with string keys");
    hex(&Sha256::digest(canonical))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a String cannot fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn computes_digests_of_contract() {
        assert_eq!(canonical_digest(&json!({})), "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
        assert_eq!(
            canonical_digest(&json!({"product": {"price": "19.99", "name": "Desk lamp", "currency": "EUR"}})),
            "3cf7e7f32c620b89097b2efecf34070eea1aac568b10d748e6863cd608f9b1e4"
        );
    }

    #[test]
    #[should_panic(expected = "string keys")]
    fn panics_over_document_that_is_not_json() {
        canonical_digest(&std::collections::BTreeMap::from([(vec![1_u8], 1)]));
    }
}
