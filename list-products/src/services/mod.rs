//! The rules of this function. They know ports and models, no HTTP type, no AWS type and no key of the table.

pub mod list_products;
pub mod merge;
pub mod read_feed;
