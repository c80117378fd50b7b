//! `GET /v1.0/products`: the active products, page by page. `GET /v1.0/products/changes`: the products that changed.
//!
//! The path of a request: [`http::parameters`] reads the query into a [`models::selection`], [`http::cursor`] the position
//! at which the page begins; [`services::list_products`] and [`services::read_feed`] read through the port of
//! [`repositories::product_index`], and [`services::merge`] makes one order of all shards; [`handler`] shapes the response.
//! `main.rs` only wires these together.

pub mod aws;
pub mod config;
pub mod handler;
pub mod http;
pub mod models;
pub mod repositories;
pub mod services;
pub mod telemetry;
