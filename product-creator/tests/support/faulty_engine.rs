//! A failing DynamoDB: a proxy between the function and the real engine that responds to some calls itself.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

/// The kinds of faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Throttled,
    ThroughputExceeded,
    /// A concurrent transaction writes the item. A read is throttled.
    Conflict,
    InternalError,
    /// No response, and nothing was written.
    Silence,
    /// No response, although everything was written.
    SilenceAfter,
    /// An error response, although everything was written.
    ErrorAfter,
}

const FAULTS: [Fault; 7] = [
    Fault::Throttled,
    Fault::ThroughputExceeded,
    Fault::Conflict,
    Fault::InternalError,
    Fault::ErrorAfter,
    Fault::Silence,
    Fault::SilenceAfter,
];

/// Longer than the function's time-out of one attempt.
const SILENCE: Duration = Duration::from_secs(3);

#[derive(Clone)]
pub struct FaultyEngine {
    engine: SocketAddr,
    failing: Arc<AtomicBool>,
    calls: Arc<AtomicU32>,
    failed: Arc<Mutex<BTreeMap<Fault, u32>>>,
}

impl FaultyEngine {
    /// Starts a proxy of `engine` in which seven calls in ten fail. Returns its address.
    pub async fn start(engine: SocketAddr) -> (Self, SocketAddr) {
        let faulty =
            Self { engine, failing: Arc::new(AtomicBool::new(true)), calls: Arc::default(), failed: Arc::default() };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        // The request that only opens a connection doesn't fail.
        let router = Router::new().route("/", get("healthy").post(respond)).with_state(faulty.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (faulty, address)
    }

    /// From now on no call fails.
    pub fn heal(&self) {
        self.failing.store(false, Ordering::Relaxed);
    }

    /// Number of failed calls by fault.
    pub fn failed(&self) -> BTreeMap<Fault, u32> {
        self.failed.lock().unwrap().clone()
    }

    fn next_fault(&self) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if !self.failing.load(Ordering::Relaxed) || fastrand::u32(0..10) >= 7 {
            return None;
        }
        // Each silence takes a second, so only every tenth call is silent.
        let kinds = if call.is_multiple_of(10) { &FAULTS[5..] } else { &FAULTS[..5] };
        let fault = kinds[fastrand::usize(0..kinds.len())];
        *self.failed.lock().unwrap().entry(fault).or_default() += 1;
        Some(fault)
    }

    async fn forward(&self, headers: HeaderMap, body: Bytes) -> Response<Body> {
        let stream = TcpStream::connect(self.engine).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        *request.headers_mut() = headers;
        let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
        Response::from_parts(parts, Body::from(body.collect().await.unwrap().to_bytes()))
    }
}

async fn respond(State(faulty): State<FaultyEngine>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let transaction = headers["x-amz-target"].to_str().unwrap().ends_with("TransactWriteItems");
    match faulty.next_fault() {
        None => faulty.forward(headers, body).await,
        Some(Fault::Conflict) if transaction => {
            let reasons = json!([{"Code": "TransactionConflict", "Message": "another"}, {"Code": "None"}]);
            error(StatusCode::BAD_REQUEST, "TransactionCanceledException", json!({"CancellationReasons": reasons}))
        }
        Some(Fault::Throttled | Fault::Conflict) => error(StatusCode::BAD_REQUEST, "ThrottlingException", json!({})),
        Some(Fault::ThroughputExceeded) => {
            error(StatusCode::BAD_REQUEST, "ProvisionedThroughputExceededException", json!({}))
        }
        Some(Fault::InternalError) => error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", json!({})),
        Some(Fault::ErrorAfter) => {
            faulty.forward(headers, body).await;
            error(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", json!({}))
        }
        Some(Fault::SilenceAfter) => {
            faulty.forward(headers, body).await;
            silence().await
        }
        Some(Fault::Silence) => silence().await,
    }
}

/// A response after the caller's time-out.
async fn silence() -> Response<Body> {
    tokio::time::sleep(SILENCE).await;
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

fn error(status: StatusCode, kind: &str, mut body: serde_json::Value) -> Response<Body> {
    body["__type"] = json!(format!("com.amazonaws.dynamodb.v20120810#{kind}"));
    body["message"] = json!("a fault");
    (status, [("content-type", "application/x-amz-json-1.0")], body.to_string()).into_response()
}
