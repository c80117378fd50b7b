//! The key of a product in the `products` table. See `contracts/README.md` of product-infrastructure for the table.

use crate::models::identifiers::ProductId;

/// Sort key of the item that holds a product.
pub const META: &str = "META";

/// Partition key of everything that belongs to a product.
pub fn product_pk(id: ProductId) -> String {
    format!("PRODUCT#{id}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_key_as_contract_specifies() {
        let id = "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84".parse().unwrap();
        assert_eq!(product_pk(id), "PRODUCT#3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84");
    }
}
