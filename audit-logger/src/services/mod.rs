//! The rule of this function. It knows ports and models, no AWS client.

pub mod audit_record;
