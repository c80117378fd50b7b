//! The audit bucket: its objects in the order of the keys, read and checked.

use anyhow::{Context, Result, bail};
use aws_sdk_s3::Client;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use aws_sdk_s3::primitives::DateTime;
use aws_sdk_s3::types::{
    DeleteMarkerEntry, ObjectLockMode, ObjectLockRetention, ObjectLockRetentionMode, ObjectVersion,
};
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::aws::CallContext;
use crate::progress::Meter;
use audit_log::json::sha256;
use audit_log::lock::{Lock, Mode, RequiredRetention, Retention};
use audit_log::record::{Record, check};
use audit_log::verification::{Content, Object};
use audit_log::window::Keys;

/// Objects that are read concurrently. S3 responds in about 20 ms, so this is about 2,000 objects per second.
const MAX_CONCURRENCY: usize = 48;
/// Keys that may be listed before they are read, so that the progress bar has a length.
const MAX_LISTED_AHEAD: usize = 50_000;

/// An audit bucket.
#[derive(Debug, Clone)]
pub struct Bucket {
    client: Client,
    name: String,
    /// What the locks of its objects must be, if they are read.
    required: Option<RequiredRetention>,
}

/// A key with its versions and delete markers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    pub versions: u64,
    pub delete_markers: u64,
    /// The ID of the oldest version.
    first: Option<String>,
    /// When the oldest version was written, in seconds since 1970.
    written: Option<i64>,
}

impl Listed {
    /// A key whose versions weren't listed; its current version is read.
    pub fn once(key: String) -> Self {
        Self { key, versions: 1, delete_markers: 0, first: None, written: None }
    }
}

/// An object's bytes, or why it has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    Bytes(Vec<u8>),
    Archived,
    Gone,
}

/// The retention that new objects get from the bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DefaultRetention {
    None,
    /// The permission to read it is missing.
    Unknown,
    #[serde(untagged)]
    Set(Retention),
}

/// The mode of an object's lock and its end, in seconds since 1970.
#[derive(Debug, Clone, Copy)]
struct LockEnd {
    mode: Mode,
    until: i64,
}

impl Bucket {
    pub fn new(client: Client, name: impl Into<String>) -> Self {
        Self { client, name: name.into(), required: None }
    }

    /// The same bucket, with the locks of its objects compared with what is required. GetObject names a lock if the caller may
    /// read retentions; where it names none, another call tells whether there is one.
    pub fn with_locks(self, required: RequiredRetention) -> Self {
        Self { required: Some(required), ..self }
    }

