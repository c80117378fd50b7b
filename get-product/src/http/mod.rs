//! HTTP: parameters and conditional requests in, documents and the error envelope out.

pub mod change_document;
pub mod cursor;
pub mod error;
pub mod preconditions;
pub mod proxy_integration;
pub mod query_parameters;
pub mod response;
