//! How AWS is called, and the calls that several commands make.

use anyhow::{Context, Result, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_apigateway::config::{Credentials, SharedHttpClient};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

use crate::local_stack::Facts;

/// What carries every call.
pub fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// The configuration for a local stack, whatever this machine's own profile says.
pub async fn local(stack: &Facts) -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        .endpoint_url(&stack.endpoint_url)
        .region(Region::new(stack.region.clone()))
        .credentials_provider(Credentials::new(
            &stack.access_key_id,
            &stack.secret_access_key,
            None,
            None,
            "local stack",
        ))
        .load()
        .await
}

/// S3, with the bucket in the path: a host name for each bucket needs a name server that knows it.
pub fn s3(config: &SdkConfig) -> aws_sdk_s3::Client {
    let config = aws_sdk_s3::config::Builder::from(config).force_path_style(true).build();
    aws_sdk_s3::Client::from_conf(config)
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
