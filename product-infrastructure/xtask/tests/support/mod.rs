//! What the tests stand on.
#![allow(dead_code, reason = "each of the test programs uses some of it")]

pub mod aws;
pub mod pipeline;
