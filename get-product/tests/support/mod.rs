//! What the tests stand on.
#![allow(dead_code, reason = "each of the test programs uses some of it")]

pub mod gateway;
pub mod lambda;
pub mod log;
pub mod openapi;
pub mod products_table;
pub mod proxy_events;
pub mod scale;
