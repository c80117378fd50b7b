//! The rule of this function; it knows ports and models, no AWS type.

pub mod delete_product;
