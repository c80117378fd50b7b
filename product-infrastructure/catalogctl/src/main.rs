//! The entry point: parse, run, and turn a failure into one message and an exit code.

use std::process::ExitCode;

use catalogctl::cli::Cli;
use catalogctl::commands;
use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // A closed terminal is no reason to fail otherwise.
            let _ = error.print();
            // Not 2, which several commands end with when they have found something.
            return if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
        }
    };
    // Every command may be dropped anywhere: what it had begun is there or not, and is safe to begin again.
    tokio::select! {
        outcome = commands::run(cli) => match outcome {
            Ok(code) => code,
            Err(error) => {
                eprintln!("\nerror: {error:#}");
                ExitCode::FAILURE
            }
        },
        () = interruption() => {
            eprintln!("Interrupted.");
            ExitCode::from(130)
        }
    }
}

/// Completes when the user or the system asks this program to end.
async fn interruption() {
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut stream) => {
                stream.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}
