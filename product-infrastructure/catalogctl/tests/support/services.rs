//! AWS services in this process with prepared answers: CloudWatch, CloudWatch Logs, Lambda, Pipes, API
//! Gateway, the attributes of queues, and objects in S3.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// A status and a body.
type Answer = (u16, Value);

/// The answers by call: an operation's name or a path, and what the call is about, such as a queue's name or a page's token.
/// A call without a prepared answer gets the error that the resource wasn't found.
#[derive(Clone)]
pub struct Services {
    pub endpoint: String,
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    first: Arc<Mutex<BTreeMap<String, VecDeque<Answer>>>>,
    inputs: Arc<Mutex<Vec<(String, Value)>>>,
}

impl Services {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let services = Self { endpoint, answers: Arc::default(), first: Arc::default(), inputs: Arc::default() };
        let router = Router::new().fallback(answer).with_state(services.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        services
    }

    pub fn set(&self, call: &str, answer: Value) {
        self.answers.lock().unwrap().insert(call.to_owned(), (200, answer));
    }

    /// What is answered once before the other answers.
    pub fn first(&self, call: &str, status: u16, answer: Value) {
        self.first.lock().unwrap().entry(call.to_owned()).or_default().push_back((status, answer));
    }

    pub fn refuse(&self, call: &str) {
        let error = json!({"__type": "AccessDeniedException", "message": "not authorized"});
        self.answers.lock().unwrap().insert(call.to_owned(), (403, error));
    }

    pub fn remove(&self, call: &str) {
        self.answers.lock().unwrap().remove(call).expect(call);
    }

    /// The inputs of the calls that were made, oldest first.
    pub fn inputs(&self, call: &str) -> Vec<Value> {
        let inputs = self.inputs.lock().unwrap();
        inputs.iter().filter(|(made, _)| made == call).map(|(_, input)| input.clone()).collect()
    }
}

async fn answer(
    State(account): State<Services>,
    method: Method,
    uri: Uri,
    Query(parameters): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let service = match uri.path() {
        "/" if headers["x-amz-target"].to_str().unwrap().starts_with("AmazonSQS.") => "sqs",
        "/" if headers["x-amz-target"].to_str().unwrap().starts_with("Logs_20140328.") => "logs",
        "/" => "monitoring",
        "/apikeys" => "apigateway",
        path if path.starts_with("/v1/pipes/") => "pipes",
        path if path.starts_with("/2015-03-31/") => "lambda",
        _ => "s3",
    };
    let signature = headers["authorization"].to_str().unwrap();
    assert!(signature.contains(&format!("/eu-west-1/{service}/aws4_request")), "{method} {uri}: {signature}");
    let input: Value = serde_json::from_slice(&body).unwrap_or_default();
    let call = match service {
        "sqs" | "monitoring" | "logs" => headers["x-amz-target"].to_str().unwrap().rsplit('.').next().unwrap(),
        _ => uri.path(),
    };
    let about = [
        input["NextToken"].as_str(),
        input["nextToken"].as_str(),
        input["logGroupName"].as_str(),
        input["QueueUrl"].as_str().and_then(|url| url.rsplit('/').next()),
        parameters.get("Qualifier").map(String::as_str),
        parameters.get("FunctionName").map(String::as_str),
    ];
    let call = about.iter().flatten().fold(call.to_owned(), |call, about| format!("{call} {about}"));
    if call == "GetQueueUrl" {
        let url = format!("{}/123456789012/{}", account.endpoint, input["QueueName"].as_str().unwrap());
        return axum::Json(json!({"QueueUrl": url})).into_response();
    }
    account.inputs.lock().unwrap().push((call.clone(), input));
    let first = account.first.lock().unwrap().get_mut(&call).and_then(VecDeque::pop_front);
    match first.as_ref().or(account.answers.lock().unwrap().get(&call)) {
        Some((status, answer)) => (StatusCode::from_u16(*status).unwrap(), axum::Json(answer.clone())).into_response(),
        None if service == "s3" => {
            (StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code><Message>no</Message></Error>").into_response()
        }
        None => {
            let error = json!({"message": "no"});
            let kind = [("x-amzn-errortype", "ResourceNotFoundException:http://internal.amazon.com/")];
            (StatusCode::NOT_FOUND, kind, axum::Json(error)).into_response()
        }
    }
}
