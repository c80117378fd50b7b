//! The port to the table and its adapter.

pub mod change_store;
pub mod dynamodb;
pub mod product_item;
pub mod store_error;
pub mod table_keys;
