//! The port to the table's indexes and its adapter.

pub mod dynamodb;
pub mod product_index;
pub mod product_item;
pub mod store_error;
pub mod table_keys;
