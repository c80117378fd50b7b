//! A versioned bucket in this process: as much of S3 as is asked for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Router, response::IntoResponse, response::Response};

use super::lives::timestamp;

/// Name of the bucket in tests.
pub const BUCKET: &str = "bbws-product-audit-logs-dev";
/// Versions in a page, unless S3's own size is asked for: few, so that every list has pages.
const PAGE: usize = 7;
/// Versions in a page of S3.
const FULL_PAGE: usize = 1_000;

/// Oldest first; `None` is a delete marker.
type Versions = Vec<Option<Vec<u8>>>;

/// Mode and days of a lock.
pub type Retention = (&'static str, u64);

/// What a lock is unless a test says otherwise.
pub const RETENTION: Retention = ("COMPLIANCE", 2_557);
/// When every object was written, in milliseconds since 1970.
const WRITTEN: u64 = 1_793_448_000_000;

/// What a bucket holds, by key.
#[derive(Clone)]
pub struct Bucket {
    page: usize,
    latency: Latency,
    objects: Arc<Mutex<BTreeMap<String, Versions>>>,
    archived: Arc<Mutex<BTreeSet<String>>>,
    unlocked: Arc<Mutex<BTreeSet<String>>>,
    /// Mode and days of the locks of these objects; of the others, [`RETENTION`].
    retentions: Arc<Mutex<BTreeMap<String, Retention>>>,
    /// What new objects get, the answer 404 or the answer 403.
    default_retention: Arc<Mutex<Result<Option<Retention>, ()>>>,
    /// Archived objects that are being restored, and those that were.
    restoring: Arc<Mutex<BTreeSet<String>>>,
    restored: Arc<Mutex<BTreeSet<String>>>,
    /// Objects that are never answered, or that S3 fails to answer.
    stalled: Arc<Mutex<BTreeSet<String>>>,
    failing: Arc<Mutex<BTreeSet<String>>>,
    /// How often each object was read.
    reads: Arc<Mutex<BTreeMap<String, usize>>>,
}

/// How long a bucket takes to answer.
#[derive(Clone, Copy, Default)]
pub struct Latency {
    pub get: Duration,
    pub list: Duration,
}

impl Default for Bucket {
    fn default() -> Self {
        Self {
            page: PAGE,
            latency: Latency::default(),
            objects: Arc::default(),
            archived: Arc::default(),
            unlocked: Arc::default(),
            retentions: Arc::default(),
            default_retention: Arc::new(Mutex::new(Ok(Some(RETENTION)))),
            restoring: Arc::default(),
            restored: Arc::default(),
            stalled: Arc::default(),
            failing: Arc::default(),
            reads: Arc::default(),
        }
    }
}

impl Bucket {
    /// A bucket with pages and answering times such as those of S3.
    pub fn distant(latency: Latency) -> Self {
        Self { page: FULL_PAGE, latency, ..Self::default() }
    }

    /// Writes a version.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        self.objects.lock().unwrap().entry(key.to_owned()).or_default().push(Some(bytes.to_vec()));
    }

    /// Puts a delete marker on top.
    pub fn delete(&self, key: &str) {
        self.objects.lock().unwrap().entry(key.to_owned()).or_default().push(None);
    }

    /// Takes away every trace.
    pub fn remove(&self, key: &str) {
        self.objects.lock().unwrap().remove(key);
    }

    /// Replaces the only version by another, leaving no trace.
    pub fn alter(&self, key: &str, bytes: &[u8]) {
        self.remove(key);
        self.put(key, bytes);
    }

    pub fn archive(&self, key: &str) {
        self.archived.lock().unwrap().insert(key.to_owned());
    }

    /// The restores that were requested are done.
    pub fn finish_restores(&self) {
        self.restored.lock().unwrap().append(&mut self.restoring.lock().unwrap());
    }

    /// Takes away the retention.
    pub fn unlock(&self, key: &str) {
        self.unlocked.lock().unwrap().insert(key.to_owned());
    }

    /// Gives the object a lock of that mode, for that number of days.
    pub fn relock(&self, key: &str, retention: Retention) {
        self.retentions.lock().unwrap().insert(key.to_owned(), retention);
    }

    /// What new objects get: `Ok(None)` is nothing, and `Err(())` a denied permission to read it.
    pub fn set_default_retention(&self, retention: Result<Option<Retention>, ()>) {
        *self.default_retention.lock().unwrap() = retention;
    }

    /// The mode of the object's lock, and its end.
    fn lock_of(&self, key: &str) -> Option<(&'static str, String)> {
        if self.unlocked.lock().unwrap().contains(key) {
            return None;
        }
        let (mode, days) = self.retentions.lock().unwrap().get(key).copied().unwrap_or(RETENTION);
        Some((mode, timestamp(WRITTEN + days * 24 * 60 * 60 * 1_000)))
    }

    /// From now on, a read of the object gets no answer.
    pub fn stall(&self, key: &str) {
        self.stalled.lock().unwrap().insert(key.to_owned());
    }

    /// From now on, a read of the object gets the answer 403.
    pub fn refuse(&self, key: &str) {
        self.failing.lock().unwrap().insert(key.to_owned());
    }

    /// Answers all reads again.
    pub fn recover(&self) {
        self.stalled.lock().unwrap().clear();
        self.failing.lock().unwrap().clear();
    }

    /// How often the object was read.
    pub fn reads(&self, key: &str) -> usize {
        self.reads.lock().unwrap().get(key).copied().unwrap_or_default()
    }

    pub fn keys(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }

    pub fn read(&self, key: &str) -> Option<Vec<u8>> {
        self.objects.lock().unwrap().get(key)?.last()?.clone()
    }

    pub fn router(&self) -> Router {
        Router::new()
            .route(&format!("/{BUCKET}"), get(list))
            .route(&format!("/{BUCKET}/"), get(list))
            .route(&format!("/{BUCKET}/{{*key}}"), get(get_object).put(put_object).post(restore_object))
            .with_state(self.clone())
    }
}

