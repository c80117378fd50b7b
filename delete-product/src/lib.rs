//! `DELETE /v1.0/products/{productId}`: queues the deletion of a product.
//!
//! A request passes through: [`http::preconditions`] reads the conditional headers, [`services::delete_product`] compares
//! them with the current product and puts a [`models::change_event`] on the queue through [`repositories::sqs`], and
//! [`handler`] responds. `main.rs` only connects these.

pub mod aws;
pub mod config;
pub mod handler;
pub mod http;
pub mod models;
pub mod repositories;
pub mod services;
pub mod telemetry;
