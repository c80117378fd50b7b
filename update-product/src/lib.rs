//! `PUT` and `PATCH /v1.0/products/{productId}`: validates a replacement or a patch of a product and queues it.
//!
//! A request passes through: [`http::preconditions`] reads the conditional headers, [`http::request_body`] reads the body
//! strictly, [`models::product_rules`] parses it into [`models::product_content`] or a patch; [`services::update_product`]
//! compares it with the current product, merges a patch by [`models::merge_patch`], and puts a [`models::change_event`] on
//! the queue through [`repositories::sqs`]; and [`http::accepted`] responds. `main.rs` only connects these.

pub mod aws;
pub mod config;
pub mod handler;
pub mod http;
pub mod models;
pub mod repositories;
pub mod services;
pub mod telemetry;
