//! The port to the table and its adapter.

pub mod change_store;
pub mod dynamodb;
pub mod index_keys;
pub mod journal_keys;
pub mod product_item;
pub mod provenance_item;
pub mod sdk_error;
pub mod sku_claim_keys;
pub mod table_keys;
