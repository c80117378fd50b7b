//! HTTP as this API speaks it: answers, the error envelope, conditional requests.

pub mod error;
pub mod preconditions;
pub mod proxy_integration;
pub mod response;
