//! HTTP as this API speaks it: the listing's parameters and cursor, answers, the error envelope.

pub mod cursor;
pub mod error;
pub mod parameters;
pub mod proxy_integration;
pub mod response;
