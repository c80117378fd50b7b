//! A queue with a dead-letter queue, as Amazon SQS delivers to a function that reports the failed items of a batch:
//! at least once, in no order, and what was received five times in vain is put aside.

use std::collections::{BTreeSet, VecDeque};

use serde_json::{Value, json};

/// `maxReceiveCount` of the change queue.
const MAX_RECEIVES: u32 = 5;

#[derive(Clone, Debug)]
pub struct Message {
    pub body: String,
    pub receives: u32,
}

/// Messages that wait, and messages that were given up.
#[derive(Debug, Default)]
pub struct Queue {
    waiting: VecDeque<Message>,
    pub dead: Vec<Message>,
    pub done: Vec<Message>,
    /// Number of receives after which a message is moved to the dead-letter queue; `None` for never.
    max_receives: Option<u32>,
}

impl Queue {
    pub fn new(bodies: impl IntoIterator<Item = String>) -> Self {
        let waiting = bodies.into_iter().map(|body| Message { body, receives: 0 }).collect();
        Self { waiting, max_receives: Some(MAX_RECEIVES), ..Self::default() }
    }

    /// The same without a dead-letter queue.
    pub fn patient(bodies: impl IntoIterator<Item = String>) -> Self {
        Self { max_receives: None, ..Self::new(bodies) }
    }

    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes the next messages, at most `limit`.
    pub fn receive(&mut self, limit: usize) -> Vec<Message> {
        let mut batch: Vec<Message> = self.waiting.drain(..limit.min(self.waiting.len())).collect();
        batch.iter_mut().for_each(|message| message.receives += 1);
        batch
    }

    /// Ends the delivery of a batch: what is in `failed`, by its place, becomes visible again behind the others.
    pub fn settle(&mut self, batch: Vec<Message>, failed: &BTreeSet<usize>) {
        for (place, message) in batch.into_iter().enumerate() {
            if !failed.contains(&place) {
                self.done.push(message);
            } else if self.max_receives.is_some_and(|max| message.receives >= max) {
                self.dead.push(message);
            } else {
                self.waiting.push_back(message);
            }
        }
    }

    /// The whole batch is redelivered: its visibility timeout ended without a response.
    pub fn abandon(&mut self, batch: Vec<Message>) {
        let all = (0..batch.len()).collect();
        self.settle(batch, &all);
    }

    /// Sends what was put aside again, as new messages.
    pub fn redrive(&mut self) {
        self.waiting.extend(self.dead.drain(..).map(|message| Message { receives: 0, ..message }));
    }
}

/// A batch as the function is given it; a message's id is its place.
pub fn event(batch: &[Message]) -> Value {
    let record = |(place, message): (usize, &Message)| {
        json!({
            "messageId": place.to_string(), "receiptHandle": "r", "body": message.body, "md5OfBody": "",
            "attributes": {"ApproximateReceiveCount": message.receives.to_string()}, "messageAttributes": {},
            "eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:q", "awsRegion": "eu-west-1",
        })
    };
    json!({"Records": batch.iter().enumerate().map(record).collect::<Vec<_>>()})
}

/// The places of the messages that an answer reports as failed.
pub fn failed(answer: &Value) -> BTreeSet<usize> {
    let failures = answer["batchItemFailures"].as_array().unwrap();
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().parse().unwrap()).collect()
}