    /// The retention that new objects get. Fails when the call fails.
    pub async fn default_retention(&self) -> Result<DefaultRetention> {
        let response = self.client.get_object_lock_configuration().bucket(&self.name).send().await;
        match error_code(&response) {
            Some("ObjectLockConfigurationNotFoundError") => return Ok(DefaultRetention::None),
            Some("AccessDenied") => return Ok(DefaultRetention::Unknown),
            _ => {}
        }
        let response = response.call("s3:GetBucketObjectLockConfiguration", format!("bucket {}", self.name))?;
        let rule = response.object_lock_configuration.and_then(|configuration| configuration.rule);
        let Some(default) = rule.and_then(|rule| rule.default_retention) else { return Ok(DefaultRetention::None) };
        // The shortest year: a period in years is no longer than this at least.
        let days = default.days.map_or_else(|| i64::from(default.years.unwrap_or_default()) * 365, i64::from);
        Ok(match default.mode.as_ref().and_then(mode) {
            Some(mode) => DefaultRetention::Set(Retention { mode, days }),
            None => DefaultRetention::Unknown,
        })
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// The keys in their order, with the number of versions and delete markers of each. Lists ahead while the stream is read
    /// and lengthens `meter`. The stream ends after an error.
    pub fn list(&self, ranges: Vec<Keys>, meter: Meter) -> impl Stream<Item = Result<Listed>> + use<> {
        let (sender, receiver) = mpsc::channel(MAX_LISTED_AHEAD);
        let bucket = self.clone();
        tokio::spawn(async move {
            if let Err(error) = bucket.list_into(&ranges, &sender, &meter).await {
                // The receiver may be gone, and then the error doesn't matter.
                let _ = sender.send(Err(error)).await;
            }
        });
        stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) })
    }

    async fn list_into(&self, ranges: &[Keys], sender: &mpsc::Sender<Result<Listed>>, meter: &Meter) -> Result<()> {
        for range in ranges {
            let (mut key_marker, mut version_marker) = (range.after.clone(), None);
            let mut last: Option<Listed> = None;
            'pages: loop {
                let page = self
                    .client
                    .list_object_versions()
                    .bucket(&self.name)
                    .set_key_marker((!key_marker.is_empty()).then_some(key_marker))
                    .set_version_id_marker(version_marker)
                    .send()
                    .await
                    .call("s3:ListBucketVersions", format!("bucket {}", self.name))?;
                // A key's versions may be split over two pages, so the last key waits for the next page.
                for listed in group(last.take(), page.versions(), page.delete_markers()) {
                    if range.before.as_ref().is_some_and(|before| listed.key >= *before) {
                        break 'pages;
                    }
                    if let Some(complete) = last.replace(listed) {
                        meter.lengthen(1);
                        if sender.send(Ok(complete)).await.is_err() {
                            return Ok(());
                        }
                    }
                }
                match (page.is_truncated(), page.next_key_marker) {
                    (Some(true), Some(next)) => key_marker = next,
                    (Some(true), None) => bail!("failed to list bucket {}: the response was truncated", self.name),
                    _ => break,
                }
                version_marker = page.next_version_id_marker;
            }
            if let Some(complete) = last {
                meter.lengthen(1);
                let _ = sender.send(Ok(complete)).await;
            }
        }
        Ok(())
    }

    /// The bytes of an object's oldest version, and its lock if the bucket is one with locks.
    pub async fn read(&self, listed: &Listed) -> Result<(Body, Lock)> {
        if listed.versions == 0 {
            return Ok((Body::Gone, Lock::Unknown));
        }
        let (body, end) = self.get(&listed.key, listed.first.clone()).await?;
        let Some(required) = self.required else { return Ok((body, Lock::Unknown)) };
        let end = match end {
            Some(end) => end,
            None => match self.lock_end(&listed.key, listed.first.clone()).await? {
                Ok(end) => end,
                Err(lock) => return Ok((body, lock)),
            },
        };
        let written = listed.written.with_context(|| format!("S3 gave no time for {}", self.resource(&listed.key)))?;
        Ok((body, required.lock(Retention::between(end.mode, written, end.until))))
    }

    /// How an object's lock ends, or else that it has none, or that the permission to read it is missing.
    async fn lock_end(&self, key: &str, version: Option<String>) -> Result<Result<LockEnd, Lock>> {
        let request = self.client.get_object_retention().bucket(&self.name).key(key).set_version_id(version);
        let response = request.send().await;
        match error_code(&response) {
            // The second is of a bucket without Object Lock, such as a copy.
            Some("NoSuchObjectLockConfiguration" | "InvalidRequest") => return Ok(Err(Lock::Unlocked)),
            Some("AccessDenied") => return Ok(Err(Lock::Unknown)),
            _ => {}
        }
        let response = response.call("s3:GetObjectRetention", self.resource(key))?;
        let Some(ObjectLockRetention { mode: Some(found), retain_until_date: Some(until), .. }) = response.retention
        else {
            return Ok(Err(Lock::Unlocked));
        };
        Ok(mode(&found).map(|mode| LockEnd { mode, until: until.secs() }).ok_or(Lock::Unknown))
    }

    fn resource(&self, key: &str) -> String {
        format!("object {key} of bucket {}", self.name)
    }

    /// The bytes of an object's current version.
    pub async fn read_key(&self, key: &str) -> Result<Body> {
        Ok(self.get(key, None).await?.0)
    }

    /// The body, and how the lock ends if the response says so.
    async fn get(&self, key: &str, version: Option<String>) -> Result<(Body, Option<LockEnd>)> {
        let answer = self.client.get_object().bucket(&self.name).key(key).set_version_id(version).send().await;
        let object = match answer {
            Ok(object) => object,
            Err(error) => match absent_body(&error) {
                Some(body) => return Ok((body, None)),
                None => return Err(error).call("s3:GetObject", self.resource(key))?,
            },
        };
        let until = object.object_lock_retain_until_date().map(DateTime::secs);
        let mode = object.object_lock_mode().and_then(|found: &ObjectLockMode| mode(&found.as_str().into()));
        let end = mode.zip(until).map(|(mode, until)| LockEnd { mode, until });
        let bytes = object
            .body
            .collect()
            .await
            .with_context(|| format!("failed to read object {key}: the response was truncated"))?;
        Ok((Body::Bytes(bytes.to_vec()), end))
    }

    /// The objects of the ranges, read and checked, in the order of the keys.
    pub fn objects(&self, ranges: Vec<Keys>, meter: &Meter) -> impl Stream<Item = Result<Object>> + use<> {
        let (listed, meter) = (self.list(ranges, meter.clone()), meter.clone());
        self.clone().read_in_order(listed).inspect(move |_| meter.advance())
    }

    /// The listed objects, read and checked, in the given order.
    pub fn read_listed(&self, listed: Vec<Listed>) -> impl Stream<Item = Result<Object>> + use<> {
        self.clone().read_in_order(stream::iter(listed.into_iter().map(Ok)))
    }

    fn read_in_order(self, listed: impl Stream<Item = Result<Listed>>) -> impl Stream<Item = Result<Object>> {
        listed
            .map(move |listed| {
                let bucket = self.clone();
                // A task of its own, because checking is CPU work that can use several cores.
                let task = tokio::spawn(async move { bucket.object(listed?).await });
                async move { task.await.context("a task panicked or was cancelled")? }
            })
            .buffered(MAX_CONCURRENCY)
    }

    async fn object(&self, listed: Listed) -> Result<Object> {
        let (body, lock) = self.read(&listed).await?;
        let (content, digest) = match body {
            Body::Bytes(bytes) => {
                let digest = sha256(&bytes);
                let checked = check(&listed.key, &bytes);
                (checked.map_or_else(|finding| Content::Invalid(finding, bytes), Content::Record), Some(digest))
            }
            Body::Archived => (Content::Archived, None),
            Body::Gone => (Content::Gone, None),
        };
        let Listed { key, versions, delete_markers, first, .. } = listed;
        let first = first.filter(|_| versions + delete_markers > 1);
        Ok(Object { key, versions, delete_markers, first, digest, lock, content })
    }

    /// The record under a key, in the given or the current version. The error says what the object is instead.
    pub async fn record(&self, key: &str, version: Option<String>) -> Result<Record> {
        match self.get(key, version).await?.0 {
            Body::Bytes(bytes) => check(key, &bytes).map_err(|finding| anyhow::anyhow!("{finding}")),
            Body::Archived => bail!("{key} is archived; restore it first"),
            Body::Gone => bail!("{key} doesn't exist"),
        }
    }
}

