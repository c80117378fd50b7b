//! The audit log's rules, without I/O: what a record, a chain and a whole log must be, and what the table must be for them.
//!
//! - [`record`] checks one object, [`chain`] what several records say about each other, [`verification`] a whole log and the
//!   table beside it; a [`finding`] is what is wrong.
//! - [`table_item`] reads the table's items, [`product_item`] makes them again from records, and [`stream_record`] is the
//!   message that announces one.
//! - [`mod@lock`] says how long an object must be locked. [`ids`], [`json`] and [`window`] serve the others.
//!
//! The crate shares no code with the functions that write the records. It is written from `contracts/README.md`: a verifier
//! that borrows the code of what it verifies finds none of its mistakes.

pub mod chain;
pub mod finding;
pub mod ids;
pub mod json;
pub mod lock;
pub mod product_item;
pub mod record;
pub mod stream_record;
pub mod table_item;
pub mod verification;
pub mod window;
