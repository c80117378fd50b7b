//! The function as Lambda runs it: a program that gets its events from the Runtime API (Lambda developer guide, "Using the
//! Lambda runtime API"), which this process serves.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode};
use axum::response::{AppendHeaders, IntoResponse};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};

/// Where a program that was built for measuring coverage writes its profile when it ends.
const PROFILE: &str = "LLVM_PROFILE_FILE";

/// A running function. It ends when this is dropped.
pub struct Lambda {
    program: Child,
    events: mpsc::UnboundedSender<Invocation>,
    log: watch::Receiver<Vec<String>>,
}

/// The result of an invocation: the response, or the error of the handler.
type Outcome = Result<Value, Value>;

struct Invocation {
    event: String,
    time: Duration,
    response: oneshot::Sender<Outcome>,
}

#[derive(Clone)]
struct RuntimeApi {
    events: Arc<tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>>,
    running: Arc<Mutex<HashMap<String, oneshot::Sender<Outcome>>>>,
}

impl Lambda {
    /// Starts `program` with the variables that Lambda sets, and its own. It calls AWS at `endpoint`.
    pub async fn start(program: &str, endpoint: SocketAddr, variables: &[(&str, &str)]) -> Self {
        // A program that is killed while it writes its profile leaves a damaged one, which ends the whole measurement.
        Self::start_profiled(program, endpoint, &[variables, &[(PROFILE, "/dev/null")]].concat()).await
    }

    /// The same, with a coverage profile if it was built for one. To be ended by `stop`.
    pub async fn start_profiled(program: &str, endpoint: SocketAddr, variables: &[(&str, &str)]) -> Self {
        let (events, waiting) = mpsc::unbounded_channel();
        let api = RuntimeApi { events: Arc::new(tokio::sync::Mutex::new(waiting)), running: Arc::default() };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{outcome}", post(finished))
            .with_state(api);
        tokio::spawn(async move { axum::serve(listener, router).await });

        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(std::env::var_os(PROFILE).map(|file| (PROFILE, file)))
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", "function-under-test"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256"),
                ("AWS_REGION", "eu-west-1"),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
                ("AWS_SESSION_TOKEN", "test"),
            ])
            .env("AWS_ENDPOINT_URL", format!("http://{endpoint}"))
            .envs(variables.iter().copied())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut program = command.spawn().unwrap();
        let (write, log) = watch::channel(Vec::new());
        let write = Arc::new(write);
        keep_lines(program.stdout.take().unwrap(), write.clone());
        keep_lines(program.stderr.take().unwrap(), write);
        Self { program, events, log }
    }

    /// Invokes the function with a deadline of 6 s, the time-out of the API functions.
    pub async fn invoke(&self, event: &Value) -> Outcome {
        self.invoke_within(event, Duration::from_secs(6)).await
    }

    /// The same, with the given deadline in its headers.
    pub async fn invoke_within(&self, event: &Value, time: Duration) -> Outcome {
        let (response, received) = oneshot::channel();
        self.events.send(Invocation { event: event.to_string(), time, response }).unwrap();
        tokio::time::timeout(time, received).await.expect("a response before the deadline").unwrap()
    }

    /// Everything logged so far to standard output and standard error, once it has at least this number of lines.
    pub async fn log(&self, lines: usize) -> Vec<String> {
        let mut log = self.log.clone();
        let enough = log.wait_for(|log| log.len() >= lines);
        tokio::time::timeout(Duration::from_secs(10), enough).await.expect("enough lines").unwrap().clone()
    }

    /// Lets the program end by itself: the Runtime API has no further events.
    pub async fn stop(self) {
        let Self { mut program, events, .. } = self;
        drop(events);
        tokio::time::timeout(Duration::from_secs(10), program.wait()).await.expect("an end").unwrap();
    }

    /// Kills the program (SIGKILL).
    pub async fn kill(mut self) {
        self.program.kill().await.unwrap();
    }
}

fn keep_lines(output: impl tokio::io::AsyncRead + Send + Unpin + 'static, log: Arc<watch::Sender<Vec<String>>>) {
    let mut lines = BufReader::new(output).lines();
    tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            log.send_modify(|log| log.push(line));
        }
    });
}

async fn next(State(api): State<RuntimeApi>) -> impl IntoResponse {
    static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1);
    let Some(Invocation { event, time, response }) = api.events.lock().await.recv().await else {
        return Err(StatusCode::GONE);
    };
    let id = format!("invocation-{}", COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    let deadline = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + time;
    api.running.lock().unwrap().insert(id.clone(), response);
    let headers = AppendHeaders([
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", deadline.as_millis().to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:123456789012:function:test".to_owned()),
        ("lambda-runtime-trace-id", "Root=1-65b00000-000000000000000000000000;Sampled=0".to_owned()),
    ]);
    Ok((headers, event))
}

async fn finished(
    State(api): State<RuntimeApi>,
    Path((id, outcome)): Path<(String, String)>,
    body: String,
) -> StatusCode {
    let body = serde_json::from_str(&body).unwrap_or(Value::String(body));
    let result = if outcome == "response" { Ok(body) } else { Err(body) };
    if let Some(response) = api.running.lock().unwrap().remove(&id) {
        // After the deadline the caller no longer waits for the response.
        let _ = response.send(result);
    }
    StatusCode::ACCEPTED
}

/// An endpoint that accepts connections and never responds.
pub async fn silence() -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let mut connections = Vec::new();
        while let Ok((connection, _)) = listener.accept().await {
            connections.push(connection);
        }
    });
    address
}

/// An endpoint that refuses connections.
pub fn nobody() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 1))
}

/// An endpoint that responds to each request with this status and AWS error.
pub async fn refusal(status: StatusCode, error: &'static str) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let body = serde_json::json!({"__type": error, "message": "no"}).to_string();
    let router = Router::new().fallback(move || async move { (status, body) });
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// An endpoint that responds to each request with `{}`, and a list of its connections and of the methods of its requests.
pub async fn witness() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let (connections, requests) = (seen.clone(), seen.clone());
    let listener = listener.tap_io(move |_| connections.lock().unwrap().push("connection".to_owned()));
    let router = Router::new().fallback(move |method: Method| async move {
        requests.lock().unwrap().push(method.to_string());
        "{}"
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, seen)
}
