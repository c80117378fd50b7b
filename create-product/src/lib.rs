//! `POST /v1.0/products`: a product is checked and its creation queued.
//!
//! The way of a request: [`http::product_body`] reads the body strictly into [`models::product_content`], whose rules
//! are checked; [`http::idempotency_key`] names the product if the caller gave a key; [`services::create_product`]
//! puts a [`models::change_event`] on the queue through [`repositories::sqs`], and [`http::accepted`] answers.
//! `main.rs` only puts these together.

pub mod aws;
pub mod config;
pub mod handler;
pub mod http;
pub mod models;
pub mod repositories;
pub mod services;
pub mod telemetry;
