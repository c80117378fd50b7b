//! Shared parts of the tests.
#![allow(dead_code, reason = "each of the test programs uses some of it")]

pub mod catalogue;
pub mod changes;
pub mod content;
pub mod contract;
pub mod faulty_engine;
pub mod lambda;
pub mod model;
pub mod products_table;
pub mod queue;
pub mod scale;
