//! What the tests stand on.
#![allow(dead_code, reason = "each of the test programs uses some of it")]

pub mod contract;
pub mod products_table;
