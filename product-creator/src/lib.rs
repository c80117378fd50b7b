//! The change queue's consumer: each accepted change is applied to its product once, and journalled.
//!
//! The way of a batch: [`handler`] reads its messages into [`models::change_event`]s, product by product;
//! [`services::apply_change`] reads the product, lets [`services::decide`] say what the event does to it, and commits
//! product and [`models::journal`] entry in one transaction through [`repositories::dynamodb`].
//! `main.rs` only puts these together.

pub mod aws;
pub mod batch;
pub mod config;
pub mod handler;
pub mod metrics;
pub mod models;
pub mod repositories;
pub mod services;
pub mod telemetry;
