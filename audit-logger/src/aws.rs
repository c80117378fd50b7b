//! How the functions call AWS: credentials, time-outs, retries, TLS, and the connections that are open before the first
//! event comes.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorSettings, SharedHttpConnector, http_client_fn};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::byte_stream::ByteStream;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::task::JoinSet;

/// One call, with its retries. API functions may make two calls and must answer before their own time is up (6 s).
const OPERATION: Duration = Duration::from_millis(2_500);
/// One attempt: DynamoDB and SQS answer within milliseconds, so an attempt that takes longer is better made again.
const ATTEMPT: Duration = Duration::from_millis(1_000);
const CONNECT: Duration = Duration::from_millis(500);
/// Before the second attempt at most this, before the third at most twice as long, at random. The SDK's own second would
/// use up what a caller is ready to wait, and end in a time-out that hides what the service said.
const BACKOFF: Duration = Duration::from_millis(50);
/// For the connections of the start: a service that does not answer must not keep the function from its first event.
const OPENING: Duration = Duration::from_millis(500);

/// The roots that certificates of AWS lead to. The machine's own, about 140, would be read at each cold start, and none of the
/// others has a say in what AWS is.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon_roots.pem");

/// AWS: the configuration of the clients, and the connections that they share.
pub struct Aws {
    sdk: SdkConfig,
    connector: SharedHttpConnector,
}

/// A service to which a connection can be opened before it is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// Amazon DynamoDB.
    DynamoDb,
    /// Amazon SQS.
    Sqs,
    /// Amazon S3, at the address of the region: buckets are named in the path.
    S3,
}

/// `AWS_CA_BUNDLE` names a file that holds nothing to trust.
#[derive(Debug, thiserror::Error)]
pub enum InvalidCaBundle {
    /// The file doesn't exist or can't be read.
    #[error("{0}, the file that the environment variable AWS_CA_BUNDLE names, cannot be read: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// A file of another kind.
    #[error("{0}, the file that the environment variable AWS_CA_BUNDLE names, holds no certificate in PEM form")]
    Empty(PathBuf),
    /// A damaged certificate.
    #[error("{0}, the file that the environment variable AWS_CA_BUNDLE names, contains an invalid certificate: {1}")]
    Damaged(PathBuf, Box<dyn std::error::Error + Send + Sync>),
}

impl Aws {
    /// AWS as the environment describes it.
    ///
    /// Region and credentials come from Lambda's environment variables, the session token among them, and from nowhere
    /// else: `aws_config`'s loader would look for profiles and metadata services that no function has, and bring their
    /// clients into the program. `AWS_ENDPOINT_URL` and `AWS_ENDPOINT_URL_{SERVICE}` are honoured, as in every SDK, and
    /// `AWS_CA_BUNDLE`, as in every tool of AWS: a PEM file, whose certificates are trusted in place of Amazon's.
    pub fn from_env() -> Result<Self, InvalidCaBundle> {
        let trust = trust_store(std::env::var_os("AWS_CA_BUNDLE"))?;
        // Built here and not by the SDK, which would build one for each client, to try its settings out, and another one
        // at the first call, to be used.
        let tls = TlsContext::builder().with_trust_store(trust).build().expect("nothing in it can be refused");
        let connector = SharedHttpConnector::new(
            Connector::builder()
                .connector_settings(HttpConnectorSettings::builder().connect_timeout(CONNECT).build())
                .tls_provider(Provider::Rustls(CryptoMode::Ring))
                .tls_context(tls)
                .build(),
        );
        let shared = connector.clone();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT)
            .operation_attempt_timeout(ATTEMPT)
            .operation_timeout(OPERATION)
            .build();
        let mut sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .credentials_provider(SharedCredentialsProvider::new(EnvironmentVariableCredentialsProvider::new()))
            .http_client(http_client_fn(move |_, _| shared.clone()))
            .timeout_config(timeouts)
            // It watches over bodies that trickle, with a timer more for each call. Here an attempt's time covers the body.
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            .retry_config(RetryConfig::standard().with_max_attempts(3).with_initial_backoff(BACKOFF));
        sdk.set_region(variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).map(Region::new));
        Ok(Self { sdk: sdk.build(), connector })
    }

    /// The configuration for a service's client.
    pub fn sdk(&self, service: Service) -> SdkConfig {
        let mut sdk = self.sdk.clone().into_builder();
        sdk.set_endpoint_url(service.endpoint_from_env());
        sdk.build()
    }

    /// Opens a connection for each of `services`, at once; one that is named twice gets two.
    ///
    /// Name, TCP and TLS are most of what a first call takes, and a function starts with more CPU than it has later. So
    /// they come before the first event. HTTP/1.1 carries one request at a time: a function that makes several calls at
    /// once needs as many connections.
    ///
    /// The request is `GET /`, unsigned. No service does anything for it, and whatever the answer is, the connection is
    /// open. A failure doesn't prevent the start: the first call opens its own connection and reports the error.
    pub async fn open_connections(&self, services: &[Service]) {
        let mut requests = JoinSet::new();
        for service in services {
            let Some(endpoint) = self.endpoint(*service) else { continue };
            requests.spawn(open_connection(self.connector.clone(), endpoint));
        }
        let all = async {
            while let Some(opened) = requests.join_next().await {
                if let Ok(Err(error)) = opened {
                    tracing::debug!(error, "a connection could not be opened in advance");
                }
            }
        };
        if tokio::time::timeout(OPENING, all).await.is_err() {
            tracing::debug!("connections could not be opened in advance in time");
        }
    }

    /// Where a service's client sends its requests. A client keeps to itself what it makes of a region, so that is the
    /// SDK's rule once more; were it wrong, a connection would be opened that nobody uses.
    fn endpoint(&self, service: Service) -> Option<String> {
        let regional = || self.sdk.region().map(|region| service.endpoint_in(region));
        service.endpoint_from_env().or_else(regional)
    }
}

