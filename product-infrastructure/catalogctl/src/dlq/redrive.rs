//! `catalogctl dlq redrive`: what has been set aside goes back to where it came from.
//!
//! SQS has a call for this, StartMessageMoveTask, and it is not used: it moves every message, also one that can only fail
//! again and ring the alarm once more; it does not move what no queue has set aside, such as what the topic could not
//! deliver, unless told where to; it shows nothing beforehand; and the local stack does not have it, so nobody could try
//! it before the night on which it is needed.
//!
//! A message is sent before it is deleted, never the other way round: what is interrupted in between is there twice, which
//! does no harm, instead of not at all. Neither does it matter how late it comes. product-creator decides by the event's
//! id: a change that it has recorded is recognised, and one that a newer change has overtaken is journalled as
//! superseded and changes nothing. audit-logger compares with what is there.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;

use super::peek::{DeadLetters, Shown};
use super::queue::{BATCH, Message, Queue};
use crate::audit::verify::BROKEN;
use crate::progress::{Meter, Progress};
use crate::target::Target;

/// Send the messages of a dead-letter queue back to the queue they came from. A dry run unless --apply is given.
///
/// Messages that their function cannot read as they are stay where they are, unless --include-unreadable is given: they
/// would only fail again. Late and repeated redrives do no harm: what was done is recognised by its event id, and what a
/// newer change has overtaken is recorded as superseded.
///
/// Exit code: 0 all were sent, or would be; 1 could not be done; 2 some were left where they are.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Which dead-letter queue: change or audit.
    pub queue: DeadLetters,
    /// Do it.
    #[arg(long)]
    pub apply: bool,
    /// Send at most so many messages a second.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rate: u32,
    /// Send at most so many messages.
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Send also what cannot be read, or breaks the contract: after the release of a function that understands it.
    #[arg(long)]
    pub include_unreadable: bool,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What was done, or would be.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Redriven {
    pub from: String,
    pub to: String,
    pub applied: bool,
    pub sent: Vec<Shown>,
    pub left: Vec<Shown>,
}

/// Sends the messages and says what became of each.
pub async fn run(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<ExitCode> {
    let redriven = redrive(target, arguments, progress).await?;
    if arguments.json {
        progress.print(&serde_json::to_string_pretty(&redriven)?);
    } else {
        progress.print(&text(&redriven));
    }
    Ok(if redriven.left.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) })
}

/// Goes once through the dead-letter queue.
pub async fn redrive(target: &Target, arguments: &Arguments, progress: &Progress) -> Result<Redriven> {
    let source = match arguments.queue {
        DeadLetters::Change => "change",
        DeadLetters::Audit => "audit",
        DeadLetters::Events => bail!(
            "these messages are not changes but their positions in the table's stream, which no function reads; \
             `catalogctl audit repair` sends the changes' records again"
        ),
    };
    let dead = arguments.queue.queue(target).await?;
    let source = Queue::new(target.sqs(), target.queue_url(source).await?, target.queue_name(source));
    let doing = if arguments.apply { "send back" } else { "look at" };
    let step = progress.step(format!("{doing} the messages of {}", dead.name));
    let mut run = Run {
        target,
        arguments,
        dead: &dead,
        source: &source,
        pace: Pace::new(arguments.rate),
        meter: step.meter(),
        kept: Vec::new(),
        sent: Vec::new(),
        left: Vec::new(),
    };
    let outcome = run.through().await;
    dead.release(&run.kept).await;
    let (sent, left) = (run.sent, run.left);
    if let Err(error) = outcome {
        return Err(error.context(format!("{} messages were sent back before", sent.len())));
    }
    step.done(format!("{} {}, {} left", sent.len(), if arguments.apply { "sent" } else { "to be sent" }, left.len()));
    Ok(Redriven { from: dead.name.clone(), to: source.name.clone(), applied: arguments.apply, sent, left })
}

/// One way through a queue.
struct Run<'a> {
    target: &'a Target,
    arguments: &'a Arguments,
    dead: &'a Queue,
    source: &'a Queue,
    pace: Pace,
    meter: Meter,
    /// Received, and to be put back.
    kept: Vec<Message>,
    sent: Vec<Shown>,
    left: Vec<Shown>,
}

