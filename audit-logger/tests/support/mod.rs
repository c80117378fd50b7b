//! What the tests stand on.

pub mod audit_bucket;
pub mod contract;
