//! The audit queue's consumer: each change of the products table becomes an object of the audit bucket, once.
//!
//! The way of a batch: [`handler`] reads each message's stream record, [`models::stream_record`] tells what the audit
//! log makes of it, [`models::audit_object`] gives the object its key and bytes, and [`repositories::s3`] writes it
//! unless it is there. `main.rs` only puts these together.

pub mod aws;
pub mod batch;
pub mod config;
pub mod handler;
pub mod metrics;
pub mod models;
pub mod repositories;
pub mod services;
pub mod telemetry;
