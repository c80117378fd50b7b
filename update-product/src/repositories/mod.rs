//! The ports to the table and the queue, and their adapters.

pub mod change_publisher;
pub mod current_products;
pub mod dynamodb;
mod product_item;
mod sdk_error;
mod sku_claim_keys;
pub mod sqs;
mod table_keys;
