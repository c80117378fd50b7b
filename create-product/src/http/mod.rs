//! HTTP as this API speaks it: product bodies, the idempotency key, answers, the error envelope.

pub mod accepted;
pub mod actor;
pub mod error;
pub mod idempotency_key;
pub mod product_body;
pub mod proxy_integration;
pub mod response;
