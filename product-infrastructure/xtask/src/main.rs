//! The entry point: parse, run, and turn a failure into one message and an exit code.

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use xtask::cli::Cli;
use xtask::{commands, process};

/// How long an interrupted command may take to leave things in order: Terraform writes its state before it ends.
const ORDERLY_END: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed terminal must not change the exit code.
            let _ = error.print();
            // Not 2, which several commands end with when they have found something.
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    let mut command = pin!(commands::run(cli));
    let outcome = tokio::select! {
        outcome = &mut command => outcome,
        () = process::signal() => {
            process::interrupt();
            // A second signal, or a minute, ends the patience.
            tokio::select! {
                outcome = &mut command => outcome,
                () = process::signal() => { process::kill(); return ExitCode::from(130) }
                () = tokio::time::sleep(ORDERLY_END) => { process::kill(); return ExitCode::from(130) }
            }
        }
    };
    match outcome {
        Ok(code) => code,
        Err(_) if process::is_interrupted() => {
            eprintln!("Interrupted.");
            ExitCode::from(130)
        }
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}
