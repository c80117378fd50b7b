//! `catalogctl dlq peek`: what has been set aside, and why.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::diagnosis::{self, Diagnosis};
use super::queue::{Message, Queue};
use crate::progress::Progress;
use crate::target::Target;

/// Show the messages of a dead-letter queue, and why each was set aside.
///
/// SQS does not keep a reason, so each message is read once more: by the contract's schemas, and by looking whether what
/// it asks for has been done since. Nothing is changed; only the messages' receive counts go up by one.
///
/// Exit code: 0 shown; 1 could not be done.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Which dead-letter queue.
    pub queue: DeadLetters,
    /// Show at most so many.
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: usize,
    /// One JSON object, the messages' bodies included.
    #[arg(long)]
    pub json: bool,
}

/// The dead-letter queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeadLetters {
    /// Changes that product-creator could not apply.
    Change,
    /// Stream records that audit-logger could not write, or the topic not deliver.
    Audit,
    /// Positions of changes in the table's stream that the pipe could not publish. Only to be looked at: no function
    /// reads such a message; `audit repair` sends the changes' records again.
    Events,
}

impl DeadLetters {
    fn name(self) -> &'static str {
        match self {
            Self::Change => "change-dlq",
            Self::Audit => "audit-dlq",
            Self::Events => "events-dlq",
        }
    }

    pub async fn queue(self, target: &Target) -> Result<Queue> {
        let url = target.queue_url(self.name()).await?;
        Ok(Queue::new(target.sqs(), url, target.queue_name(self.name())))
    }

    /// Why a message of this queue was set aside.
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
pub struct Shown {
    pub message_id: String,
    pub sent_at: String,
    pub receive_count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set_aside_by: Option<String>,
    #[serde(flatten)]
    pub diagnosis: Diagnosis,
    pub body: String,
}

impl Shown {
    pub fn new(message: &Message, diagnosis: Diagnosis) -> Self {
        Self {
            message_id: message.id.clone(),
            sent_at: moment(message.sent_at),
            receive_count: message.received,
            set_aside_by: message.source.clone(),
            diagnosis,
            body: message.body.clone(),
        }
    }

    /// A few lines for people.
    pub fn text(&self) -> String {
        let by = self.set_aside_by.as_deref().unwrap_or("no queue");
        let about = Some(&self.diagnosis.about).filter(|about| !about.is_empty());
        format!(
            "{}\n  first sent {}, received {} times, set aside by {by}\n{}  {}: {}\n  (known from: {})\n",
            self.message_id,
            self.sent_at,
            self.receive_count,
            about.map(|about| format!("  {about}\n")).unwrap_or_default(),
            self.diagnosis.kind,
            self.diagnosis.reason,
            self.diagnosis.known_from,
        )
    }
}

/// What the command says as JSON.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    queue: &'a str,
    messages: &'a [Shown],
}

/// Receives what is there, shows it and puts it back.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitCode> {
    let queue = arguments.queue.queue(target).await?;
    let shown = look(target, arguments.queue, &queue, arguments.limit, progress).await?;
    if arguments.json {
        progress.print(&serde_json::to_string_pretty(&Answer { queue: &queue.name, messages: &shown })?);
        return Ok(ExitCode::SUCCESS);
    }
    for message in &shown {
        progress.print(&message.text());
    }
    progress.print(&format!("{} messages in {}.", shown.len(), queue.name));
    Ok(ExitCode::SUCCESS)
}

/// The messages of a queue with their diagnoses, at most so many, oldest first. They are put back.
pub async fn look(
    target: &Target,
    kind: DeadLetters,
    queue: &Queue,
    limit: usize,
    progress: &Progress,
) -> Result<Vec<Shown>> {
    let step = progress.step(format!("look into {}", queue.name));
    let meter = step.meter();
    let mut messages: Vec<Message> = Vec::new();
    let outcome = async {
        while messages.len() < limit {
            let received = queue.receive().await?;
            // One that was seen before has come back meanwhile: all have been seen.
            let new: Vec<_> = received.into_iter().filter(|new| messages.iter().all(|old| old.id != new.id)).collect();
            if new.is_empty() {
                break;
            }
            messages.extend(new);
            meter.now(format!("{} messages", messages.len()));
        }
        anyhow::Ok(())
    }
    .await;
    queue.release(&messages).await;
    outcome?;
    messages.sort_by_key(|message| message.sent_at);
    messages.truncate(limit);
    meter.length(messages.len() as u64);
    let mut shown = Vec::with_capacity(messages.len());
    for message in &messages {
        shown.push(Shown::new(message, kind.diagnose(target, message).await));
        meter.advance();
    }
    step.done(format!("{} messages", shown.len()));
    Ok(shown)
}

/// A moment as the contract writes it.
pub fn moment(millis: u64) -> String {
    let nanos = i128::from(millis) * 1_000_000;
    OffsetDateTime::from_unix_timestamp_nanos(nanos)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| "at an unknown time".to_owned())
}
