//! A queue's messages: received, sent, deleted, or put back.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result, bail};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message as Received,
    MessageAttributeValue, MessageSystemAttributeName, SendMessageBatchRequestEntry,
};

/// Maximum number of messages that SQS delivers or accepts in one call.
pub const BATCH: usize = 10;
/// How long a received message stays hidden from others, in seconds: an interrupted command gives it back after that.
const HIDDEN: i32 = 120;
/// How long SQS looks for messages, in seconds. Without this it asks a few of its servers only, and may miss some.
const LOOK: i32 = 2;

/// A queue on some system.
#[derive(Debug, Clone)]
pub struct Queue {
    client: Client,
    url: String,
    pub name: String,
}

/// A message as it was received.
#[derive(Debug, Clone)]
pub struct Message {
    pub id: String,
    pub body: String,
    /// How often it has been received, this time included.
    pub received: u64,
    /// When it was sent first, in milliseconds since 1970; a move to a dead-letter queue does not change it.
    pub sent_at: u64,
    /// The queue that set it aside; `None` for what no queue had.
    pub source: Option<String>,
    attributes: HashMap<String, MessageAttributeValue>,
    receipt: String,
}

impl Queue {
    pub fn new(client: Client, url: String, name: String) -> Self {
        Self { client, url, name }
    }

    /// Some of the messages that are there; none when there are no more. They are hidden from others for two minutes.
    pub async fn receive(&self) -> Result<Vec<Message>> {
        let answer = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(BATCH as i32)
            .visibility_timeout(HIDDEN)
            .wait_time_seconds(LOOK)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send()
            .await
            .with_context(|| format!("{} cannot be read", self.name))?;
        Ok(answer.messages.unwrap_or_default().into_iter().map(Message::from).collect())
    }

    /// Sends copies of the messages, at most ten; gives those that were taken.
    pub async fn send<'a>(&self, messages: &[&'a Message]) -> Result<Vec<&'a Message>> {
        let mut taken = Vec::with_capacity(messages.len());
        for part in parts(messages, |message| message.body.len()) {
            taken.extend(self.send_at_once(part).await?);
        }
        Ok(taken)
    }

    async fn send_at_once<'a>(&self, messages: &[&'a Message]) -> Result<Vec<&'a Message>> {
        let entries = messages.iter().enumerate().map(|(place, message)| {
            SendMessageBatchRequestEntry::builder()
                .id(place.to_string())
                .message_body(&message.body)
                .set_message_attributes((!message.attributes.is_empty()).then(|| message.attributes.clone()))
                .build()
        });
        let answer = self
            .client
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.collect::<Result<_, _>>().context("a message without a body")?))
            .send()
            .await
            .with_context(|| format!("{} takes no messages", self.name))?;
        let taken: HashSet<&str> = answer.successful().iter().map(|entry| entry.id()).collect();
        let is_taken = |place: usize| taken.contains(place.to_string().as_str());
        Ok(messages.iter().enumerate().filter(|(place, _)| is_taken(*place)).map(|(_, message)| *message).collect())
    }

    /// Sends bodies of one's own; an error says how many were not taken.
    pub async fn send_bodies(&self, bodies: &[String]) -> Result<()> {
        let messages: Vec<Message> = bodies.iter().map(|body| Message::new(body)).collect();
        let taken = self.send(&messages.iter().collect::<Vec<_>>()).await?.len();
        if taken < bodies.len() {
            bail!("{} did not take {} of {} messages", self.name, bodies.len() - taken, bodies.len());
        }
        Ok(())
    }

    /// Removes messages for good.
    pub async fn delete(&self, messages: &[&Message]) -> Result<()> {
        let entries = messages.iter().enumerate().map(|(place, message)| {
            DeleteMessageBatchRequestEntry::builder().id(place.to_string()).receipt_handle(&message.receipt).build()
        });
        let answer = self
            .client
            .delete_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.collect::<Result<_, _>>().context("a message without a receipt")?))
            .send()
            .await
            .with_context(|| format!("messages cannot be removed from {}", self.name))?;
        match answer.failed().first() {
            None => Ok(()),
            Some(failure) => bail!(
                "{} messages that were sent on could not be removed from {} ({}): they will be sent on once more, which \
                 does no harm",
                answer.failed().len(),
                self.name,
                failure.message().unwrap_or_else(|| failure.code())
            ),
        }
    }

    /// Puts messages back, to be received by others at once. What cannot be put back comes back by itself.
    pub async fn release(&self, messages: &[Message]) {
        for messages in messages.chunks(BATCH) {
            let entries = messages.iter().enumerate().map(|(place, message)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(place.to_string())
                    .receipt_handle(&message.receipt)
                    .visibility_timeout(0)
                    .build()
            });
            let Ok(entries) = entries.collect::<Result<_, _>>() else { continue };
            let _ = self
                .client
                .change_message_visibility_batch()
                .queue_url(&self.url)
                .set_entries(Some(entries))
                .send()
                .await;
        }
    }
}

/// Splits what is to be sent so that each part fits one call, which takes 256 KiB in all.
fn parts<T>(messages: &[T], size: impl Fn(&T) -> usize) -> Vec<&[T]> {
    const LARGEST: usize = 240 * 1024;
    let (mut parts, mut start, mut total) = (Vec::new(), 0, 0);
    for (place, message) in messages.iter().enumerate() {
        if place > start && total + size(message) > LARGEST {
            parts.push(&messages[start..place]);
            (start, total) = (place, 0);
        }
        total += size(message);
    }
    parts.push(&messages[start..]);
    parts
}

impl Message {
    fn new(body: &str) -> Self {
        Self {
            id: String::new(),
            body: body.to_owned(),
            received: 0,
            sent_at: 0,
            source: None,
            attributes: HashMap::new(),
            receipt: String::new(),
        }
    }
}

impl From<Received> for Message {
    fn from(received: Received) -> Self {
        let attribute =
            |name: MessageSystemAttributeName| received.attributes().and_then(|all| all.get(&name)).cloned();
        let number = |name| attribute(name).and_then(|text| text.parse().ok()).unwrap_or_default();
        let source = attribute(MessageSystemAttributeName::DeadLetterQueueSourceArn);
        Self {
            received: number(MessageSystemAttributeName::ApproximateReceiveCount),
            sent_at: number(MessageSystemAttributeName::SentTimestamp),
            // The last part of an ARN is the queue's name.
            source: source.and_then(|arn| Some(arn.rsplit(':').next()?.to_owned())),
            id: received.message_id.unwrap_or_default(),
            body: received.body.unwrap_or_default(),
            attributes: received.message_attributes.unwrap_or_default(),
            receipt: received.receipt_handle.unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_not_larger_than_sqs_takes() {
        let sizes: Vec<usize> =
            parts(&[100, 100, 100, 250, 1], |kilobytes| kilobytes * 1024).into_iter().map(<[_]>::len).collect();
        assert_eq!(sizes, [2, 1, 1, 1]);
    }
}
