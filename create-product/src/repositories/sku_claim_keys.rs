//! The key of a SKU claim: the item that names the one active product with a SKU.

/// Sort key of a claim.
pub const CLAIM: &str = "CLAIM";

/// Partition key of the claim of a SKU. SKUs are compared exactly.
pub fn sku_pk(sku: &str) -> String {
    format!("SKU#{sku}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_key_as_contract_specifies() {
        assert_eq!(sku_pk("DL-7"), "SKU#DL-7");
        assert_ne!(sku_pk("dl-7"), sku_pk("DL-7"));
    }
}
