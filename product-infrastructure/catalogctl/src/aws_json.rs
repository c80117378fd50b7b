//! Calls of AWS services without an SDK crate of their own: CloudWatch, CloudWatch Logs, Lambda and EventBridge Pipes.
//!
//! A handful of calls that only read would add four crates of half a million generated lines, as much as all SDK crates that
//! are here already, and each build would wait minutes for them. All four services speak JSON, so requests and responses are
//! written by hand, and the SDK's own runtime does the rest: credentials, signature, retries, timeouts.
//! Paths, targets and endpoint names are those of the services' models in botocore.

use aws_config::SdkConfig;
use aws_runtime::auth::SigV4OperationSigningConfig;
use aws_runtime::auth::sigv4::{SCHEME_ID, SigV4AuthScheme};
use aws_runtime::retries::classifiers::AwsErrorCodeClassifier;
use aws_sdk_sqs::error::SdkError;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime::client::retries::classifiers::HttpStatusCodeClassifier;
use aws_smithy_runtime_api::client::auth::AuthSchemeOptionResolverParams;
use aws_smithy_runtime_api::client::auth::static_resolver::StaticAuthSchemeOptionResolver;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse, OrchestratorError};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponentsBuilder;
use aws_smithy_runtime_api::client::runtime_plugin::StaticRuntimePlugin;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::Layer;
use aws_smithy_types::error::ErrorMetadata;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SigningName;
use aws_types::region::SigningRegion;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::aws::{CallContext, CallError, Cause};

/// A service that is called in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    CloudWatch,
    Logs,
    Lambda,
    Pipes,
}

impl Service {
    /// In the service's host name, and the name that a request is signed with.
    fn name(self) -> &'static str {
        match self {
            Self::CloudWatch => "monitoring",
            Self::Logs => "logs",
            Self::Lambda => "lambda",
            Self::Pipes => "pipes",
        }
    }

    /// Content type, and the prefix of an operation's name; only for a service whose operations aren't paths.
    fn rpc(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::CloudWatch => Some(("application/x-amz-json-1.0", "GraniteServiceVersion20100801")),
            Self::Logs => Some(("application/x-amz-json-1.1", "Logs_20140328")),
            Self::Lambda | Self::Pipes => None,
        }
    }

    fn url(self, config: &SdkConfig) -> String {
        let region = config.region().map(AsRef::as_ref).unwrap_or_default();
        let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let own = || format!("https://{}.{region}.{suffix}", self.name());
        config.endpoint_url().map_or_else(own, |url| url.trim_end_matches('/').to_owned())
    }
}

/// A request that only reads.
#[derive(Debug, Clone)]
pub enum Request {
    /// An operation of CloudWatch or CloudWatch Logs with its input.
    Operation(&'static str, Value),
    /// A path of Lambda or Pipes, with its query.
    Path(String),
}

/// Makes a call and reads its response. `action` as in IAM policies (`lambda:GetAlias`); `resource` for people.
pub async fn call<Output: DeserializeOwned>(
    config: &SdkConfig,
    service: Service,
    request: Request,
    action: &'static str,
    resource: impl std::fmt::Display,
) -> Result<Output, CallError> {
    let resource = resource.to_string();
    let bytes = invoke(config, service, request).await.call(action, &resource)?;
    serde_json::from_slice(&bytes).map_err(|error| CallError {
        action,
        resource,
        cause: Cause::Other(format!("the response can't be read: {error}")),
    })
}

async fn invoke(
    config: &SdkConfig,
    service: Service,
    request: Request,
) -> Result<Vec<u8>, SdkError<ErrorMetadata, HttpResponse>> {
    let mut settings = Layer::new("signature");
    settings.store_put(AuthSchemeOptionResolverParams::new(()));
    settings.store_put(SigV4OperationSigningConfig {
        region: config.region().cloned().map(SigningRegion::from),
        name: Some(SigningName::from(service.name())),
        ..SigV4OperationSigningConfig::default()
    });
    let mut components = RuntimeComponentsBuilder::new("signature")
        .with_auth_scheme(SigV4AuthScheme::new())
        .with_auth_scheme_option_resolver(Some(StaticAuthSchemeOptionResolver::new(vec![SCHEME_ID])))
        .with_identity_cache(config.identity_cache())
        .with_retry_classifier(AwsErrorCodeClassifier::<ErrorMetadata>::new())
        .with_sleep_impl(config.sleep_impl());
    if let Some(credentials) = config.credentials_provider() {
        components = components.with_identity_resolver(SCHEME_ID, credentials);
    }
    let plugin = StaticRuntimePlugin::new().with_config(settings.freeze()).with_runtime_components(components);
    let retries = config.retry_config().cloned().unwrap_or_else(RetryConfig::standard);
    let operation = Operation::builder()
        .service_name(service.name())
        .operation_name(service.name())
        .behavior_version(aws_config::BehaviorVersion::latest())
        // The configuration's, with the connections that it has.
        .http_client(config.http_client().unwrap_or_else(crate::aws::http_client))
        .endpoint_url(&service.url(config))
        .standard_retry(&retries)
        .retry_classifier(HttpStatusCodeClassifier::default())
        .timeout_config(config.timeout_config().cloned().unwrap_or_else(TimeoutConfig::disabled))
        .runtime_plugin(plugin)
        .serializer(move |request: Request| http_request(service, request))
        .deserializer(|response: &HttpResponse| read(response))
        .build();
    operation.invoke(request).await
}

fn http_request(service: Service, request: Request) -> Result<HttpRequest, Box<dyn std::error::Error + Send + Sync>> {
    match request {
        Request::Path(path) => Ok(HttpRequest::get(path)?),
        Request::Operation(name, input) => {
            let (content_type, prefix) = service.rpc().ok_or("the service has paths instead of operations")?;
            let mut http = HttpRequest::new(SdkBody::from(input.to_string()));
            http.set_method("POST")?;
            http.set_uri("/")?;
            http.headers_mut().insert("content-type", content_type);
            http.headers_mut().insert("x-amz-target", format!("{prefix}.{name}"));
            Ok(http)
        }
    }
}

fn read(response: &HttpResponse) -> Result<Vec<u8>, OrchestratorError<ErrorMetadata>> {
    let body = response.body().bytes().unwrap_or_default();
    if response.status().is_success() {
        return Ok(body.to_vec());
    }
    let error: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |names: &[&str]| names.iter().find_map(|name| error[name].as_str());
    // `namespace#Code:URL` in the protocols' older forms.
    let code = response.headers().get("x-amzn-errortype").or_else(|| text(&["__type", "code", "Code"]));
    let code = code.and_then(|code| code.split(':').next()?.rsplit('#').next());
    let status = || format!("HTTP status {}", response.status().as_u16());
    let metadata = ErrorMetadata::builder()
        .code(code.map_or_else(status, str::to_owned))
        .message(text(&["message", "Message"]).unwrap_or_default())
        .build();
    Err(OrchestratorError::operation(metadata))
}
