//! How the functions call AWS: credentials, time-outs, retries, TLS.

use std::time::Duration;

use aws_config::environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider};
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

/// One call, with its retries. API functions may make two calls and must answer before their own time is up (6 s).
const OPERATION: Duration = Duration::from_millis(2_500);
/// One attempt: DynamoDB and SQS answer within milliseconds, so an attempt that takes longer is better made again.
const ATTEMPT: Duration = Duration::from_millis(1_000);
const CONNECT: Duration = Duration::from_millis(500);
/// Before the second attempt at most this, before the third at most twice as long, at random. The SDK's own second would
/// use up what a caller is ready to wait, and end in a time-out that hides what the service said.
const BACKOFF: Duration = Duration::from_millis(50);

/// The configuration of every client.
///
/// Region and credentials come from Lambda's environment variables, the session token among them, and from nowhere
/// else: the SDK's default chain would look for profiles and metadata services that no function has.
/// `AWS_ENDPOINT_URL` is honoured, as in every SDK.
pub async fn sdk_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .region(EnvironmentVariableRegionProvider::new())
        .credentials_provider(EnvironmentVariableCredentialsProvider::new())
        .http_client(Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https())
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(CONNECT)
                .operation_attempt_timeout(ATTEMPT)
                .operation_timeout(OPERATION)
                .build(),
        )
        .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(BACKOFF))
        .load()
        .await
}