/// A retention's mode; `None` if S3 has got a new one.
fn mode(mode: &ObjectLockRetentionMode) -> Option<Mode> {
    match mode {
        ObjectLockRetentionMode::Compliance => Some(Mode::Compliance),
        ObjectLockRetentionMode::Governance => Some(Mode::Governance),
        _ => None,
    }
}

/// The code of an error response.
fn error_code<T, E: ProvideErrorMetadata>(response: &Result<T, SdkError<E>>) -> Option<&str> {
    match response {
        Err(SdkError::ServiceError(error)) => error.err().code(),
        _ => None,
    }
}

/// The meaning of an error response, unless the call failed.
fn absent_body(error: &SdkError<GetObjectError>) -> Option<Body> {
    let SdkError::ServiceError(answer) = error else { return None };
    match answer.err().code() {
        Some("NoSuchKey" | "NoSuchVersion") => Some(Body::Gone),
        Some("InvalidObjectState") => Some(Body::Archived),
        _ => None,
    }
}

/// Groups a page by key. `last` is the last key of the previous page.
fn group(last: Option<Listed>, versions: &[ObjectVersion], markers: &[DeleteMarkerEntry]) -> Vec<Listed> {
    // Each list is sorted by key and, within a key, newest first.
    let mut entries: Vec<(&str, Option<&ObjectVersion>)> = versions
        .iter()
        .map(|version| (version.key().unwrap_or_default(), Some(version)))
        .chain(markers.iter().map(|marker| (marker.key().unwrap_or_default(), None)))
        .collect();
    entries.sort_by_key(|(key, _)| *key);
    let mut grouped: Vec<Listed> = last.into_iter().collect();
    for (key, version) in entries {
        if grouped.last().is_none_or(|listed| listed.key != key) {
            grouped.push(Listed { versions: 0, ..Listed::once(key.to_owned()) });
        }
        let Some(listed) = grouped.last_mut() else { continue };
        match version {
            Some(version) => {
                listed.versions += 1;
                listed.first = Some(version.version_id().unwrap_or("null").to_owned());
                listed.written = version.last_modified().map(DateTime::secs);
            }
            None => listed.delete_markers += 1,
        }
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(key: &str, id: &str) -> ObjectVersion {
        let written = DateTime::from_secs(id.parse().unwrap());
        ObjectVersion::builder().key(key).version_id(id).last_modified(written).build()
    }

    fn marker(key: &str) -> DeleteMarkerEntry {
        DeleteMarkerEntry::builder().key(key).version_id("m").build()
    }

    #[test]
    fn counts_versions_and_markers_by_key_across_pages() {
        let first = group(None, &[version("a", "3"), version("b", "2")], &[]);
        let pages = group(first.last().cloned(), &[version("b", "1"), version("d", "1")], &[marker("c"), marker("d")]);
        let seen: Vec<_> =
            pages.iter().map(|l| (l.key.as_str(), l.versions, l.delete_markers, l.first.as_deref())).collect();
        assert_eq!(seen, [("b", 2, 0, Some("1")), ("c", 0, 1, None), ("d", 1, 1, Some("1"))]);
        assert_eq!(first.len(), 2);
        let written: Vec<_> = pages.iter().map(|listed| listed.written).collect();
        assert_eq!(written, [Some(1), None, Some(1)], "when the oldest version was written");
    }
}
