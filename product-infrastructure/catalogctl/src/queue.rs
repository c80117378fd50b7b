//! An SQS queue: receive, send, delete and release messages.

use std::collections::{HashMap, HashSet};

use anyhow::{Context, Result, bail};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message as Received,
    MessageAttributeValue, MessageSystemAttributeName, SendMessageBatchRequestEntry,
};

use crate::aws::CallContext;

/// Messages that SQS delivers or accepts in one call (SQS quotas).
pub const MAX_BATCH: usize = 10;
/// Bytes that SQS accepts in one call, with room for attributes (SQS quotas: 256 KiB).
const MAX_BATCH_BYTES: usize = 240 * 1024;
/// Seconds for which a received message is invisible to others; after an interruption it becomes visible by itself.
const VISIBILITY_TIMEOUT: i32 = 120;
/// Seconds of long polling. With short polling, SQS asks a subset of its servers and may miss messages.
const WAIT_TIME: i32 = 2;

/// A queue of a system.
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
    /// When it was first sent, in milliseconds since 1970; moving to a dead-letter queue doesn't change it.
    pub sent_at: u64,
    /// The queue that it was moved from; `None` for messages that a topic or a pipe put here.
    pub source: Option<String>,
    attributes: HashMap<String, MessageAttributeValue>,
    receipt: String,
}

impl Queue {
    pub fn new(client: Client, url: String, name: String) -> Self {
        Self { client, url, name }
    }

    fn resource(&self) -> String {
        format!("queue {}", self.name)
    }

    /// Receives up to ten messages; none when the queue is empty. They are invisible to others for two minutes.
    pub async fn receive(&self) -> Result<Vec<Message>> {
        let response = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(MAX_BATCH as i32)
            .visibility_timeout(VISIBILITY_TIMEOUT)
            .wait_time_seconds(WAIT_TIME)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
            .send()
            .await
            .call("sqs:ReceiveMessage", self.resource())?;
        Ok(response.messages.unwrap_or_default().into_iter().map(Message::from).collect())
    }

    /// Sends copies of up to ten messages; returns those that SQS accepted.
    pub async fn send<'a>(&self, messages: &[&'a Message]) -> Result<Vec<&'a Message>> {
        let mut accepted = Vec::with_capacity(messages.len());
        for batch in batches(messages, |message| message.body.len()) {
            accepted.extend(self.send_batch(batch).await?);
        }
        Ok(accepted)
    }

    async fn send_batch<'a>(&self, messages: &[&'a Message]) -> Result<Vec<&'a Message>> {
        let entries = messages.iter().enumerate().map(|(index, message)| {
            SendMessageBatchRequestEntry::builder()
                .id(index.to_string())
                .message_body(&message.body)
                .set_message_attributes((!message.attributes.is_empty()).then(|| message.attributes.clone()))
                .build()
        });
        let response = self
            .client
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.collect::<Result<_, _>>().context("a message has no body")?))
            .send()
            .await
            .call("sqs:SendMessage", self.resource())?;
        let accepted: HashSet<&str> = response.successful().iter().map(|entry| entry.id()).collect();
        let is_accepted = |index: usize| accepted.contains(index.to_string().as_str());
        Ok(messages.iter().enumerate().filter(|(index, _)| is_accepted(*index)).map(|(_, message)| *message).collect())
    }

    /// Sends new messages; the error says how many SQS didn't accept.
    pub async fn send_bodies(&self, bodies: &[String]) -> Result<()> {
        let messages: Vec<Message> = bodies.iter().map(|body| Message::new(body)).collect();
        let accepted = self.send(&messages.iter().collect::<Vec<_>>()).await?.len();
        if accepted < bodies.len() {
            bail!("queue {} rejected {} of {} messages", self.name, bodies.len() - accepted, bodies.len());
        }
        Ok(())
    }

    /// Deletes messages that were received.
    pub async fn delete(&self, messages: &[&Message]) -> Result<()> {
        let entries = messages.iter().enumerate().map(|(index, message)| {
            DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(&message.receipt).build()
        });
        let response = self
            .client
            .delete_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.collect::<Result<_, _>>().context("a message has no receipt handle")?))
            .send()
            .await
            .call("sqs:DeleteMessage", self.resource())?;
        match response.failed().first() {
            None => Ok(()),
            Some(failure) => bail!(
                "failed to delete {} messages from {}: {}. They are still there",
                response.failed().len(),
                self.name,
                failure.message().unwrap_or_else(|| failure.code())
            ),
        }
    }

    /// Makes received messages visible to others at once. A message that this fails for becomes visible after its timeout.
    pub async fn release(&self, messages: &[Message]) {
        for messages in messages.chunks(MAX_BATCH) {
            let entries = messages.iter().enumerate().map(|(index, message)| {
                ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
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

/// Splits messages so that each batch fits one call. A message that is too large alone is a batch of its own.
fn batches<T>(messages: &[T], size: impl Fn(&T) -> usize) -> Vec<&[T]> {
    let (mut batches, mut start, mut total) = (Vec::new(), 0, 0);
    for (index, message) in messages.iter().enumerate() {
        if index > start && total + size(message) > MAX_BATCH_BYTES {
            batches.push(&messages[start..index]);
            (start, total) = (index, 0);
        }
        total += size(message);
    }
    batches.push(&messages[start..]);
    batches
}

impl Message {
    fn new(body: &str) -> Self {
        Self {
            id: String::new(),
            body: body.to_owned(),
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
    fn splits_messages_into_batches_that_sqs_accepts() {
        let sizes: Vec<usize> =
            batches(&[100, 100, 100, 250, 1], |kilobytes| kilobytes * 1024).into_iter().map(<[_]>::len).collect();
        assert_eq!(sizes, [2, 1, 1, 1]);
    }
}
