//! Files of products: [`import`] checks one against the contract, [`apply`] brings its rows to the API, and [`export`] writes
//! one.
//!
//! - [`rows`] reads a file, [`columns`] gives the columns of a CSV file their meaning, [`contract`] checks what a row asks for,
//!   and [`rejects`] writes the rows that have to be corrected.
//! - [`access`] finds the API, [`api`] calls it, [`change`] brings one row to it, and [`journal`] records what became of each.

pub mod access;
pub mod api;
pub mod apply;
pub mod change;
pub mod columns;
pub mod contract;
pub mod digest;
pub mod export;
pub mod import;
pub mod journal;
pub mod rejects;
pub mod rows;
