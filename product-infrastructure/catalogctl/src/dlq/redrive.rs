//! `catalogctl dlq redrive`: sends the messages of a dead-letter queue back to their source queue.
//!
//! SQS has StartMessageMoveTask for this. It isn't used, because it also moves messages that can only fail again, doesn't
//! move messages that a topic sent unless it is given a destination, and has no dry run.
//!
//! A message is sent before it is deleted: an interruption in between leaves a duplicate, which is harmless, instead of
//! losing the message. A late redrive is harmless too: product-creator recognises a recorded change by its event ID and
//! journals an overtaken one as superseded, and audit-logger compares with the object that exists.

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;

use super::peek::{DeadLetter, DeadLetters};
use crate::exit_status::ExitStatus;
use crate::output;
use crate::progress::{Meter, Progress};
use crate::queue::{Message, Queue};
use crate::rate::Rate;
use crate::target::Target;

/// Send the messages of a dead-letter queue back to their source queue (default: dry run)
///
/// Messages that are malformed or invalid stay in the dead-letter queue, because they would fail again, unless
/// --include-unreadable is given. Late and repeated redrives are harmless: a change that was recorded is recognised by its
/// event ID, and a change that a newer one has overtaken is recorded as superseded.
///
/// Exit codes: 0 every message was sent (dry run: would be sent); 1 the command failed; 2 some messages were left, or a
/// message that --message names wasn't found.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Dead-letter queue: change or audit
    #[arg(value_name = "change|audit")]
    pub queue: DeadLetters,
    /// Apply the changes (default: dry run)
    #[arg(long)]
    pub apply: bool,
    /// Maximum number of messages to send per second
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rate: u32,
    /// Maximum number of messages to send (default: all)
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Send only the message with this ID, as `dlq peek` shows it; can be repeated
    #[arg(long = "message", value_name = "ID", conflicts_with = "limit")]
    pub messages: Vec<String>,
    /// Also send malformed and invalid messages, such as after the release of a function that can read them
    #[arg(long)]
    pub include_unreadable: bool,
    /// Print the output as JSON
    #[arg(long)]
    pub json: bool,
}

/// The result of a redrive or of its dry run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Redriven {
    pub from: String,
    pub to: String,
    pub applied: bool,
    pub sent: Vec<DeadLetter>,
    pub left: Vec<DeadLetter>,
    /// IDs of --message that the queue doesn't have.
    pub not_found: Vec<String>,
}

/// Redrives the messages and prints the result.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let redriven = redrive(target, arguments, progress).await?;
    if arguments.json {
        output::print_json(&redriven)?;
    } else {
        output::print(&text(&redriven))?;
    }
    let complete = redriven.left.is_empty() && redriven.not_found.is_empty();
    Ok(if complete { ExitStatus::Success } else { ExitStatus::NeedsAttention })
}

/// Reads the dead-letter queue once from beginning to end.
pub async fn redrive(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<Redriven> {
    let source = match arguments.queue {
        DeadLetters::Change => "change",
        DeadLetters::Audit => "audit",
        DeadLetters::Events => bail!(
            "the events dead-letter queue can't be redriven: its messages are positions in the table's stream. Run \
             `catalogctl audit repair` to write the missing records"
        ),
    };
    let dead = arguments.queue.queue(target).await?;
    let source = Queue::new(target.sqs(), target.queue_url(source).await?, target.queue_name(source));
    let action = if arguments.apply { "redrive" } else { "read" };
    let step = progress.step(format!("{action} {}", dead.name));
    let mut run = Run {
        target,
        arguments,
        dead: &dead,
        source: &source,
        rate: Rate::per_second(arguments.rate),
        meter: step.meter(),
        kept: Vec::new(),
        sent: Vec::new(),
        left: Vec::new(),
    };
    let result = run.read_queue().await;
    dead.release(&run.kept).await;
    let (sent, left) = (run.sent, run.left);
    if let Err(error) = result {
        return Err(error.context(format!("failed after {} messages were sent", sent.len())));
    }
    step.done(format!("{} {}, {} left", sent.len(), if arguments.apply { "sent" } else { "to send" }, left.len()));
    let found = |id: &String| sent.iter().chain(&left).any(|letter| letter.message_id == *id);
    let not_found = arguments.messages.iter().filter(|id| !found(id)).cloned().collect();
    Ok(Redriven { from: dead.name.clone(), to: source.name.clone(), applied: arguments.apply, sent, left, not_found })
}

/// One pass through a dead-letter queue.
struct Run<'a> {
    target: &'a Target,
    arguments: &'a Arguments,
    dead: &'a Queue,
    source: &'a Queue,
    rate: Rate,
    meter: Meter,
    /// Received, and to be made visible again.
    kept: Vec<Message>,
    sent: Vec<DeadLetter>,
    left: Vec<DeadLetter>,
}

