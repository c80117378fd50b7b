//! Digests as names: short, and the same for the same content.

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The first half of the digest of a value of a field.
pub fn half(field: &str, value: &str) -> [u8; 16] {
    first_half(Sha256::new().chain_update(field).chain_update([0]).chain_update(value))
}

/// A digest as a UUID of version 8 (RFC 9562, section 5.8).
pub fn uuid(digest: Sha256) -> String {
    Uuid::new_v8(first_half(digest)).to_string()
}

fn first_half(digest: Sha256) -> [u8; 16] {
    let digest = digest.finalize();
    std::array::from_fn(|index| digest[index])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_uuids_and_the_same_for_the_same_content() {
        let name = |text: &str| uuid(Sha256::new().chain_update(text));
        assert_eq!(name("a"), name("a"));
        assert_ne!(name("a"), name("b"));
        assert!(audit_log::ids::ProductId::parse(&name("a")).is_some(), "{}", name("a"));
    }

    #[test]
    fn digest_depends_on_the_field() {
        assert_eq!(half("sku", "A"), half("sku", "A"));
        assert_ne!(half("sku", "A"), half("productId", "A"));
    }
}
