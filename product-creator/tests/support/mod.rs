//! What the tests stand on.

pub mod contract;
pub mod products_table;
