//! Files of products: [`import`] checks one against the contract.
//!
//! [`rows`] reads a file, [`columns`] gives the columns of a CSV file their meaning, [`contract`] checks what a row asks for,
//! and [`rejects`] writes the rows that have to be corrected.

pub mod columns;
pub mod contract;
pub mod import;
pub mod rejects;
pub mod rows;