impl Run<'_> {
    async fn through(&mut self) -> Result<()> {
        while !self.is_full() {
            let received = self.dead.receive().await?;
            let (new, again): (Vec<_>, Vec<_>) =
                received.into_iter().partition(|message| self.kept.iter().all(|kept| kept.id != message.id));
            // A message that was kept is back: the way through is done.
            self.kept.extend(again);
            if new.is_empty() {
                return Ok(());
            }
            self.batch(new).await?;
            self.meter.now(format!("{} messages", self.sent.len() + self.left.len()));
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.arguments.limit.is_some_and(|limit| self.sent.len() >= limit)
    }

    async fn batch(&mut self, received: Vec<Message>) -> Result<()> {
        let mut chosen = Vec::new();
        for message in received {
            let diagnosis = self.arguments.queue.diagnose(self.target, &message).await;
            let hopeful = diagnosis.kind.is_hopeful() || self.arguments.include_unreadable;
            let room = self.arguments.limit.is_none_or(|limit| self.sent.len() + chosen.len() < limit);
            let shown = Shown::new(&message, diagnosis);
            match (hopeful, room) {
                (true, true) => chosen.push((message, shown)),
                // Not looked at any further: there is a limit.
                (true, false) => self.kept.push(message),
                (false, _) => {
                    self.kept.push(message);
                    self.left.push(shown);
                }
            }
        }
        if !self.arguments.apply {
            let (messages, shown): (Vec<_>, Vec<_>) = chosen.into_iter().unzip();
            self.kept.extend(messages);
            self.sent.extend(shown);
            return Ok(());
        }
        for part in chosen.chunks(self.pace.at_once()) {
            self.pace.wait(part.len()).await;
            let messages: Vec<&Message> = part.iter().map(|(message, _)| message).collect();
            let taken = self.source.send(&messages).await?;
            if !taken.is_empty() {
                self.dead.delete(&taken).await?;
            }
            for (message, shown) in part {
                let list =
                    if taken.iter().any(|taken| taken.id == message.id) { &mut self.sent } else { &mut self.left };
                list.push(Shown { body: shown.body.clone(), ..Shown::new(message, shown.diagnosis.clone()) });
            }
            let left = part.iter().filter(|(message, _)| taken.iter().all(|taken| taken.id != message.id));
            self.kept.extend(left.map(|(message, _)| message.clone()));
        }
        Ok(())
    }
}

/// Keeps to so many messages a second.
#[derive(Debug)]
pub struct Pace {
    each: Duration,
    next: Instant,
}

impl Pace {
    pub fn new(per_second: u32) -> Self {
        Self { each: Duration::from_secs(1) / per_second.max(1), next: Instant::now() }
    }

    /// How many may go in one call without making a burst of them.
    pub fn at_once(&self) -> usize {
        let in_a_second = Duration::from_secs(1).as_nanos() / self.each.as_nanos().max(1);
        usize::try_from(in_a_second).unwrap_or(BATCH).clamp(1, BATCH)
    }

    /// Waits until so many more may go.
    pub async fn wait(&mut self, messages: usize) {
        tokio::time::sleep(self.due(Instant::now(), messages)).await;
    }

    /// How long so many more have to wait; they count as gone then.
    fn due(&mut self, now: Instant, messages: usize) -> Duration {
        let start = self.next.max(now);
        self.next = start + self.each * u32::try_from(messages).unwrap_or(u32::MAX);
        start - now
    }
}

fn text(redriven: &Redriven) -> String {
    let mut text = String::new();
    if !redriven.applied {
        for message in &redriven.sent {
            text.push_str(&format!("WOULD BE SENT  {}", message.text()));
        }
    }
    for message in &redriven.left {
        text.push_str(&format!("LEFT  {}", message.text()));
    }
    let Redriven { from, to, sent, left, .. } = redriven;
    let (sent, left) = (sent.len(), left.len());
    text.push_str(&match redriven.applied {
        true => format!("{sent} messages sent from {from} to {to}, {left} left."),
        false => format!("A dry run: {sent} messages would be sent from {from} to {to}, {left} left. --apply does it."),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_kept() {
        let mut pace = Pace::new(4);
        assert_eq!((pace.at_once(), Pace::new(1).at_once(), Pace::new(500).at_once()), (4, 1, BATCH));
        let now = pace.next;
        assert_eq!(pace.due(now, 4), Duration::ZERO);
        assert_eq!(pace.due(now, 1), Duration::from_secs(1));
        assert_eq!(pace.due(now, 2), Duration::from_millis(1_250));
        let later = now + Duration::from_secs(60);
        assert_eq!(pace.due(later, 1), Duration::ZERO, "a pause is not made up for");
    }
}
