//! The functions: the version that serves, the last release, and the event source mappings of the consumers.

use anyhow::Result;
use aws_sdk_s3::error::ProvideErrorMetadata;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::aws::{CallContext, Cause};
use crate::aws_json::{Request, Service, call};
use crate::target::Target;

/// The functions by their repositories' names.
pub const FUNCTIONS: [&str; 7] = [
    "list-products",
    "get-product",
    "create-product",
    "update-product",
    "delete-product",
    "product-creator",
    "audit-logger",
];
const CONSUMERS: [&str; 2] = ["product-creator", "audit-logger"];
/// The alias that is called.
const ALIAS: &str = "live";

/// The version that a function's alias `live` points to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Function {
    pub repository: &'static str,
    pub name: String,
    /// Absent before the first deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_version: Option<String>,
    /// When that version was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published_at: Option<String>,
    /// The last release whose smoke test passed; absent if none is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_release: Option<Release>,
}

/// A release as its pipeline recorded it: `release-record.sh` for a function, `apply.sh` for the infrastructure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Release {
    pub commit: String,
    /// A function's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When the smoke test passed; null if it didn't.
    #[serde(default)]
    pub proven_at: Option<String>,
}

/// An event source mapping of a consumer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Mapping {
    pub function: String,
    /// Lambda's word, such as `Enabled` or `Disabled`; `NOT_FOUND` if the function has no mapping.
    pub state: String,
}

fn name(target: &Target, repository: &str) -> String {
    format!("bbws-{repository}-{}", target.environment)
}

/// Reads the functions' live versions.
pub async fn read(target: &Target) -> Result<Vec<Function>> {
    try_join_all(FUNCTIONS.map(|repository| live(target, repository))).await
}

/// GetFunctionConfiguration, as far as it is read here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Configuration {
    version: String,
    last_modified: Option<String>,
}

async fn live(target: &Target, repository: &'static str) -> Result<Function> {
    let name = name(target, repository);
    let request = Request::Path(format!("/2015-03-31/functions/{name}/configuration?Qualifier={ALIAS}"));
    let resource = format!("function {name}");
    let found: Result<Configuration, _> =
        call(&target.config, Service::Lambda, request, "lambda:GetFunctionConfiguration", resource).await;
    let found = match found {
        Ok(found) => Some(found),
        Err(error) if error.cause == Cause::NotFound => None,
        Err(error) => return Err(error.into()),
    };
    let (live_version, published_at) = found.map(|found| (found.version, found.last_modified)).unzip();
    Ok(Function { repository, name, live_version, published_at: published_at.flatten(), last_release: None })
}

/// ListEventSourceMappings, as far as it is read here. A function has one or two, so there is one page.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Mappings {
    #[serde(default)]
    event_source_mappings: Vec<EventSourceMapping>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct EventSourceMapping {
    state: String,
}

/// Reads the event source mappings of the consumers.
pub async fn mappings(target: &Target) -> Result<Vec<Mapping>> {
    Ok(try_join_all(CONSUMERS.map(|repository| of_consumer(target, repository))).await?.concat())
}

async fn of_consumer(target: &Target, repository: &str) -> Result<Vec<Mapping>> {
    let function = name(target, repository);
    let request = Request::Path(format!("/2015-03-31/event-source-mappings?FunctionName={function}%3A{ALIAS}"));
    let resource = format!("function {function}");
    let found: Result<Mappings, _> =
        call(&target.config, Service::Lambda, request, "lambda:ListEventSourceMappings", resource).await;
    let found = match found {
        Ok(found) => found.event_source_mappings,
        Err(error) if error.cause == Cause::NotFound => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let mut states: Vec<String> = found.into_iter().map(|mapping| mapping.state).collect();
    if states.is_empty() {
        states.push("NOT_FOUND".to_owned());
    }
    Ok(states.into_iter().map(|state| Mapping { function: function.clone(), state }).collect())
}

/// The recorded releases, by the path of their record: those of the functions, and of the shared infrastructure.
pub async fn releases(target: &Target) -> Result<Vec<(String, Release)>> {
    let records = FUNCTIONS.map(|repository| (repository, "released")).into_iter();
    let records = records.chain([("product-infrastructure", "shared")]);
    let read = try_join_all(records.map(|(repository, record)| release(target, repository, record))).await?;
    Ok(read.into_iter().flatten().collect())
}

async fn release(target: &Target, repository: &str, record: &str) -> Result<Option<(String, Release)>> {
    // The bucket of the Terraform states, where the pipelines record what they released.
    let bucket = format!("bbws-terraform-state-{}", target.environment);
    let key = format!("{repository}/releases/{record}.json");
    let response = target.s3().get_object().bucket(&bucket).key(&key).send().await;
    if let Err(error) = &response
        && matches!(error.code(), Some("NoSuchKey" | "NoSuchBucket"))
    {
        return Ok(None);
    }
    let object = response.call("s3:GetObject", format!("object s3://{bucket}/{key}"))?;
    let bytes = object.body.collect().await?.into_bytes();
    let release = serde_json::from_slice(&bytes)
        .map_err(|error| anyhow::anyhow!("s3://{bucket}/{key} isn't the record of a release: {error}"))?;
    Ok(Some((repository.to_owned(), release)))
}
