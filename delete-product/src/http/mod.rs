//! HTTP as this API speaks it: preconditions, responses, the error envelope.

pub mod change_location;
pub mod error;
pub mod origin;
pub mod preconditions;
pub mod proxy_integration;
pub mod response;
