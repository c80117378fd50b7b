//! HTTP: parameters and cursors in, documents and the error envelope out.

pub mod cursor;
pub mod error;
pub mod parameters;
pub mod proxy_integration;
pub mod query_parameters;
pub mod response;
