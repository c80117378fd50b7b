//! What the tests stand on.
#![allow(dead_code, reason = "each of the test programs uses some of it")]

pub mod catalogue;
pub mod gateway;
pub mod lambda;
pub mod log;
pub mod memory_index;
pub mod openapi;
pub mod products_table;
pub mod proxy_events;
pub mod scale;
pub mod scripted_table;
pub mod store;
