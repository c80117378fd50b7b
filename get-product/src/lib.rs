//! `GET /v1.0/products/{productId}`, `…/changes` and `…/changes/{eventId}`: one product, and what became of its changes.
//!
//! The path of a request: [`handler`] chooses by the resource, and reads IDs, conditional headers and parameters; the
//! [`services`] hide deleted products and decide what is known of a change; [`repositories::dynamodb`] reads the items;
//! [`models`] and [`http`] shape the response. `main.rs` only wires these together.

pub mod aws;
pub mod config;
pub mod handler;
pub mod http;
pub mod models;
pub mod repositories;
pub mod services;
pub mod telemetry;
