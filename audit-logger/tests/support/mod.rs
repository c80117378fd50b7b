//! Shared parts of the tests.
#![allow(dead_code, reason = "each of the test programs uses some of it")]

pub mod audit_bucket;
pub mod contract;
pub mod lambda;
pub mod queue;
pub mod scale;
pub mod stream;