type Parameters = Query<BTreeMap<String, String>>;

async fn list(State(bucket): State<Bucket>, Query(parameters): Parameters) -> Response {
    if parameters.contains_key("object-lock") {
        return object_lock_configuration(&bucket);
    }
    if parameters.contains_key("list-type") {
        return list_current(&bucket, &parameters);
    }
    assert!(parameters.contains_key("versions"), "{parameters:?}");
    wait(bucket.latency.list).await;
    let parameter = |name: &str| parameters.get(name).cloned().unwrap_or_default();
    let (key_marker, version_marker) = (parameter("key-marker"), parameter("version-id-marker"));
    let objects = bucket.objects.lock().unwrap();
    let mut entries = objects.range(key_marker.clone()..).flat_map(|(key, versions)| {
        versions.iter().enumerate().rev().map(move |(place, version)| (key, place, version.is_some()))
    });
    let after_marker = |(key, place, _): &(&String, usize, bool)| match version_marker.parse::<usize>() {
        Ok(marker) => (**key == key_marker && *place < marker) || **key > key_marker,
        Err(_) => **key > key_marker,
    };
    let mut xml = String::from("<ListVersionsResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    let page: Vec<_> = entries.by_ref().filter(after_marker).take(bucket.page + 1).collect();
    let written = timestamp(WRITTEN);
    for (key, place, there) in page.iter().take(bucket.page) {
        let element = if *there { "Version" } else { "DeleteMarker" };
        xml.push_str(&format!(
            "<{element}><Key>{key}</Key><VersionId>{place}</VersionId><LastModified>{written}</LastModified></{element}>"
        ));
    }
    if page.len() > bucket.page {
        let (key, place, _) = page[bucket.page - 1];
        xml.push_str(&format!(
            "<IsTruncated>true</IsTruncated><NextKeyMarker>{key}</NextKeyMarker>\
             <NextVersionIdMarker>{place}</NextVersionIdMarker>"
        ));
    }
    xml.push_str("</ListVersionsResult>");
    ([("content-type", "application/xml")], xml).into_response()
}

fn object_lock_configuration(bucket: &Bucket) -> Response {
    let rule = match *bucket.default_retention.lock().unwrap() {
        Ok(Some((mode, days))) => {
            format!("<Rule><DefaultRetention><Mode>{mode}</Mode><Days>{days}</Days></DefaultRetention></Rule>")
        }
        Ok(None) => String::new(),
        Err(()) => return error(StatusCode::FORBIDDEN, "AccessDenied"),
    };
    let xml = format!(
        "<ObjectLockConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
         <ObjectLockEnabled>Enabled</ObjectLockEnabled>{rule}</ObjectLockConfiguration>"
    );
    ([("content-type", "application/xml")], xml).into_response()
}

/// ListObjectsV2, in one page.
fn list_current(bucket: &Bucket, parameters: &BTreeMap<String, String>) -> Response {
    let after = parameters.get("start-after").cloned().unwrap_or_default();
    let (archived, restoring, restored) =
        (bucket.archived.lock().unwrap(), bucket.restoring.lock().unwrap(), bucket.restored.lock().unwrap());
    let mut xml = String::from("<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">");
    for key in bucket.keys().into_iter().filter(|key| *key > after) {
        let class = if archived.contains(&key) { "GLACIER" } else { "STANDARD" };
        let status = match () {
            () if restoring.contains(&key) => {
                "<RestoreStatus><IsRestoreInProgress>true</IsRestoreInProgress></RestoreStatus>"
            }
            () if restored.contains(&key) => {
                "<RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress>\
                 <RestoreExpiryDate>2033-11-01T00:00:00Z</RestoreExpiryDate></RestoreStatus>"
            }
            () => "",
        };
        xml.push_str(&format!("<Contents><Key>{key}</Key><StorageClass>{class}</StorageClass>{status}</Contents>"));
    }
    xml.push_str("</ListBucketResult>");
    ([("content-type", "application/xml")], xml).into_response()
}

async fn restore_object(
    State(bucket): State<Bucket>,
    Path(key): Path<String>,
    Query(parameters): Parameters,
    body: String,
) -> Response {
    assert!(parameters.contains_key("restore"), "{parameters:?}");
    assert!(body.contains("<Days>7</Days>") && body.contains("<Tier>Bulk</Tier>"), "{body}");
    assert!(bucket.archived.lock().unwrap().contains(&key), "{key} isn't archived");
    if !bucket.restoring.lock().unwrap().insert(key) {
        return error(StatusCode::CONFLICT, "RestoreAlreadyInProgress");
    }
    StatusCode::ACCEPTED.into_response()
}

async fn get_object(State(bucket): State<Bucket>, Path(key): Path<String>, Query(parameters): Parameters) -> Response {
    wait(bucket.latency.get).await;
    *bucket.reads.lock().unwrap().entry(key.clone()).or_default() += 1;
    if bucket.stalled.lock().unwrap().contains(&key) {
        std::future::pending::<()>().await;
    }
    if bucket.failing.lock().unwrap().contains(&key) {
        return error(StatusCode::FORBIDDEN, "ExpiredToken");
    }
    if parameters.contains_key("retention") {
        let Some((mode, until)) = bucket.lock_of(&key) else {
            return error(StatusCode::NOT_FOUND, "NoSuchObjectLockConfiguration");
        };
        assert!(bucket.archived.lock().unwrap().contains(&key), "GetObject has said that {key} is locked");
        let retention = format!("<Retention><Mode>{mode}</Mode><RetainUntilDate>{until}</RetainUntilDate></Retention>");
        return ([("content-type", "application/xml")], retention).into_response();
    }
    if bucket.archived.lock().unwrap().contains(&key) && !bucket.restored.lock().unwrap().contains(&key) {
        return error(StatusCode::FORBIDDEN, "InvalidObjectState");
    }
    let objects = bucket.objects.lock().unwrap();
    let versions = objects.get(&key);
    let version = match parameters.get("versionId") {
        Some(id) => versions.and_then(|versions| versions.get(id.parse::<usize>().unwrap())),
        None => versions.and_then(|versions| versions.last()),
    };
    match version.cloned().flatten() {
        Some(bytes) => match bucket.lock_of(&key) {
            Some((mode, until)) => {
                let headers = [("x-amz-object-lock-mode", mode), ("x-amz-object-lock-retain-until-date", &until)];
                (headers, bytes).into_response()
            }
            None => bytes.into_response(),
        },
        None => error(StatusCode::NOT_FOUND, "NoSuchKey"),
    }
}

async fn put_object(
    State(bucket): State<Bucket>,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    assert_eq!(headers["if-none-match"], "*");
    if bucket.read(&key).is_some() {
        return StatusCode::PRECONDITION_FAILED;
    }
    bucket.put(&key, &body);
    StatusCode::OK
}

async fn wait(latency: Duration) {
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
}

fn error(status: StatusCode, code: &str) -> Response {
    (status, format!("<Error><Code>{code}</Code><Message>no</Message></Error>")).into_response()
}
