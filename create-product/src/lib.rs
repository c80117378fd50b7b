//! `POST /v1.0/products`: validates a new product and queues its creation.
//!
//! A request passes through: [`http::request_body`] reads the body strictly, [`models::product_rules`] parses it into
//! [`models::product_content`]; [`http::idempotency_key`] names the product if the client sent a key;
//! [`services::create_product`] puts a [`models::change_event`] on the queue through [`repositories::sqs`]; and
//! [`http::accepted`] responds. `main.rs` only connects these.

pub mod aws;
pub mod config;
pub mod handler;
pub mod http;
pub mod models;
pub mod repositories;
pub mod services;
pub mod telemetry;
