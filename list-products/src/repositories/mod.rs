//! The port to the table's indexes and its adapter.

pub mod dynamodb;
pub mod index_keys;
pub mod product_index;
pub mod product_item;
pub mod projection;
pub mod sdk_error;
pub mod sku_claim_keys;
pub mod table_keys;
