//! The rules of this function. They know ports and models, no HTTP type and no AWS type.

pub mod get_change;
pub mod get_product;
pub mod list_changes;
