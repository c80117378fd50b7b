//! `DELETE /v1.0/products/{productId}`: the deletion of a product is queued.
//!
//! The way of a request: [`http::preconditions`] reads `If-Match`, [`services::delete_product`] looks at the product as
//! it is and puts a [`models::change_event`] on the queue through [`repositories::sqs`], and [`handler`] answers.
//! `main.rs` only puts these together.

pub mod aws;
pub mod config;
pub mod handler;
pub mod http;
pub mod models;
pub mod repositories;
pub mod services;
pub mod telemetry;
