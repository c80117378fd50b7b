//! HTTP as this API speaks it: request bodies, the idempotency key, responses, the error envelope.

pub mod accepted;
pub mod change_location;
pub mod error;
pub mod idempotency_key;
pub mod origin;
pub mod proxy_integration;
pub mod request_body;
pub mod response;
pub mod sku_taken;
