//! Results, on standard output. Progress and errors go to standard error, see [`crate::progress`].

use std::io::{self, Write};

use serde::Serialize;
use thiserror::Error;

use crate::printable::{printable, printable_json};

/// Standard output couldn't be written.
#[derive(Debug, Error)]
pub enum OutputError {
    /// Its reader has gone, as `head` does after ten lines. Nobody is left who wants to know.
    #[error("standard output was closed")]
    Closed,
    #[error("failed to write to standard output")]
    Failed(#[source] io::Error),
}

impl From<io::Error> for OutputError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Failed(error),
        }
    }
}

/// Prints text for people, with a final line feed. Characters that a terminal would act upon are escaped.
pub fn print(text: &str) -> Result<(), OutputError> {
    write_line(&printable(text))
}

/// Prints a result as one JSON document.
pub fn print_json(result: &impl Serialize) -> Result<(), OutputError> {
    let json = serde_json::to_string_pretty(result).expect("results have string keys and serialise");
    write_line(&printable_json(&json))
}

fn write_line(line: &str) -> Result<(), OutputError> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}")?;
    // A full disk may only be noticed here.
    Ok(stdout.flush()?)
}
