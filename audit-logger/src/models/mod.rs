//! What is audited, and as what. Identifiers and moments are the same files in every function that needs them.

pub mod audit_object;
pub mod identifiers;
pub mod stream_record;
pub mod timestamp;
