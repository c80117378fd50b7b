//! `PUT /v1.0/products/{productId}`: a full replacement of a product is checked and queued.
//!
//! The way of a request: [`http::preconditions`] reads `If-Match`, [`http::product_body`] reads the body strictly into
//! [`models::product_content`], whose rules are checked; [`services::update_product`] looks at the product as it is and
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
