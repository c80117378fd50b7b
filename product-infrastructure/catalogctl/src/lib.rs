//! `catalogctl`: operates the product catalogue, from any folder.
//!
//! The crate's map, from the outside in:
//!
//! - [`cli`] is what can be typed, [`commands`] what each of it does.
//! - A command works on a [`target`]: an environment on AWS, or the [`local_stack`] of a developer.
//! - [`audit`] and [`dlq`] are for whoever relies on the system or is called when it fails.
//! - [`keys`] are for whoever calls the API: the current key, and how it is replaced. [`bootstrap`] makes an account ready.
//! - [`aws`], [`progress`], [`private_file`] and [`table_text`] serve the others.

pub mod audit;
pub mod aws;
pub mod bootstrap;
pub mod cli;
pub mod commands;
pub mod dlq;
pub mod keys;
pub mod local_stack;
pub mod private_file;
pub mod progress;
pub mod table_text;
pub mod target;
