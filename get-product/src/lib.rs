//! `GET /v1.0/products/{productId}`: one product, read by its key.
//!
//! The way of a request: [`handler`] takes the id and the conditional header from it, [`services::get_product`] hides
//! what is deleted, [`repositories::dynamodb`] reads the item, [`models`] and [`http`] give the answer its form.
//! `main.rs` only puts these together.

pub mod aws;
pub mod config;
pub mod handler;
pub mod http;
pub mod models;
pub mod repositories;
pub mod services;
pub mod telemetry;
