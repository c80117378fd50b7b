//! HTTP as this API speaks it: conditional requests, answers, the error envelope.

pub mod actor;
pub mod error;
pub mod preconditions;
pub mod proxy_integration;
pub mod response;
