//! What the tests are built on.

pub mod lives;
