//! What the tests are built on.
#![allow(dead_code, reason = "each of the test programs uses some of it")]

pub mod lives;
