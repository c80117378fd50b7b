//! `cargo xtask`: runs, tests and changes the product catalogue on a developer's machine.
//!
//! The crate's map, from the outside in:
//!
//! - [`cli`] is what can be typed, [`commands`] what each of it does.
//! - [`workspace`] knows the repositories and where run-time files lie; [`stack`] is one local stack below it.
//! - Bringing a stack up takes [`prerequisites`], the [`emulator`], [`packages`] of the functions and [`terraform`],
//!   whose provider [`provider_mirror`] finds;
//!   [`provision`] puts them in order, [`local_aws`] makes the few calls that Terraform doesn't, and [`status`] is the
//!   stack's status.
//! - [`duplicates`] keeps what is copied between repositories equal; [`verification`] is everything that CI runs.
//! - [`new_function`] makes a repository after an existing one.
//! - [`reference`] writes the API reference.
//! - [`chaos`] makes a running stack's parts fail under load, [`rehearse`] the one that makes an alarm ring;
//!   [`function_processes`] finds the functions' processes for both.
//! - [`companions`] builds and starts the workspace's other programs, `catalogctl` and `bench`.
//! - [`cargo`], [`environment`], [`process`], [`progress`], [`private_file`] and [`digest`] serve the others.

pub mod cargo;
pub mod chaos;
pub mod cli;
pub mod commands;
pub mod companions;
pub mod digest;
pub mod duplicates;
pub mod emulator;
pub mod environment;
pub mod fault_record;
pub mod function_processes;
pub mod git;
pub mod local_aws;
pub mod new_function;
pub mod node;
pub mod packages;
pub mod prerequisites;
pub mod private_file;
pub mod process;
pub mod progress;
pub mod provider_mirror;
pub mod provision;
pub mod reference;
pub mod rehearse;
pub mod stack;
pub mod status;
pub mod terraform;
pub mod verification;
pub mod workspace;
