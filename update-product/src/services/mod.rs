//! The rule of this function; it knows ports and models, no AWS type.

pub mod update_product;
