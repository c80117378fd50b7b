//! The audit queue's consumer: each change of the products table becomes an object of the audit bucket, once.
//!
//! [`handler`] reads the stream record of each message, [`models::stream_record`] decides what the audit log does with it,
//! [`models::audit_object`] makes the object's key and bytes, and [`repositories::s3`] writes it unless it exists. `main.rs`
//! wires these together.

pub mod aws;
pub mod batch;
pub mod config;
pub mod handler;
pub mod metrics;
pub mod models;
pub mod repositories;
pub mod services;
pub mod telemetry;
