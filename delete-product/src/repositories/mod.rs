//! The ports to the table and the queue, and their adapters.

pub mod change_publisher;
pub mod current_products;
pub mod dynamodb;
mod sdk_error;
pub mod sqs;
mod table_keys;
