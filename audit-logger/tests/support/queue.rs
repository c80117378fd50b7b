//! A queue with a dead-letter queue, as Amazon SQS delivers to a function that reports failed items of a batch: at least
//! once, in any order, and after five failed receives to the dead-letter queue.

use std::collections::{BTreeSet, VecDeque};

use serde_json::{Value, json};

/// `maxReceiveCount` of the change queue.
const MAX_RECEIVES: u32 = 5;

#[derive(Clone, Debug)]
pub struct Message {
    pub body: String,
    pub receives: u32,
}

/// Waiting messages, dead letters, and messages that are done.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Message>,
    pub dead: Vec<Message>,
    pub done: Vec<Message>,
    /// Receives after which a message is moved to the dead-letter queue; `None` for never.
    max_receives: Option<u32>,
}

impl Queue {
    pub fn new(bodies: impl IntoIterator<Item = String>) -> Self {
        let waiting = bodies.into_iter().map(|body| Message { body, receives: 0 }).collect();
        Self { waiting, max_receives: Some(MAX_RECEIVES), ..Self::default() }
    }

    /// The same without a dead-letter queue.
    pub fn without_dead_letters(bodies: impl IntoIterator<Item = String>) -> Self {
        Self { max_receives: None, ..Self::new(bodies) }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Receives the next messages, at most `max`.
    pub fn receive(&mut self, max: usize) -> Vec<Message> {
        let mut batch: Vec<Message> = self.waiting.drain(..max.min(self.waiting.len())).collect();
        batch.iter_mut().for_each(|message| message.receives += 1);
        batch
    }

    /// Ends the delivery of a batch. Messages whose index is in `failed` become visible again, behind the others.
    pub fn settle(&mut self, batch: Vec<Message>, failed: &BTreeSet<usize>) {
        for (index, message) in batch.into_iter().enumerate() {
            if !failed.contains(&index) {
                self.done.push(message);
            } else if self.max_receives.is_some_and(|max| message.receives >= max) {
                self.dead.push(message);
            } else {
                self.waiting.push_back(message);
            }
        }
    }

    /// Redelivers the whole batch: its visibility timeout ended without a response.
    pub fn abandon(&mut self, batch: Vec<Message>) {
        let all = (0..batch.len()).collect();
        self.settle(batch, &all);
    }

    /// Sends the dead letters again, as new messages.
    pub fn redrive(&mut self) {
        self.waiting.extend(self.dead.drain(..).map(|message| Message { receives: 0, ..message }));
    }
}

/// A batch as the function gets it. A message's ID is its index.
pub fn event(batch: &[Message]) -> Value {
    let record = |(index, message): (usize, &Message)| {
        json!({
            "messageId": index.to_string(), "receiptHandle": "r", "body": message.body, "md5OfBody": "",
            "attributes": {"ApproximateReceiveCount": message.receives.to_string()}, "messageAttributes": {},
            "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:q", "awsRegion": "eu-west-1",
        })
    };
    json!({"Records": batch.iter().enumerate().map(record).collect::<Vec<_>>()})
}

/// The indexes of the messages that a response reports as failed.
pub fn failed(response: &Value) -> BTreeSet<usize> {
    let failures = response["batchItemFailures"].as_array().unwrap();
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().parse().unwrap()).collect()
}
