//! The entry point: parse, run, and turn a failure into one message and an exit code.

use std::process::ExitCode;

use bench::Arguments;
use bench::progress::Progress;
use bench::tree::Tree;
use clap::Parser;

/// Measures the functions as they are shipped.
#[derive(Debug, Parser)]
#[command(name = "bench", bin_name = "cargo xtask bench", version)]
struct Cli {
    #[command(flatten)]
    arguments: Arguments,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = match Tree::find() {
        Ok(tree) => bench::run(&tree, &cli.arguments, &Progress::new()).await,
        Err(error) => Err(error),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("\nerror: {error:#}");
        ExitCode::FAILURE
    })
}
