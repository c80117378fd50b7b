//! `catalogctl`: operates the product catalogue, from any folder.
//!
//! The crate's map, from the outside in:
//!
//! - [`cli`] is the command line, [`commands`] dispatches; [`exit_status`] lists the exit codes.
//! - A command works on a [`target`]: an environment on AWS, or a developer's [`local_stack`].
//! - [`audit`] reads, verifies and repairs the audit log, [`dlq`] the dead-letter queues, [`keys`] the API key;
//!   [`products`] imports and exports files of products, [`bootstrap`] prepares an account; [`status`] says whether
//!   somebody should look, [`logs`] shows log lines, [`trace`] follows a change.
//! - They read and write through [`audit_bucket`], [`products_table`] and [`queue`], at a limited [`rate`]. [`aws`] makes
//!   the clients and explains their errors; [`aws_json`] calls the services that have no SDK crate here.
//! - [`output`] prints results and [`progress`] what is going on; [`printable`], [`spreadsheet`],
//!   [`table_text`] and [`timestamp`] format them.
//!   [`private_file`] writes secrets.

pub mod audit;
pub mod audit_bucket;
pub mod aws;
pub mod aws_json;
pub mod bootstrap;
pub mod cli;
pub mod commands;
pub mod dlq;
pub mod exit_status;
pub mod keys;
pub mod local_stack;
pub mod logs;
pub mod output;
pub mod printable;
pub mod private_file;
pub mod products;
pub mod products_table;
pub mod progress;
pub mod queue;
pub mod rate;
pub mod spreadsheet;
pub mod status;
pub mod table_text;
pub mod target;
pub mod timestamp;
pub mod trace;
