//! The few calls to AWS that Terraform does not make.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_apigateway::config::{Credentials, SharedHttpClient};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::environment::Environment;
use crate::process::External;
use crate::stack::{ACCESS_KEY_ID, ACCOUNT_ID, ENVIRONMENT, REGION, SECRET_ACCESS_KEY};
use crate::terraform::foreign_settings;
use crate::workspace::Workspace;

/// What carries every call.
pub fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// The configuration for a local stack, whatever this machine's own profile says.
pub async fn local(endpoint: &str) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        .endpoint_url(endpoint)
        .region(Region::from_static(REGION))
        .credentials_provider(Credentials::new(ACCESS_KEY_ID, SECRET_ACCESS_KEY, None, None, "local stack"))
        .load()
        .await
}

/// S3, with the bucket in the path: a host name for each bucket needs a name server that knows it.
pub fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(config).force_path_style(true).build();
    aws_sdk_s3::Client::from_conf(config)
}

/// An object's bytes.
pub async fn read_object(client: &aws_sdk_s3::Client, bucket: &str, key: &str) -> Result<Vec<u8>> {
    let object = client.get_object().bucket(bucket).key(key).send().await;
    let object = object.with_context(|| format!("{key} cannot be read from {bucket}"))?;
    let body = object.body.collect().await.with_context(|| format!("{key} in {bucket} breaks off"))?;
    Ok(body.into_bytes().to_vec())
}

/// The AWS CLI, for questions that are not worth an SDK crate each: on a local stack, answering in JSON.
pub fn cli(workspace: &Workspace, endpoint: &str, log: &Path) -> External {
    External::new(Environment::aws_cli(workspace).program("aws"), log)
        .append()
        .without_env(foreign_settings(std::env::vars_os().map(|(name, _)| name)))
        .env("AWS_REGION", REGION)
        .env("AWS_DEFAULT_REGION", REGION)
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY_ID)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_ACCESS_KEY)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("NO_PROXY", "*")
        // Not AWS_ENDPOINT_URL, which version 1 of the CLI does not honour for SQS.
        .args(["--output", "json", "--endpoint-url", endpoint])
}

/// Deletes every version of every object, those under a governance lock too; a bucket that is not there is empty.
pub async fn empty_bucket(config: &SdkConfig, bucket: &str) -> Result<()> {
    let client = s3(config);
    if client.head_bucket().bucket(bucket).send().await.is_err() {
        return Ok(());
    }
    loop {
        let listed = client.list_object_versions().bucket(bucket).send().await;
        let listed = listed.with_context(|| format!("the bucket {bucket} cannot be listed"))?;
        let versions = listed.versions().iter().map(|version| (version.key(), version.version_id()));
        let markers = listed.delete_markers().iter().map(|marker| (marker.key(), marker.version_id()));
        let doomed: Vec<_> = versions.chain(markers).collect();
        if doomed.is_empty() {
            return Ok(());
        }
        for (key, version) in doomed {
            client
                .delete_object()
                .bucket(bucket)
                .set_key(key.map(str::to_owned))
                .set_version_id(version.map(str::to_owned))
                .bypass_governance_retention(true)
                .send()
                .await
                .with_context(|| format!("{} cannot be deleted from {bucket}", key.unwrap_or_default()))?;
        }
    }
}

/// Makes the REST API's methods, as they are now, what the stage serves.
pub async fn deploy_api(config: &SdkConfig, rest_api_id: &str) -> Result<()> {
    aws_sdk_apigateway::Client::new(config)
        .create_deployment()
        .rest_api_id(rest_api_id)
        .stage_name(ENVIRONMENT)
        .description("catalogctl up")
        .send()
        .await
        .with_context(|| format!("the API {rest_api_id} cannot be deployed to the stage {ENVIRONMENT}"))?;
    Ok(())
}

/// The secret that holds an environment's current API key.
pub fn api_key_secret(environment: &str) -> String {
    format!("bbws/product-api/key-{environment}")
}

/// The current API key's value.
pub async fn api_key(config: &SdkConfig, environment: &str) -> Result<String> {
    let name = api_key_secret(environment);
    let secret = aws_sdk_secretsmanager::Client::new(config)
        .get_secret_value()
        .secret_id(&name)
        .send()
        .await
        .with_context(|| format!("the secret {name} cannot be read"))?;
    match secret.secret_string() {
        Some(value) if !value.is_empty() => Ok(value.to_owned()),
        _ => bail!("the secret {name} is empty"),
    }
}

/// Whether the emulator still holds what was applied to it. It writes its state when it stops, and a crash can undo what
/// Terraform's state, written at once, still describes.
pub async fn holds_stack(config: &SdkConfig, rest_api_id: &str, functions: impl Iterator<Item = &str>) -> bool {
    let api = aws_sdk_apigateway::Client::new(config)
        .get_stage()
        .rest_api_id(rest_api_id)
        .stage_name(ENVIRONMENT)
        .send()
        .await;
    if api.is_err() || api_key(config, ENVIRONMENT).await.is_err() {
        return false;
    }
    let (Some(endpoint), Ok(client)) =
        (config.endpoint_url(), reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build())
    else {
        return false;
    };
    for function in functions {
        // Where the emulator keeps the functions' packages. GetFunction would have to be signed, and one question is not
        // worth another SDK crate.
        let url = format!("{endpoint}/_ministack/lambda-code/{ACCOUNT_ID}/{REGION}/{function}");
        if !client.get(url).send().await.is_ok_and(|response| response.status().is_success()) {
            return false;
        }
    }
    true
}