impl Service {
    fn endpoint_in(self, region: &Region) -> String {
        let host = match self {
            Self::DynamoDb => "dynamodb",
            Self::Sqs => "sqs",
            Self::S3 => "s3",
        };
        format!("https://{host}.{region}.amazonaws.com")
    }

    fn endpoint_from_env(self) -> Option<String> {
        let own = match self {
            Self::DynamoDb => "AWS_ENDPOINT_URL_DYNAMODB",
            Self::Sqs => "AWS_ENDPOINT_URL_SQS",
            Self::S3 => "AWS_ENDPOINT_URL_S3",
        };
        variable(own).or_else(|| variable("AWS_ENDPOINT_URL"))
    }
}

/// An environment variable, unless it is empty.
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

async fn open_connection(connector: SharedHttpConnector, endpoint: String) -> Result<(), String> {
    let request = HttpRequest::get(&endpoint).map_err(|error| error.to_string())?;
    let answer = connector.call(request).await.map_err(|error| format!("{error:?}"))?;
    // A connection is free for the next request when the answer has been read to its end.
    ByteStream::new(answer.into_body()).collect().await.map_err(|error| error.to_string())?;
    Ok(())
}

/// What is trusted to say who a server is. The TLS library panics over a certificate that is none, so those are found here.
fn trust_store(bundle: Option<OsString>) -> Result<TrustStore, InvalidCaBundle> {
    let Some(path) = bundle.filter(|path| !path.is_empty()).map(PathBuf::from) else {
        return Ok(TrustStore::empty().with_pem_certificate(AMAZON_ROOTS));
    };
    match std::fs::read(&path) {
        Ok(pem) => trust_alone(pem, path),
        Err(error) => Err(InvalidCaBundle::Unreadable(path, error)),
    }
}

/// What the file at `path` holds.
fn trust_alone(pem: Vec<u8>, path: PathBuf) -> Result<TrustStore, InvalidCaBundle> {
    match count_certificates(&pem) {
        Ok(0) => Err(InvalidCaBundle::Empty(path)),
        Ok(_) => Ok(TrustStore::empty().with_pem_certificate(pem)),
        Err(error) => Err(InvalidCaBundle::Damaged(path, error)),
    }
}

fn count_certificates(pem: &[u8]) -> Result<usize, Box<dyn std::error::Error + Send + Sync>> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate?)?;
    }
    Ok(roots.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_endpoint_of_each_service_in_region() {
        let region = Region::new("eu-west-1");
        for (service, endpoint) in [
            (Service::DynamoDb, "https://dynamodb.eu-west-1.amazonaws.com"),
            (Service::Sqs, "https://sqs.eu-west-1.amazonaws.com"),
            (Service::S3, "https://s3.eu-west-1.amazonaws.com"),
        ] {
            assert_eq!(service.endpoint_in(&region), endpoint);
        }
    }

    #[test]
    fn accepts_the_five_roots_of_amazon() {
        assert_eq!(count_certificates(AMAZON_ROOTS).unwrap(), 5);
    }

    #[test]
    fn bundle_replaces_amazons_roots() {
        let one =
            std::str::from_utf8(AMAZON_ROOTS).unwrap().split_inclusive("-----END CERTIFICATE-----").next().unwrap();
        assert_eq!(count_certificates(one.as_bytes()).unwrap(), 1);
        assert!(trust_alone(one.into(), PathBuf::from("ca.pem")).is_ok());
        for none in [None, Some(OsString::new())] {
            assert!(trust_store(none).is_ok());
        }
    }

    #[test]
    fn rejects_bundle_without_certificates() {
        let damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        let cases = [
            ("", "holds no certificate in PEM form"),
            ("no PEM file", "holds no certificate in PEM form"),
            (damaged, "contains an invalid certificate"),
            ("-----BEGIN CERTIFICATE-----\nAAAA\n", "contains an invalid certificate"),
        ];
        let tried = cases.map(|(text, problem)| (trust_alone(text.into(), PathBuf::from("/nowhere/ca.pem")), problem));
        let unreadable = (trust_store(Some(OsString::from("/nowhere/ca.pem"))), "cannot be read");
        for (result, problem) in tried.into_iter().chain([unreadable]) {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(problem) && error.contains("AWS_CA_BUNDLE"), "{error}");
            assert!(error.contains("/nowhere/ca.pem"), "{error}");
        }
    }
}
