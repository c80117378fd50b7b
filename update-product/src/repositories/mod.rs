//! The ports to the table and the queue, and their adapters.

pub mod change_publisher;
pub mod current_product;
pub mod dynamodb;
pub mod product_item;
pub mod sdk_error;
pub mod sqs;
pub mod table_keys;
