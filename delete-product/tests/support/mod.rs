//! What the tests stand on.

pub mod change_queue;
pub mod contract;
pub mod gateway;
pub mod products_table;
