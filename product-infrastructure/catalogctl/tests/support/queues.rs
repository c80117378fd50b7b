//! Queues in this process: as much of SQS's JSON protocol as is asked for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Json;
use axum::http::StatusCode;
use serde_json::{Value, json};

type Reader = dyn Fn(&str) + Send + Sync;

/// All queues by name.
#[derive(Clone, Default)]
pub struct Queues {
    queues: Arc<Mutex<BTreeMap<String, Vec<Message>>>>,
    /// What happens to a message that is sent to the audit queue.
    consumer: Arc<Mutex<Option<Box<Reader>>>>,
    counter: Arc<Mutex<u64>>,
    /// Of how many messages in a call the first one is refused.
    refusals: Arc<Mutex<u32>>,
    /// The message that can't be deleted.
    undeletable: Arc<Mutex<Option<String>>>,
}

#[derive(Clone)]
struct Message {
    id: String,
    body: String,
    attributes: Value,
    received: u64,
    sent_at: u64,
    source: Option<String>,
    visible_from: Instant,
}

impl Queues {
    /// Puts a message into a dead-letter queue, as SQS moves it there from `source`.
    pub fn add(&self, queue: &str, body: &str, source: Option<&str>) {
        let source = source.map(|source| format!("arn:aws:sqs:eu-west-1:123456789012:{source}"));
        let number = self.next();
        let message = Message {
            id: format!("message-{number}"),
            body: body.to_owned(),
            attributes: json!({"trace": {"DataType": "String", "StringValue": "t"}}),
            received: 5,
            sent_at: 1_769_860_800_000 + number,
            source,
            visible_from: Instant::now(),
        };
        self.queues.lock().unwrap().entry(queue.to_owned()).or_default().push(message);
    }

    /// The bodies of the messages of a queue.
    pub fn bodies(&self, queue: &str) -> Vec<String> {
        self.queues.lock().unwrap().get(queue).into_iter().flatten().map(|message| message.body.clone()).collect()
    }

    /// How many messages of a queue could be received now.
    pub fn visible(&self, queue: &str) -> usize {
        let now = Instant::now();
        self.queues.lock().unwrap().get(queue).into_iter().flatten().filter(|m| m.visible_from <= now).count()
    }

    /// From now on the audit queue is read.
    pub fn consume(&self, consumer: impl Fn(&str) + Send + Sync + 'static) {
        *self.consumer.lock().unwrap() = Some(Box::new(consumer));
    }

    /// The next `calls` calls that send messages have their first message refused.
    pub fn refuse(&self, calls: u32) {
        *self.refusals.lock().unwrap() = calls;
    }

    /// From now on the message with this ID can't be deleted.
    pub fn refuse_to_delete(&self, id: &str) {
        *self.undeletable.lock().unwrap() = Some(id.to_owned());
    }

    fn next(&self) -> u64 {
        let mut counter = self.counter.lock().unwrap();
        *counter += 1;
        *counter
    }

    /// Answers a call.
    pub fn answer(&self, action: &str, request: &Value) -> (StatusCode, Json<Value>) {
        let queue = request["QueueUrl"].as_str().unwrap_or_default().rsplit('/').next().unwrap().to_owned();
        let entries = request["Entries"].as_array().cloned().unwrap_or_default();
        let answer = match action {
            "GetQueueUrl" => {
                let name = request["QueueName"].as_str().unwrap();
                json!({"QueueUrl": format!("https://sqs.eu-west-1.amazonaws.com/123456789012/{name}")})
            }
            "GetQueueAttributes" => {
                let count = self.bodies(&queue).len().to_string();
                json!({"Attributes": {"ApproximateNumberOfMessages": count, "ApproximateNumberOfMessagesNotVisible": "0"}})
            }
            "ReceiveMessage" => self.receive(&queue, request),
            "SendMessageBatch" => self.send(&queue, &entries),
            "DeleteMessageBatch" => {
                let mut queues = self.queues.lock().unwrap();
                let undeletable = self.undeletable.lock().unwrap().clone();
                let (failed, deleted): (Vec<&Value>, Vec<&Value>) =
                    entries.iter().partition(|e| e["ReceiptHandle"].as_str() == undeletable.as_deref());
                let receipts: Vec<&str> = deleted.iter().map(|e| e["ReceiptHandle"].as_str().unwrap()).collect();
                queues.get_mut(&queue).unwrap().retain(|message| !receipts.contains(&message.id.as_str()));
                let failure = |e: &&Value| json!({"Id": e["Id"], "Code": "InternalError", "SenderFault": false});
                json!({
                    "Successful": deleted.iter().map(|e| json!({"Id": e["Id"]})).collect::<Vec<_>>(),
                    "Failed": failed.iter().map(failure).collect::<Vec<_>>(),
                })
            }
            "ChangeMessageVisibilityBatch" => {
                let mut queues = self.queues.lock().unwrap();
                for message in queues.get_mut(&queue).unwrap() {
                    let mut of_this = entries.iter().filter(|e| e["ReceiptHandle"] == message.id.as_str());
                    if of_this.next().is_some() {
                        message.visible_from = Instant::now();
                    }
                }
                json!({"Successful": entries.iter().map(|e| json!({"Id": e["Id"]})).collect::<Vec<_>>(), "Failed": []})
            }
            other => panic!("{other} is not spoken here"),
        };
        (StatusCode::OK, Json(answer))
    }

    fn receive(&self, queue: &str, request: &Value) -> Value {
        let now = Instant::now();
        let most = request["MaxNumberOfMessages"].as_u64().unwrap() as usize;
        let hidden = Duration::from_secs(request["VisibilityTimeout"].as_u64().unwrap());
        let mut queues = self.queues.lock().unwrap();
        let messages = queues.entry(queue.to_owned()).or_default().iter_mut();
        let received = messages.filter(|message| message.visible_from <= now).take(most).map(|message| {
            message.received += 1;
            message.visible_from = now + hidden;
            let mut attributes = json!({
                "ApproximateReceiveCount": message.received.to_string(),
                "SentTimestamp": message.sent_at.to_string(),
            });
            if let Some(source) = &message.source {
                attributes["DeadLetterQueueSourceArn"] = json!(source);
            }
            json!({
                "MessageId": message.id, "ReceiptHandle": message.id, "Body": message.body,
                "Attributes": attributes, "MessageAttributes": message.attributes,
            })
        });
        json!({"Messages": received.collect::<Vec<_>>()})
    }

    fn send(&self, queue: &str, entries: &[Value]) -> Value {
        let (mut successful, mut failed) = (Vec::new(), Vec::new());
        let mut refusals = self.refusals.lock().unwrap();
        for (place, entry) in entries.iter().enumerate() {
            let body = entry["MessageBody"].as_str().unwrap();
            if place == 0 && *refusals > 0 {
                failed.push(json!({"Id": entry["Id"], "SenderFault": false, "Code": "InternalError"}));
                continue;
            }
            successful
                .push(json!({"Id": entry["Id"], "MessageId": format!("sent-{}", self.next()), "MD5OfMessageBody": ""}));
            let consumer = self.consumer.lock().unwrap();
            match consumer.as_ref().filter(|_| queue.starts_with("bbws-product-audit-")) {
                Some(consumer) => consumer(body),
                None => self.add(queue, body, None),
            }
        }
        *refusals = refusals.saturating_sub(1);
        json!({"Successful": successful, "Failed": failed})
    }
}
