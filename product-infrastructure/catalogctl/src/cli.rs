//! The command line.

use clap::{Args, Parser, Subcommand};
use clap_verbosity_flag::{ErrorLevel, Verbosity};

use crate::audit;
use crate::bootstrap;
use crate::dlq;
use crate::keys;
use crate::logs;
use crate::products;
use crate::status;
use crate::target::{Resources, System};
use crate::trace;

/// Operate the product catalogue: its state, logs, audit log, dead-letter queues, API keys and files of products.
///
/// Works on an environment on AWS (--env dev, sit or prod) or on a local stack. Nothing is changed without --apply.
///
/// Exit codes: 0 success; 1 the command failed; 2 the command found something to look at; 130 interrupted; 141 standard
/// output was closed.
#[derive(Debug, Parser)]
#[command(name = "catalogctl", version, verbatim_doc_comment)]
pub struct Cli {
    #[command(flatten, next_help_heading = "Output")]
    pub color: colorchoice_clap::Color,
    /// Without -v errors are shown; -v adds the AWS SDK's warnings, -vv its requests.
    #[command(flatten)]
    pub verbosity: Verbosity<ErrorLevel>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    Status(status::Arguments),
    Logs(logs::Arguments),
    Trace(trace::Arguments),
    /// Read, verify, export and repair the audit log
    Audit(Audit),
    /// Inspect the dead-letter queues, and save, redrive or remove their messages
    Dlq(Dlq),
    /// Export or rotate the API key
    Keys(Keys),
    /// Import and export files of products
    Products(Products),
    Bootstrap(bootstrap::Arguments),
}

#[derive(Debug, Args)]
pub struct Audit {
    #[command(flatten)]
    pub resources: Resources,
    #[command(subcommand)]
    pub command: AuditCommand,
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    History(audit::history::Arguments),
    Verify(audit::verify::Arguments),
    Export(audit::export::Arguments),
    Report(audit::report::Arguments),
    Rebuild(audit::rebuild::Arguments),
    Repair(audit::repair::Arguments),
    Restore(audit::restore::Arguments),
}

#[derive(Debug, Args)]
pub struct Dlq {
    #[command(flatten)]
    pub resources: Resources,
    #[command(subcommand)]
    pub command: DlqCommand,
}

#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    Peek(dlq::peek::Arguments),
    Save(dlq::save::Arguments),
    Redrive(dlq::redrive::Arguments),
    Remove(dlq::remove::Arguments),
}

#[derive(Debug, Args)]
pub struct Keys {
    #[command(flatten)]
    pub system: System,
    #[command(subcommand)]
    pub command: KeysCommand,
}

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    Export(keys::export::Arguments),
    Rotate(keys::rotate::Arguments),
}

#[derive(Debug, Args)]
pub struct Products {
    #[command(flatten)]
    pub system: System,
    #[command(subcommand)]
    pub command: ProductsCommand,
}

#[derive(Debug, Subcommand)]
pub enum ProductsCommand {
    Import(products::import::Arguments),
    Export(products::export::Arguments),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn environment_and_local_stack_exclude_each_other() {
        let both = ["catalogctl", "audit", "verify", "--env", "dev", "--local", "stack.json"];
        assert!(Cli::try_parse_from(both).is_err());
    }

    #[test]
    fn accepts_only_known_environments() {
        for env in ["dev", "sit", "prod"] {
            assert!(Cli::try_parse_from(["catalogctl", "audit", "verify", "--env", env]).is_ok(), "{env}");
        }
        for env in ["qa", "production", "Prod", ""] {
            assert!(Cli::try_parse_from(["catalogctl", "audit", "verify", "--env", env]).is_err(), "{env}");
        }
    }
}
