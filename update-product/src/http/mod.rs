//! HTTP as this API speaks it: product bodies, conditional requests, answers, the error envelope.

pub mod accepted;
pub mod actor;
pub mod error;
pub mod preconditions;
pub mod product_body;
pub mod proxy_integration;
pub mod response;
