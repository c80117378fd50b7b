//! The port to the audit log and its adapter.

pub mod audit_log;
pub mod s3;
