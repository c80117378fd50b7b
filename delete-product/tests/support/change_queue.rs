//! A change queue that keeps what it is sent: an HTTP server in this process that speaks as much of the SQS protocol
//! as the function needs, behind the real SDK client.

use std::sync::{Arc, Mutex};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};

/// Address of the queue in tests.
pub const QUEUE_URL: &str = "https://sqs.eu-west-1.amazonaws.com/123456789012/bbws-product-change-dev";

/// A queue's memory, and what it answers.
#[derive(Clone, Default)]
pub struct Queue {
    sent: Arc<Mutex<Vec<Value>>>,
    refusal: Option<(StatusCode, &'static str)>,
}

impl Queue {
    /// The bodies of all messages that it took.
    pub fn all(&self) -> Vec<Value> {
        self.sent.lock().unwrap().clone()
    }

    /// The body of the one message that it took.
    pub fn only(&self) -> Value {
        let all = self.all();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].clone()
    }
}

/// A queue that takes every message, and a client of it.
pub async fn start() -> (Client, Queue) {
    let queue = Queue::default();
    (serve(queue.clone()).await, queue)
}

/// A client of a queue that refuses every message.
pub async fn refusing(status: StatusCode, code: &'static str) -> Client {
    serve(Queue { refusal: Some((status, code)), ..Queue::default() }).await
}

async fn serve(queue: Queue) -> Client {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(send_message)).with_state(queue);
    tokio::spawn(async move { axum::serve(listener, router).await });

    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .region(Region::new("eu-west-1"))
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

/// `SendMessage` in the JSON protocol of SQS.
async fn send_message(State(queue): State<Queue>, headers: HeaderMap, body: String) -> (StatusCode, Json<Value>) {
    assert_eq!(headers["x-amz-target"], "AmazonSQS.SendMessage");
    if let Some((status, code)) = queue.refusal {
        return (status, Json(json!({"__type": format!("com.amazonaws.sqs#{code}"), "message": "no"})));
    }
    let request: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(request["QueueUrl"], QUEUE_URL);
    assert!(is_allowed(request["MessageBody"].as_str().unwrap()), "SQS refuses this message: {request}");
    queue.sent.lock().unwrap().push(serde_json::from_str(request["MessageBody"].as_str().unwrap()).unwrap());
    (StatusCode::OK, Json(json!({"MessageId": "m-1"})))
}

/// Whether SQS takes a message: "#x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
/// (Amazon SQS API Reference, SendMessage), and at most 256 KiB of it.
pub fn is_allowed(message: &str) -> bool {
    let allowed = |c| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    message.chars().all(allowed) && message.len() <= 262_144
}
