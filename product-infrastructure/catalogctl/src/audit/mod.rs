//! The audit log, read by those who have to rely on it: `catalogctl audit …`.
//!
//! What a record and a log must be is in the library `audit-log`. [`verify`], [`history`], [`export`], [`report`], [`rebuild`],
//! [`repair`] and [`restore`] are the commands; [`product_search`] finds a product that is known by its SKU or name, [`filter`]
//! selects records, [`record_row`] makes them rows of a table, [`report_page`] a page, [`manifest`] ties a file to the bucket, and
//! from a [`checkpoint`] an interrupted verification continues.

pub mod checkpoint;
pub mod export;
pub mod filter;
pub mod history;
pub mod manifest;
pub mod product_search;
pub mod rebuild;
pub mod record_row;
pub mod repair;
pub mod report;
pub mod report_page;
pub mod restore;
pub mod verify;
