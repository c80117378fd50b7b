//! The audit log, read by those who have to rely on it: `catalogctl audit …`.
//!
//! - [`record`] checks one object, [`chain`] what several say of each other, [`verification`] a whole bucket and a table;
//!   a [`finding`] is what is wrong. These know neither S3 nor DynamoDB, and share no code with the functions that write
//!   the records: they are written from `contracts/README.md`, with [`ids`] and [`json`].
//! - [`bucket`] and [`table`] read what is to be checked, in a [`window`] of days.
//! - [`verify`], [`history`], [`export`], [`rebuild`] and [`repair`] are the commands; [`product_item`] and
//!   [`stream_record`] are what the last two write.

pub mod bucket;
pub mod chain;
pub mod export;
pub mod finding;
pub mod history;
pub mod ids;
pub mod json;
pub mod product_item;
pub mod rebuild;
pub mod record;
pub mod repair;
pub mod stream_record;
pub mod table;
pub mod verification;
pub mod verify;
pub mod window;
