//! `catalogctl dlq remove`: deletes messages from a dead-letter queue for good, after they are saved.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use super::peek::{DeadLetter, DeadLetters, receive};
use super::save;
use crate::exit_status::ExitStatus;
use crate::output;
use crate::private_file;
use crate::progress::{Meter, Progress};
use crate::queue::{MAX_BATCH, Message, Queue};
use crate::target::Target;

/// Delete messages from a dead-letter queue for good (default: dry run)
///
/// For messages that can never succeed. What they requested won't be done: inform whoever sent them. The messages are first
/// written to the file of --save, as by `dlq save`.
///
/// Exit codes: 0 each message was deleted (dry run: would be deleted); 1 the command failed; 2 a message wasn't found.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Dead-letter queue
    #[arg(value_name = "change|audit|events")]
    pub queue: DeadLetters,
    /// ID of a message to delete, as `dlq peek` shows it; can be repeated
    #[arg(long = "message", value_name = "ID", required = true)]
    pub messages: Vec<String>,
    /// File to create for the messages, readable by its owner only
    #[arg(long, value_name = "FILE")]
    pub save: PathBuf,
    /// Apply the changes (default: dry run)
    #[arg(long)]
    pub apply: bool,
    /// Print the output as JSON
    #[arg(long)]
    pub json: bool,
}

/// The result of a removal or of its dry run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    pub from: String,
    pub applied: bool,
    pub removed: Vec<DeadLetter>,
    /// IDs that the queue doesn't have.
    pub not_found: Vec<String>,
}

/// Removes the messages and prints the result.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    private_file::require_new(&arguments.save)?;
    let dead = arguments.queue.queue(target).await?;
    let step = progress.step(format!("read {}", dead.name));
    let mut messages = Vec::new();
    let removed = remove(target, arguments, &dead, &mut messages, &step.meter()).await;
    // The deleted ones among them are unknown to SQS, which changes nothing.
    dead.release(&messages).await;
    let removed = removed?;
    step.done(format!("{} messages", removed.removed.len()));
    if arguments.json {
        output::print_json(&removed)?;
    } else {
        output::print(&text(&removed, arguments))?;
    }
    Ok(if removed.not_found.is_empty() { ExitStatus::Success } else { ExitStatus::NeedsAttention })
}

async fn remove(
    target: &Target,
    arguments: &Arguments,
    dead: &Queue,
    messages: &mut Vec<Message>,
    meter: &Meter,
) -> Result<Removed> {
    let wanted = &arguments.messages;
    let has_all = |messages: &[Message]| wanted.iter().all(|id| messages.iter().any(|message| message.id == *id));
    receive(dead, messages, has_all, meter).await?;
    let found: Vec<&Message> = messages.iter().filter(|message| wanted.contains(&message.id)).collect();
    let mut letters = Vec::with_capacity(found.len());
    for message in &found {
        letters.push(DeadLetter::new(message, arguments.queue.diagnose(target, message).await));
    }
    if arguments.apply && !found.is_empty() {
        save::write(&arguments.save, &letters)?;
        for batch in found.chunks(MAX_BATCH) {
            let saved = || format!("the messages are saved in {}, but not all are deleted", arguments.save.display());
            dead.delete(batch).await.with_context(saved)?;
        }
    }
    let not_found = wanted.iter().filter(|id| found.iter().all(|message| message.id != **id)).cloned().collect();
    Ok(Removed { from: dead.name.clone(), applied: arguments.apply, removed: letters, not_found })
}

fn text(removed: &Removed, arguments: &Arguments) -> String {
    let Removed { from, applied, removed: letters, not_found } = removed;
    let mut text: String = letters.iter().map(DeadLetter::text).collect();
    text.extend(not_found.iter().map(|id| format!("NOT FOUND  {id}\n")));
    let count = letters.len();
    text + &match applied {
        true => format!("Deleted from {from}: {count}. Saved in {}.", arguments.save.display()),
        false => format!("Dry run: no changes made. To delete from {from}: {count}. Re-run with --apply."),
    }
}
