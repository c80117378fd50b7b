//! What can be typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::stack::DEFAULT_STACK;

/// Runs, tests and changes the product catalogue on this machine.
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version)]
pub struct Cli {
    /// The local stack to work on: each has its own port and data.
    #[arg(long, global = true, env = "CATALOGUE_STACK", default_value = DEFAULT_STACK, value_name = "NAME", value_parser = stack_name)]
    pub stack: String,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the whole system on this machine; Ctrl-C stops it, its data stays.
    Up(Up),
    /// Stop the local system; its data stays unless purged.
    Down(Down),
    /// Say whether the local system runs, and where.
    Status(Status),
    /// Plan every Terraform root against the running stack; fails when one would change something.
    Plan,
    /// Take everything on the running stack down with Terraform, as one would take down an environment.
    Destroy,
    /// Build one function and release it to the running stack.
    Deploy(Deploy),
    /// Compare the files that several repositories hold copies of.
    Drift,
    /// Copy a duplicated file from one repository to the others that hold it.
    Sync(Sync),
    /// Everything CI runs.
    Test(Test),
    /// Measure the functions as they are shipped; `bench --help` says what, and how.
    #[command(disable_help_flag = true)]
    Bench(Bench),
}

#[derive(Debug, Args)]
pub struct Bench {
    /// What is handed to the benchmark.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct Up {
    /// Leave the system running in the background.
    #[arg(long)]
    pub detach: bool,
    /// Build the functions as they are shipped: smaller and faster, but slow to compile.
    #[arg(long)]
    pub release: bool,
    /// Loopback port (default: the last one used, or 4566)
    #[arg(long, env = "CATALOGUE_PORT")]
    pub port: Option<u16>,
}

#[derive(Debug, Args)]
pub struct Down {
    /// Delete the stack's data too.
    #[arg(long)]
    pub purge: bool,
}

#[derive(Debug, Args)]
pub struct Status {
    /// One JSON object, the API key included.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Deploy {
    /// The function's repository, for example `list-products`.
    pub repository: String,
    /// Build it as it is shipped.
    #[arg(long)]
    pub release: bool,
}

#[derive(Debug, Args)]
pub struct Sync {
    /// The file, as a path inside its repository.
    pub file: PathBuf,
    /// The repository whose copy is right.
    #[arg(long, value_name = "REPO")]
    pub from: String,
}

#[derive(Debug, Args)]
pub struct Test {
    /// Only the steps whose name contains this; may be repeated.
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,
    /// Name the steps and stop.
    #[arg(long)]
    pub list: bool,
    /// Try faults in their long form: some 20 minutes more.
    #[arg(long)]
    pub long: bool,
}

/// A stack's name becomes a folder's name.
fn stack_name(text: &str) -> Result<String, String> {
    let valid = !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if valid { Ok(text.to_owned()) } else { Err("lower-case letters, digits and hyphens only".to_owned()) }
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
    fn a_stack_name_cannot_leave_its_folder() {
        for name in ["", "../x", "a/b", "A", "a b"] {
            assert!(Cli::try_parse_from(["xtask", "--stack", name, "status"]).is_err(), "{name:?}");
        }
        let cli = Cli::try_parse_from(["xtask", "status", "--stack", "test-2"]).unwrap();
        assert_eq!(cli.stack, "test-2");
    }

    #[test]
    fn hands_every_argument_to_bench() {
        let cli = Cli::try_parse_from(["xtask", "bench", "--only", "get-product", "--help"]).unwrap();
        let Command::Bench(bench) = cli.command else { panic!("bench") };
        assert_eq!(bench.arguments, ["--only", "get-product", "--help"]);
    }
}
