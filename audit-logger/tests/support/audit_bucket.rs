//! A bucket: an HTTP server in this process with the part of S3 that the function uses, conditional writes included, for the
//! real SDK client.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::config::Credentials;
use aws_sdk_s3::config::SharedCredentialsProvider;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::put;

/// Name of the bucket in tests.
pub const BUCKET: &str = "bbws-product-audit-logs-dev";

/// The bucket's objects, and the status with which it refuses requests.
#[derive(Clone, Default)]
pub struct Bucket {
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    refusal: Arc<Mutex<Option<StatusCode>>>,
    refusal_of_writes: Arc<Mutex<Option<StatusCode>>>,
}

impl Bucket {
    /// All objects by key, as JSON.
    pub fn all(&self) -> BTreeMap<String, serde_json::Value> {
        let objects = self.objects.lock().unwrap();
        objects.iter().map(|(key, bytes)| (key.clone(), serde_json::from_slice(bytes).unwrap())).collect()
    }

    pub fn store(&self, key: &str, bytes: &[u8]) {
        self.objects.lock().unwrap().insert(key.to_owned(), bytes.to_vec());
    }

    /// From now on each request is refused with `status`, or served.
    pub fn refuse(&self, status: Option<StatusCode>) {
        *self.refusal.lock().unwrap() = status;
    }

    /// From now on each write is refused with `status`; reads are served.
    pub fn refuse_writes(&self, status: StatusCode) {
        *self.refusal_of_writes.lock().unwrap() = Some(status);
    }
}

/// An empty bucket and a client's configuration for it.
pub async fn start() -> (SdkConfig, Bucket) {
    let (address, bucket) = serve_bucket().await;
    (configuration(&format!("http://{address}")), bucket)
}

/// An empty bucket and its address.
pub async fn serve_bucket() -> (SocketAddr, Bucket) {
    let bucket = Bucket::default();
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router =
        Router::new().route(&format!("/{BUCKET}/{{*key}}"), put(put_object).get(get_object)).with_state(bucket.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, bucket)
}

/// The configuration of a client whose endpoint refuses connections.
pub fn unreachable() -> SdkConfig {
    // Port 1 of the loopback interface refuses connections at once.
    configuration("http://127.0.0.1:1")
}

fn configuration(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("test", "test", None, None, "test");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .region(Region::new("eu-west-1"))
        .endpoint_url(endpoint)
        .build()
}

async fn put_object(
    State(bucket): State<Bucket>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    if let Some(status) = bucket.refusal.lock().unwrap().or(*bucket.refusal_of_writes.lock().unwrap()) {
        return status;
    }
    // The bucket's policy refuses writes that could overwrite an object.
    assert_eq!(headers["if-none-match"], "*");
    assert_eq!(headers["content-type"], "application/json");
    let mut objects = bucket.objects.lock().unwrap();
    if objects.contains_key(&key) {
        return StatusCode::PRECONDITION_FAILED;
    }
    objects.insert(key, body.to_vec());
    StatusCode::OK
}

async fn get_object(State(bucket): State<Bucket>, Path(key): Path<String>) -> (StatusCode, Vec<u8>) {
    if let Some(status) = *bucket.refusal.lock().unwrap() {
        return (status, Vec::new());
    }
    match bucket.objects.lock().unwrap().get(&key) {
        Some(bytes) => (StatusCode::OK, bytes.clone()),
        None => (StatusCode::NOT_FOUND, Vec::new()),
    }
}
