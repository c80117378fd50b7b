//! `catalogctl dlq peek`: the messages of a dead-letter queue, and why each failed.

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;

use super::diagnosis::{self, Diagnosis};
use crate::exit_status::ExitStatus;
use crate::output;
use crate::progress::{Meter, Progress};
use crate::queue::{Message, Queue};
use crate::target::Target;
use crate::timestamp;

/// Show the messages of a dead-letter queue and why each failed
///
/// SQS doesn't keep a reason, so each message is validated again with the contract's schemas, and looked up in the table
/// or the audit bucket. Nothing is changed. A message that was moved from another queue was attempted five times there;
/// SQS's own count isn't shown, because it also counts each look.
///
/// Exit codes: 0 the queue is empty; 1 the command failed; 2 the queue has messages.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Dead-letter queue
    #[arg(value_name = "change|audit|events")]
    pub queue: DeadLetters,
    /// Maximum number of messages to show
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// Print the output as JSON, with the messages' bodies
    #[arg(long)]
    pub json: bool,
}

/// Receives after which SQS moves a message to a dead-letter queue (`maxReceiveCount` in terraform/queues.tf).
const ATTEMPTS: u64 = 5;

/// The dead-letter queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeadLetters {
    /// Changes that product-creator failed to apply
    Change,
    /// Stream records that audit-logger failed to write, or that the topic failed to deliver
    Audit,
    /// Positions in the table's stream that the pipe failed to publish; recover their records with `audit repair`
    Events,
}

impl DeadLetters {
    /// As in the queue's full name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Change => "change-dlq",
            Self::Audit => "audit-dlq",
            Self::Events => "events-dlq",
        }
    }

    /// The queue in a system.
    pub async fn queue(self, target: &Target) -> Result<Queue> {
        let url = target.queue_url(self.name()).await?;
        Ok(Queue::new(target.sqs(), url, target.queue_name(self.name())))
    }

    /// Why a message of this queue failed.
    pub async fn diagnose(self, target: &Target, message: &Message) -> Diagnosis {
        match self {
            Self::Change => diagnosis::of_change(&message.body, &target.products()).await,
            Self::Audit => diagnosis::of_stream_record(&message.body, &target.audit_bucket()).await,
            Self::Events => diagnosis::of_position(&message.body),
        }
    }
}

/// A message with its diagnosis.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    pub message_id: String,
    /// When it was first sent, RFC 3339.
    pub sent_at: String,
    /// Attempts of the consumer of `moved_from`; absent with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u64>,
    /// The queue that it was moved from; absent for messages that a topic or a pipe sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moved_from: Option<String>,
    #[serde(flatten)]
    pub diagnosis: Diagnosis,
    pub body: String,
}

impl DeadLetter {
    pub fn new(message: &Message, diagnosis: Diagnosis) -> Self {
        Self {
            message_id: message.id.clone(),
            sent_at: timestamp::of_millis(message.sent_at.try_into().unwrap_or(i64::MAX)),
            attempts: message.source.as_ref().map(|_| ATTEMPTS),
            moved_from: message.source.clone(),
            diagnosis,
            body: message.body.clone(),
        }
    }

    /// A few lines for people.
    pub fn text(&self) -> String {
        let moved = self.moved_from.as_ref().zip(self.attempts);
        let moved =
            moved.map(|(queue, times)| format!(", moved from {queue} after {times} attempts")).unwrap_or_default();
        let about = Some(&self.diagnosis.about).filter(|about| !about.is_empty());
        format!(
            "{}\n  first sent {}{moved}\n{}  {}: {}\n  (source: {})\n",
            self.message_id,
            self.sent_at,
            about.map(|about| format!("  {about}\n")).unwrap_or_default(),
            self.diagnosis.kind,
            self.diagnosis.reason,
            self.diagnosis.source,
        )
    }
}

/// The command's output as JSON.
#[derive(Debug, Serialize)]
struct Peeked<'a> {
    queue: &'a str,
    messages: &'a [DeadLetter],
}

/// Receives the messages, prints them and makes them visible again.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let queue = arguments.queue.queue(target).await?;
    let messages = read(target, arguments.queue, &queue, arguments.limit, progress).await?;
    if arguments.json {
        output::print_json(&Peeked { queue: &queue.name, messages: &messages })?;
    } else {
        for message in &messages {
            output::print(&message.text())?;
        }
        output::print(&format!("Messages in {}: {}", queue.name, messages.len()))?;
    }
    Ok(if messages.is_empty() { ExitStatus::Success } else { ExitStatus::NeedsAttention })
}

/// Up to `limit` messages of a queue with their diagnoses, oldest first. They are visible to others again afterwards.
pub async fn read(
    target: &Target,
    dead_letters: DeadLetters,
    queue: &Queue,
    limit: usize,
    progress: &Progress,
) -> Result<Vec<DeadLetter>> {
    let step = progress.step(format!("read {}", queue.name));
    let meter = step.meter();
    let mut messages: Vec<Message> = Vec::new();
    let received = receive(queue, &mut messages, |messages| messages.len() >= limit, &meter).await;
    queue.release(&messages).await;
    received?;
    messages.sort_by_key(|message| message.sent_at);
    messages.truncate(limit);
    meter.length(messages.len() as u64);
    let mut diagnosed = Vec::with_capacity(messages.len());
    for message in &messages {
        diagnosed.push(DeadLetter::new(message, dead_letters.diagnose(target, message).await));
        meter.advance();
    }
    step.done(format!("{} messages", diagnosed.len()));
    Ok(diagnosed)
}

/// Receives messages until there are enough or each has been seen. They stay invisible to others; release them in any case.
pub async fn receive(
    queue: &Queue,
    messages: &mut Vec<Message>,
    is_enough: impl Fn(&[Message]) -> bool,
    meter: &Meter,
) -> Result<()> {
    while !is_enough(messages) {
        let received = queue.receive().await?;
        // A message that was received before is visible again, so every message has been seen.
        let new: Vec<_> = received.into_iter().filter(|new| messages.iter().all(|old| old.id != new.id)).collect();
        if new.is_empty() {
            break;
        }
        messages.extend(new);
        meter.now(format!("{} messages", messages.len()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_those_of_the_queues() {
        let queues = include_str!("../../../terraform/queues.tf");
        assert!(queues.contains(&format!("max_receive_count = {ATTEMPTS}\n")));
    }
}
