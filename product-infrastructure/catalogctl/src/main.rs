//! The entry point: parses the command line, runs the command, and reports a failure with an exit code.

use std::io::Write;

use catalogctl::cli::Cli;
use catalogctl::commands;
use catalogctl::exit_status::ExitStatus;
use catalogctl::output::OutputError;
use catalogctl::printable::printable;
use catalogctl::progress::Progress;
use clap::Parser;
use clap::builder::styling::{AnsiColor, Style};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::filter::LevelFilter;

const ERROR: Style = AnsiColor::Red.on_default().bold();

#[tokio::main]
async fn main() -> ExitStatus {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return print_usage(&error),
    };
    cli.color.write_global();
    log_sdk(cli.verbosity.tracing_level_filter());
    let progress = if cli.verbosity.is_silent() { Progress::hidden() } else { Progress::new() };
    // A command may be dropped anywhere: each of its steps is safe to repeat.
    tokio::select! {
        result = commands::run(cli.command, &progress) => result.unwrap_or_else(|error| report(&error)),
        () = interruption() => {
            complain("Interrupted.");
            ExitStatus::Interrupted
        }
    }
}

/// Help, version and usage errors. Usage errors end with 1, since 2 means that a command found something.
fn print_usage(error: &clap::Error) -> ExitStatus {
    let printed = error.print().and_then(|()| std::io::stdout().flush());
    match printed.map_err(OutputError::from) {
        Ok(()) if !error.use_stderr() => ExitStatus::Success,
        Ok(()) => ExitStatus::Failure,
        Err(error) => report(&error.into()),
    }
}

fn report(error: &anyhow::Error) -> ExitStatus {
    if let Some(OutputError::Closed) = error.downcast_ref() {
        return ExitStatus::OutputClosed;
    }
    complain(&format!("{ERROR}error:{ERROR:#} {}", printable(&format!("{error:#}"))));
    ExitStatus::Failure
}

/// A line on standard error, with colours where they are wanted. A closed terminal must not cause a panic.
fn complain(line: &str) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

/// The AWS SDK's log on standard error. Request bodies are not in it at any level this sets.
fn log_sdk(level: LevelFilter) {
    let logger = tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_target(true);
    logger.init();
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
