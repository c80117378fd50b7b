//! What the tests stand on.
#![allow(dead_code, reason = "each of the test programs uses some of it")]

pub mod account;
pub mod audit_bucket;
#[path = "../../../audit-log/tests/support/lives.rs"]
pub mod lives;
pub mod log_groups;
pub mod product_api;
pub mod products_table;
pub mod queues;
pub mod services;
pub mod system;
