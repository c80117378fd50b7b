//! The port to the table and its adapter.

pub mod dynamodb;
pub mod journal_keys;
pub mod product_item;
pub mod product_reader;
pub mod sdk_error;
pub mod table_keys;
