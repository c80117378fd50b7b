//! A system for the commands to work on: a table, a bucket and queues behind one address, and `catalogctl` as a program
//! that finds it as it finds AWS.

use std::path::Path;
use std::process::Stdio;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use serde_json::Value;

use super::audit_bucket::Bucket;
use super::lives::Catalogue;
use super::log_groups::LogGroups;
use super::products_table;
use super::queues::Queues;

/// Name of the table in tests.
pub const TABLE: &str = "products";

/// A system in this process.
pub struct System {
    pub endpoint: String,
    pub bucket: Bucket,
    pub queues: Queues,
    pub logs: LogGroups,
    pub dynamodb: aws_sdk_dynamodb::Client,
}

/// How a command ended.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Fails unless the command ended with this code.
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}\n{}", self.stdout, self.stderr);
        self
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

#[derive(Clone)]
struct Front {
    dynamodb: String,
    http: reqwest::Client,
    queues: Queues,
    logs: LogGroups,
}

impl System {
    /// A system with an empty table, an empty bucket and empty queues.
    pub async fn empty() -> Self {
        let (bucket, queues, logs) = (Bucket::default(), Queues::default(), LogGroups::default());
        let front = Front {
            dynamodb: products_table::start().await,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            queues: queues.clone(),
            logs: logs.clone(),
        };
        let router = Router::new().route("/", post(call)).with_state(front).merge(bucket.router());
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let dynamodb = aws_sdk_dynamodb::Client::new(&configuration(&endpoint));
        products_table::create(&dynamodb, TABLE).await;
        Self { endpoint, bucket, queues, logs, dynamodb }
    }

    /// A system that holds a catalogue.
    pub async fn of(catalogue: &Catalogue) -> Self {
        let system = Self::empty().await;
        for (key, bytes) in catalogue.objects() {
            system.bucket.put(&key, &bytes);
        }
        for item in catalogue.items().into_iter().chain(catalogue.journal()) {
            products_table::put(&system.dynamodb, TABLE, item).await;
        }
        system
    }

    /// Runs `catalogctl` on this system.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        run_against(&self.endpoint, arguments).await
    }
}

/// Runs `catalogctl` as one would against an environment `dev` at this address.
pub async fn run_against(endpoint: &str, arguments: &[&str]) -> Ended {
    run_alone(endpoint, &[arguments, &["--env", "dev"]].concat()).await
}

/// Runs `catalogctl` against this address, and says no more than this.
pub async fn run_alone(endpoint: &str, arguments: &[&str]) -> Ended {
    run_in(Path::new(env!("CARGO_MANIFEST_DIR")), endpoint, arguments).await
}

/// Runs `catalogctl` in that folder.
pub async fn run_in(folder: &Path, endpoint: &str, arguments: &[&str]) -> Ended {
    let mut command = program(folder, arguments);
    ended(command.env("AWS_ENDPOINT_URL", endpoint)).await
}

/// Runs `catalogctl` on the local stack that CATALOGUE_LOCAL names.
pub async fn run_locally(arguments: &[&str]) -> Ended {
    let stack = std::env::var_os("CATALOGUE_LOCAL").expect("CATALOGUE_LOCAL must name the stack's file");
    ended(program(Path::new(env!("CARGO_MANIFEST_DIR")), arguments).env("CATALOGUE_LOCAL", stack)).await
}

/// `catalogctl` as a program that knows of no system yet.
pub fn program(folder: &Path, arguments: &[&str]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_catalogctl"));
    command
        .args(arguments)
        .current_dir(folder)
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        // Not this machine's own profile.
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env_remove("AWS_PROFILE")
        .env_remove("CATALOGUE_ENV")
        .env_remove("CATALOGUE_LOCAL")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn ended(command: &mut tokio::process::Command) -> Ended {
    let output = command.output().await.unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The SDK's configuration for services at this address.
pub fn configuration(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(catalogctl::aws::http_client())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .region(Region::new("eu-west-1"))
        .endpoint_url(endpoint)
        .build()
}

/// A call to SQS, to CloudWatch Logs or, handed on as it is, to DynamoDB.
async fn call(State(front): State<Front>, headers: HeaderMap, body: Bytes) -> Response {
    let target = headers["x-amz-target"].to_str().unwrap();
    if let Some(action) = target.strip_prefix("AmazonSQS.") {
        return front.queues.answer(action, &serde_json::from_slice(&body).unwrap()).into_response();
    }
    if target == "Logs_20140328.FilterLogEvents" {
        return front.logs.filter(&serde_json::from_slice(&body).unwrap());
    }
    let mut request = front.http.post(&front.dynamodb).body(body.to_vec());
    for name in ["x-amz-target", "content-type", "authorization", "x-amz-date"] {
        if let Some(value) = headers.get(name) {
            request = request.header(name, value.to_str().unwrap());
        }
    }
    let answer = request.send().await.unwrap();
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap();
    (status, [("content-type", "application/x-amz-json-1.0")], answer.bytes().await.unwrap().to_vec()).into_response()
}
