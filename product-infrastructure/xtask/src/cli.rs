//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::stack::DEFAULT_STACK;

/// Run, test and change the product catalogue on this machine
#[derive(Debug, Parser)]
#[command(name = "xtask", bin_name = "cargo xtask", version)]
pub struct Cli {
    /// Local stack to work on; each has its own port and data
    #[arg(long, global = true, env = "CATALOGUE_STACK", hide_env_values = true, default_value = DEFAULT_STACK, value_name = "NAME", value_parser = stack_name)]
    pub stack: String,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the local system; Ctrl-C stops it and keeps its data
    Up(Up),
    /// Stop the local system and keep its data
    Down(Down),
    /// Show the local system's status
    Status(Status),
    /// Plan every Terraform root against the running stack; fails if a plan has changes
    Plan,
    /// Destroy all resources of the running stack with Terraform, as for an environment
    Destroy,
    /// Build one function and release it to the running stack
    Deploy(Deploy),
    /// Compare the duplicated files of the repositories
    Drift,
    /// Copy a duplicated file from one repository to the others that have it
    Sync(Sync),
    /// Create a function's repository from an existing one, without its business.
    NewFunction(NewFunction),
    /// Write the API reference as one page that works offline, and print its path
    Docs,
    /// Run every check that CI runs
    Test(Test),
    /// Benchmark the release builds of the functions
    #[command(disable_help_flag = true)]
    Bench(Bench),
    /// Make calls on the running stack while its parts fail, then look for every accepted change
    ///
    /// In turn, functions are killed, the events pipe is stopped, the audit bucket refuses objects, and AWS is stopped and
    /// started. Afterwards everything is undone. Stops by itself and touches only this machine. Linux only.
    Chaos(Chaos),
    /// Make an alarm of the running stack ring, print its runbook, and repair the fault
    ///
    /// For each alarm a fault is made and repaired on the running stack, also when the command is interrupted. If it is killed,
    /// the next `rehearse` or `up` repairs the fault. Meanwhile time passes 60 times faster for alarms: three periods of five
    /// minutes take 15 s. Touches only this machine. Linux only.
    Rehearse(Rehearse),
}

#[derive(Debug, Args)]
pub struct Rehearse {
    /// Alarms to rehearse, as --list names them
    #[arg(value_name = "ALARM", required_unless_present_any = ["list", "all"])]
    pub alarms: Vec<String>,
    /// List the alarms with their faults and exit
    #[arg(long)]
    pub list: bool,
    /// Rehearse all alarms, one after the other
    #[arg(long, conflicts_with = "alarms")]
    pub all: bool,
    /// Keep each fault until Ctrl-C, to walk the runbook
    #[arg(long)]
    pub hold: bool,
}

#[derive(Debug, Args)]
pub struct Chaos {
    /// Duration of the load in seconds
    #[arg(long, default_value_t = 300, value_name = "N", value_parser = clap::value_parser!(u64).range(30..=3_600))]
    pub seconds: u64,
}

#[derive(Debug, Args)]
pub struct Bench {
    /// Arguments of the benchmark; see `cargo xtask bench --help`
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGUMENTS")]
    pub arguments: Vec<OsString>,
}

#[derive(Debug, Args)]
pub struct Up {
    /// Run the system in the background
    #[arg(long)]
    pub detach: bool,
    /// Build the functions with the release profile: smaller and faster, but slow to compile
    #[arg(long)]
    pub release: bool,
    /// Loopback port (default: the last one used, or 4566)
    #[arg(long, env = "CATALOGUE_PORT", hide_env_values = true)]
    pub port: Option<u16>,
}

#[derive(Debug, Args)]
pub struct Down {
    /// Also delete the stack's data
    #[arg(long)]
    pub purge: bool,
}

#[derive(Debug, Args)]
pub struct Status {
    /// Print the output as JSON, including the API key
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Deploy {
    /// Repository of the function, such as `list-products`
    pub repository: String,
    /// Build it with the release profile
    #[arg(long)]
    pub release: bool,
}

#[derive(Debug, Args)]
pub struct Sync {
    /// Path of the file within its repository
    pub file: PathBuf,
    /// Repository to copy from
    #[arg(long, value_name = "REPO")]
    pub from: String,
}

#[derive(Debug, Args)]
pub struct NewFunction {
    /// Name of the repository and of its function
    pub name: String,
    /// Repository to copy: one behind the API or one behind a queue
    #[arg(long, value_name = "REPOSITORY")]
    pub like: String,
    /// Folder to create the repository in (default: beside the others)
    #[arg(long, value_name = "FOLDER")]
    pub into: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Test {
    /// Run only the checks whose name contains TEXT; may be repeated
    #[arg(long, value_name = "TEXT")]
    pub only: Vec<String>,
    /// List the checks and exit
    #[arg(long)]
    pub list: bool,
    /// Run the long form of the fault tests, which takes about 20 minutes more
    #[arg(long)]
    pub long: bool,
}

/// A stack's name is also a folder's name.
fn stack_name(text: &str) -> Result<String, String> {
    let valid = !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if valid { Ok(text.to_owned()) } else { Err("must contain only lower-case letters, digits and hyphens".to_owned()) }
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
    fn rejects_stack_name_with_path() {
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
