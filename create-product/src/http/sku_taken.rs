//! `409 Conflict`: another active product has the SKU.

use super::error::{ErrorCode, Failure};
use crate::models::identifiers::ProductId;
use crate::models::violation::{DetailCode, Violation};

/// 409 `SKU_TAKEN`, with the ID of the product that has the SKU.
pub fn sku_taken(holder: ProductId) -> Failure {
    let violation = Violation::new("sku", DetailCode::SkuTaken, format!("belongs to the product {holder}"));
    Failure::new(ErrorCode::SkuTaken, "The SKU belongs to another product. See details.").with_details(vec![violation])
}
