//! `GET /v1.0/products`: the active products, page by page.
//!
//! The way of a request: [`http::parameters`] reads the query into a selection, [`http::cursor`] tells where the page
//! starts, [`services::list_products`] asks every shard of the index at once through the port of
//! [`repositories::product_index`] and merges the answers, and [`handler`] gives the page its form.
//! `main.rs` only puts these together.

pub mod aws;
pub mod config;
pub mod handler;
pub mod http;
pub mod models;
pub mod repositories;
pub mod services;
pub mod telemetry;
