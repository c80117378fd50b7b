//! The rule of this function; it knows ports and models, no AWS client.

pub mod audit_records;
