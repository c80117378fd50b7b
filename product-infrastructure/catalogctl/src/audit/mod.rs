//! The audit log, read by those who have to rely on it: `catalogctl audit …`.
//!
//! What a record and a log must be is in the library `audit-log`. [`verify`], [`history`], [`export`], [`rebuild`], [`repair`]
//! and [`restore`] are the commands; [`product_search`] finds a product that is known by its SKU or name.

pub mod export;
pub mod history;
pub mod product_search;
pub mod rebuild;
pub mod repair;
pub mod restore;
pub mod verify;
