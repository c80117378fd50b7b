//! `catalogctl dlq save`: writes the messages of a dead-letter queue to a file.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::Args;

use super::peek::{DeadLetter, DeadLetters, read};
use crate::exit_status::ExitStatus;
use crate::private_file;
use crate::progress::Progress;
use crate::target::Target;

/// Write the messages of a dead-letter queue to a file, and leave them in the queue
///
/// A line is a message as JSON, with its diagnosis and its body, as `dlq peek --json` shows it. SQS deletes a message after
/// 14 days, also from a dead-letter queue: save what must be investigated longer.
///
/// Exit codes: 0 each message was written; 1 the command failed.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Dead-letter queue
    #[arg(value_name = "change|audit|events")]
    pub queue: DeadLetters,
    /// File to create, readable by its owner only
    pub file: PathBuf,
}

/// Saves the messages.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let Arguments { queue, file } = arguments;
    private_file::require_new(file)?;
    let dead = queue.queue(target).await?;
    let letters = read(target, *queue, &dead, usize::MAX, progress).await?;
    write(file, &letters)?;
    progress.say(format!("Messages of {} written to {}: {}", dead.name, file.display(), letters.len()));
    Ok(ExitStatus::Success)
}

/// Creates the file, a line for each message.
pub fn write(file: &Path, letters: &[DeadLetter]) -> Result<()> {
    let lines: Result<Vec<String>, _> = letters.iter().map(serde_json::to_string).collect();
    let lines = lines.context("failed to write a message as JSON")?;
    private_file::create(file, &lines.into_iter().map(|line| line + "\n").collect::<String>())
}