impl Run<'_> {
    async fn read_queue(&mut self) -> Result<()> {
        while !self.is_complete() {
            let received = self.dead.receive().await?;
            let (new, again): (Vec<_>, Vec<_>) =
                received.into_iter().partition(|message| self.kept.iter().all(|kept| kept.id != message.id));
            // A kept message is visible again, so every message has been seen.
            self.kept.extend(again);
            if new.is_empty() {
                return Ok(());
            }
            self.redrive_batch(new).await?;
            self.meter.now(format!("{} messages", self.sent.len() + self.left.len()));
        }
        Ok(())
    }

    fn is_complete(&self) -> bool {
        let named = &self.arguments.messages;
        self.arguments.limit.is_some_and(|limit| self.sent.len() >= limit)
            || !named.is_empty() && self.sent.len() + self.left.len() >= named.len()
    }

    fn is_chosen(&self, message: &Message) -> bool {
        self.arguments.messages.is_empty() || self.arguments.messages.contains(&message.id)
    }

    async fn redrive_batch(&mut self, received: Vec<Message>) -> Result<()> {
        let mut chosen = Vec::new();
        let (named, others): (Vec<_>, Vec<_>) = received.into_iter().partition(|message| self.is_chosen(message));
        self.kept.extend(others);
        for message in named {
            let diagnosis = self.arguments.queue.diagnose(self.target, &message).await;
            let may_succeed = diagnosis.kind.is_hopeful() || self.arguments.include_unreadable;
            let below_limit = self.arguments.limit.is_none_or(|limit| self.sent.len() + chosen.len() < limit);
            let letter = DeadLetter::new(&message, diagnosis);
            match (may_succeed, below_limit) {
                (true, true) => chosen.push((message, letter)),
                (true, false) => self.kept.push(message),
                (false, _) => {
                    self.kept.push(message);
                    self.left.push(letter);
                }
            }
        }
        if !self.arguments.apply {
            let (messages, letters): (Vec<_>, Vec<_>) = chosen.into_iter().unzip();
            self.kept.extend(messages);
            self.sent.extend(letters);
            return Ok(());
        }
        let mut chosen = chosen.into_iter().peekable();
        while chosen.peek().is_some() {
            let batch: Vec<_> = chosen.by_ref().take(self.rate.batch_size()).collect();
            self.send(batch).await?;
        }
        Ok(())
    }

    async fn send(&mut self, batch: Vec<(Message, DeadLetter)>) -> Result<()> {
        self.rate.wait(batch.len()).await;
        let messages: Vec<&Message> = batch.iter().map(|(message, _)| message).collect();
        let accepted = self.source.send(&messages).await?;
        if !accepted.is_empty() {
            self.dead.delete(&accepted).await?;
        }
        let accepted: Vec<String> = accepted.into_iter().map(|message| message.id.clone()).collect();
        for (message, letter) in batch {
            if accepted.contains(&message.id) {
                self.sent.push(letter);
            } else {
                self.left.push(letter);
                self.kept.push(message);
            }
        }
        Ok(())
    }
}

fn text(redriven: &Redriven) -> String {
    let Redriven { from, to, applied, sent, left, not_found } = redriven;
    let mut text = String::new();
    for message in sent.iter().filter(|_| !applied) {
        text.push_str(&format!("TO SEND  {}", message.text()));
    }
    for message in left {
        text.push_str(&format!("LEFT  {}", message.text()));
    }
    for id in not_found {
        text.push_str(&format!("NOT FOUND  {id}\n"));
    }
    let (sent, left) = (sent.len(), left.len());
    text + &match applied {
        true => format!("Sent from {from} to {to}: {sent}. Left: {left}."),
        false => {
            format!("Dry run: no changes made. To send from {from} to {to}: {sent}. Left: {left}. Re-run with --apply.")
        }
    }
}
