//! The change queue's consumer: applies each accepted change to its product once, and records it in the journal.
//!
//! [`handler`] reads the messages of a batch into [`models::change_event`]s, product by product. [`services::apply_change`]
//! reads the product, [`services::decide`] decides what the event does to it, and [`repositories::dynamodb`] commits
//! product, [`models::journal`] entry and SKU claims in one transaction. `main.rs` wires these together.

pub mod aws;
pub mod batch;
pub mod config;
pub mod handler;
pub mod metrics;
pub mod models;
pub mod repositories;
pub mod services;
pub mod telemetry;
