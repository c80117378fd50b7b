//! `catalogctl`: runs, tests and operates the product catalogue.
//!
//! The crate's map, from the outside in:
//!
//! - [`cli`] is what can be typed, [`commands`] what each of it does.
//! - [`workspace`] knows the eight repositories and where run-time files lie; [`stack`] is one local stack below it.
//! - Bringing a stack up takes [`prerequisites`], the [`emulator`], [`packages`] of the functions and [`terraform`];
//!   [`provision`] puts them in order, [`aws`] are the few calls that Terraform does not make, and [`status`] is what the
//!   stack says of itself.
//! - [`audit`] and [`dlq`] are for whoever relies on the system or is called when it fails; their [`target`] is a stack or
//!   an environment on AWS.
//! - [`keys`] are for whoever calls the API: the current key, and how it is replaced. [`bootstrap`] makes an account ready.
//! - [`duplicates`] keeps what is copied between repositories equal; [`verification`] is everything that CI runs.
//! - [`bench`] measures what the functions cost.
//! - [`cargo`], [`environment`], [`process`], [`progress`], [`private_file`] and [`digest`] serve the others.

pub mod audit;
pub mod aws;
pub mod bench;
pub mod bootstrap;
pub mod cargo;
pub mod cli;
pub mod commands;
pub mod digest;
pub mod dlq;
pub mod duplicates;
pub mod emulator;
pub mod environment;
pub mod keys;
pub mod packages;
pub mod prerequisites;
pub mod private_file;
pub mod process;
pub mod progress;
pub mod provision;
pub mod stack;
pub mod status;
pub mod table_text;
pub mod target;
pub mod terraform;
pub mod verification;
pub mod workspace;
