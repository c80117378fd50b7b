//! HTTP as this API speaks it: preconditions, request bodies, responses, the error envelope.

pub mod accepted;
pub mod change_location;
pub mod error;
pub mod origin;
pub mod preconditions;
pub mod proxy_integration;
pub mod request_body;
pub mod response;
pub mod sku_taken;
