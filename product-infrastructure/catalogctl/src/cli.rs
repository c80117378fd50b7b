//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::audit;
use crate::bootstrap;
use crate::dlq;
use crate::keys;
use crate::target::{self, Place};

/// Operates the product catalogue.
#[derive(Debug, Parser)]
#[command(name = "catalogctl", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read, verify, export and repair the audit log.
    Audit(Audit),
    /// Look into the dead-letter queues, and send their messages again.
    Dlq(Dlq),
    /// Fetch the API key, or replace it.
    Keys(Keys),
    /// Make an account ready for Terraform; once, by an administrator.
    Bootstrap(bootstrap::Arguments),
}

#[derive(Debug, Args)]
pub struct Audit {
    #[command(flatten)]
    pub place: Place,
    #[command(subcommand)]
    pub command: AuditCommand,
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    History(audit::history::Arguments),
    Verify(audit::verify::Arguments),
    Export(audit::export::Arguments),
    Rebuild(audit::rebuild::Arguments),
    Repair(audit::repair::Arguments),
}

#[derive(Debug, Args)]
pub struct Dlq {
    #[command(flatten)]
    pub place: Place,
    #[command(subcommand)]
    pub command: DlqCommand,
}

#[derive(Debug, Subcommand)]
pub enum DlqCommand {
    Peek(dlq::peek::Arguments),
    Redrive(dlq::redrive::Arguments),
}

#[derive(Debug, Args)]
pub struct Keys {
    /// The environment on AWS (dev, sit, prod). Account, region and credentials are those of the SDK's ordinary
    /// configuration: AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, … Without it: the local stack.
    #[arg(long, env = "CATALOGUE_ENV", value_name = "ENV", value_parser = target::environment, global = true)]
    pub env: Option<String>,
    /// The local stack: the file that `cargo xtask up` writes. Without it, `.catalogue/stack.json` in this folder or one
    /// above it.
    #[arg(long, env = "CATALOGUE_LOCAL", value_name = "FILE", conflicts_with = "env", global = true)]
    pub local: Option<PathBuf>,
    #[command(subcommand)]
    pub command: KeysCommand,
}

impl Keys {
    pub fn place(&self) -> Place {
        Place { env: self.env.clone(), local: self.local.clone(), ..Place::default() }
    }
}

#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    Export(keys::export::Arguments),
    Rotate(keys::rotate::Arguments),
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn an_environment_and_a_local_stack_exclude_each_other() {
        let both = ["catalogctl", "audit", "verify", "--env", "dev", "--local", "stack.json"];
        assert!(Cli::try_parse_from(both).is_err());
    }
}
