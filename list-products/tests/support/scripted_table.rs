//! A table that answers as scripted, for what an engine can't be made to answer: a read that ends early, keys left out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_sdk_dynamodb::Client;
use axum::Router;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use super::products_table;

/// The requests that a table received, in their order.
#[derive(Clone, Default)]
pub struct Requests(Arc<Mutex<Vec<Value>>>);

impl Requests {
    pub fn all(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }
}

/// A table that gives each of `answers` once and then fails, and what it is asked.
pub async fn start(answers: impl IntoIterator<Item = Value>) -> (Client, Requests) {
    let answers: Arc<Mutex<VecDeque<Value>>> = Arc::new(Mutex::new(answers.into_iter().collect()));
    let requests = Requests::default();
    let received = requests.clone();
    let router = Router::new().fallback(move |body: String| async move {
        received.0.lock().unwrap().push(serde_json::from_str(&body).unwrap());
        match answers.lock().unwrap().pop_front() {
            Some(answer) => (StatusCode::OK, answer.to_string()),
            None => (StatusCode::BAD_REQUEST, json!({"__type": "ValidationException"}).to_string()),
        }
    });
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = products_table::unreachable().config().to_builder().endpoint_url(endpoint).build();
    (Client::from_conf(config), requests)
}

/// An item in DynamoDB's JSON.
pub fn item(item: Value) -> Value {
    let Value::Object(members) = item else { panic!("{item} isn't an item") };
    members.into_iter().map(|(name, value)| (name, attribute(value))).collect::<Map<_, _>>().into()
}

fn attribute(value: Value) -> Value {
    match value {
        Value::Null => json!({"NULL": true}),
        Value::Bool(flag) => json!({"BOOL": flag}),
        Value::Number(number) => json!({"N": number.to_string()}),
        Value::String(text) => json!({"S": text}),
        Value::Array(items) => json!({"L": items.into_iter().map(attribute).collect::<Vec<_>>()}),
        members => json!({"M": item(members)}),
    }
}
