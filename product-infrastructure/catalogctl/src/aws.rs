//! How AWS is called, and what its errors mean for the person at the terminal.

use std::error::Error;
use std::fmt;

use anyhow::{Result, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_apigateway::config::{Credentials, SharedHttpClient};
use aws_sdk_apigateway::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use thiserror::Error;

use crate::local_stack::StackFile;

/// The HTTP client of every call.
pub fn http_client() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https()
}

/// The configuration for a local stack, whatever this machine's own profile says.
pub async fn local(stack: &StackFile) -> SdkConfig {
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

/// The value of an API key, from the secret of that name.
pub async fn api_key(config: &SdkConfig, name: &str) -> Result<String> {
    let secret = aws_sdk_secretsmanager::Client::new(config).get_secret_value().secret_id(name).send().await;
    let secret = secret.call("secretsmanager:GetSecretValue", format!("secret {name}"))?;
    match secret.secret_string() {
        Some(value) if !value.is_empty() => Ok(value.to_owned()),
        _ => bail!("secret {name} is empty"),
    }
}

/// A call to AWS that failed.
#[derive(Debug, Error)]
#[error("{action} on {resource} failed: {cause}")]
pub struct CallError {
    /// The call, named as in IAM policies: `dynamodb:Query`.
    pub action: &'static str,
    /// The resource it was made on, for people: `table products`.
    pub resource: String,
    pub cause: Cause,
}

/// Why a call failed, as far as it changes what the caller does next.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Cause {
    #[error("no AWS credentials found. Set AWS_PROFILE, or sign in with `aws sso login` or `aws configure`")]
    NoCredentials,
    #[error("failed to get AWS credentials: {0}")]
    CredentialsFailed(String),
    #[error("the AWS credentials are invalid or have expired. Sign in again, or check AWS_PROFILE")]
    CredentialsRejected,
    #[error("access denied: these credentials need the permission for this call ({0})")]
    AccessDenied(String),
    #[error("not found in this account and region. Check --env, AWS_PROFILE and AWS_REGION")]
    NotFound,
    #[error("throttled on every attempt. Try again later")]
    Throttled,
    #[error("AWS couldn't be reached: {0}")]
    Unreachable(String),
    #[error("{0}")]
    Other(String),
}

/// Says which call failed, and on what.
pub trait CallContext<T> {
    /// `action` as in IAM policies (`dynamodb:Query`); `resource` for people (`table products`).
    fn call(self, action: &'static str, resource: impl fmt::Display) -> Result<T, CallError>;
}

impl<T, E, R> CallContext<T> for Result<T, SdkError<E, R>>
where
    E: ProvideErrorMetadata + Error + 'static,
    R: fmt::Debug + 'static,
{
    fn call(self, action: &'static str, resource: impl fmt::Display) -> Result<T, CallError> {
        self.map_err(|error| CallError { action, resource: resource.to_string(), cause: cause(&error) })
    }
}

fn cause<E, R>(error: &SdkError<E, R>) -> Cause
where
    E: ProvideErrorMetadata + Error + 'static,
    R: fmt::Debug + 'static,
{
    if let Some(cause) = credentials_cause(error) {
        return cause;
    }
    let SdkError::ServiceError(service) = error else {
        return Cause::Unreachable(DisplayErrorContext(error).to_string());
    };
    let (code, message) = (service.err().code().unwrap_or_default(), service.err().message().unwrap_or_default());
    match code {
        "AccessDenied" | "AccessDeniedException" | "Forbidden" | "AuthorizationError" => {
            Cause::AccessDenied(message.to_owned())
        }
        "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidAccessKeyId"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => Cause::CredentialsRejected,
        "NotFound"
        | "NotFoundException"
        | "NoSuchBucket"
        | "QueueDoesNotExist"
        | "AWS.SimpleQueueService.NonExistentQueue"
        | "ResourceNotFoundException" => Cause::NotFound,
        "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "SlowDown"
        | "ThrottledException"
        | "Throttling"
        | "ThrottlingException"
        | "TooManyRequestsException" => Cause::Throttled,
        _ if code.is_empty() && message.is_empty() => Cause::Other(DisplayErrorContext(error).to_string()),
        _ => {
            Cause::Other([code, message].iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join(": "))
        }
    }
}

/// What the credential providers say, which the SDK wraps several times.
fn credentials_cause(error: &(dyn Error + 'static)) -> Option<Cause> {
    let mut chain = std::iter::successors(Some(error), |error| (*error).source());
    let found = chain.find_map(|error| error.downcast_ref::<CredentialsError>())?;
    Some(match found {
        CredentialsError::CredentialsNotLoaded(_) => Cause::NoCredentials,
        other => Cause::CredentialsFailed(DisplayErrorContext(other).to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_sqs::error::ErrorMetadata;
    use aws_sdk_sqs::operation::get_queue_url::GetQueueUrlError;

    fn cause_of(code: &str) -> Cause {
        let metadata = ErrorMetadata::builder().code(code).message("because").build();
        let error: SdkError<_, ()> = SdkError::service_error(GetQueueUrlError::generic(metadata), ());
        cause(&error)
    }

    #[test]
    fn service_errors_are_classified_by_code() {
        assert_eq!(cause_of("AccessDeniedException"), Cause::AccessDenied("because".to_owned()));
        assert_eq!(cause_of("ExpiredToken"), Cause::CredentialsRejected);
        assert_eq!(cause_of("NoSuchBucket"), Cause::NotFound);
        assert_eq!(cause_of("ThrottlingException"), Cause::Throttled);
        assert_eq!(cause_of("Odd"), Cause::Other("Odd: because".to_owned()));
    }

    #[test]
    fn missing_credentials_are_found_below_the_sdk_error() {
        let error: SdkError<GetQueueUrlError, ()> =
            SdkError::construction_failure(CredentialsError::not_loaded("no providers in chain"));
        assert_eq!(cause(&error), Cause::NoCredentials);
    }

    #[test]
    fn a_failed_call_names_action_and_resource() {
        let metadata = ErrorMetadata::builder().code("NoSuchBucket").build();
        let failed: Result<(), SdkError<_, ()>> = Err(SdkError::service_error(GetQueueUrlError::generic(metadata), ()));
        let error = failed.call("sqs:GetQueueUrl", "queue a").unwrap_err().to_string();
        assert!(error.starts_with("sqs:GetQueueUrl on queue a failed: not found"), "{error}");
    }
}
