//! The public API as any client calls it: with a key, at a limited rate, and again after 429, 503 and broken connections.
//!
//! The HTTP client is the one below the AWS SDK's, with the same TLS: a second one would be more to compile and to keep
//! up to date.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use audit_log::ids::EventId;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;
use time::OffsetDateTime;
use time::format_description::StaticFormatDescription;
use time::macros::format_description;

use crate::rate::Rate;

/// How long one request may take: API Gateway ends one after 29 s.
const TIMEOUT: Duration = Duration::from_secs(35);
/// How often a request is sent before it has failed.
const MAX_ATTEMPTS: u32 = 8;
/// The same for the first call: a person waits, and the address may be wrong.
const FIRST_ATTEMPTS: u32 = 3;
/// The same while the API answers that there are too many requests: other clients may share the limit.
const MAX_THROTTLED: u32 = 60;
const FIRST_PAUSE: Duration = Duration::from_millis(250);
/// The longest pause, also if `Retry-After` says more.
const MAX_PAUSE: Duration = Duration::from_secs(60);
/// A page of 100 products of 64 KiB is the largest response.
const MAX_RESPONSE: usize = 16 * 1024 * 1024;
/// RFC 9110, section 5.6.7.
const HTTP_DATE: StaticFormatDescription =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

type Body = Full<bytes::Bytes>;

/// The API, at an address, with a key.
pub struct Api {
    client: Client<HttpsConnector<HttpConnector>, Body>,
    base: String,
    key: HeaderValue,
    pace: Mutex<Pace>,
}

struct Pace {
    rate: Rate,
    /// No request is sent before: the API asked for a pause.
    resume: Instant,
}

/// A call that failed for a reason that another attempt wouldn't change at once.
#[derive(Debug, Error)]
pub enum ApiError {
    #[error("{call} failed: the API couldn't be reached: {cause}")]
    Unreachable { call: String, cause: String },
    #[error("{call} failed: missing or invalid API key. Check --key-file and --api-url, or --env")]
    Forbidden { call: String },
    #[error(
        "{call} failed: too many requests on every attempt. Lower --rate, or try again when the key's quota allows"
    )]
    Throttled { call: String },
    #[error("{call} failed: {status} {code}: {message} Request ID: {request_id}")]
    Failed { call: String, status: u16, code: String, message: String, request_id: String },
}

impl ApiError {
    /// Whether other calls would fail too.
    pub fn is_fatal(&self) -> bool {
        !matches!(self, Self::Failed { .. })
    }
}

/// A response that isn't a failure of the API itself.
#[derive(Debug)]
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

/// The body of an error.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ErrorBody {
    pub code: String,
    pub message: String,
    pub request_id: String,
    pub details: Vec<ErrorDetail>,
}

/// An invalid field.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ErrorDetail {
    pub field: String,
    pub code: String,
    pub message: String,
}

impl Response {
    pub fn error(&self) -> ErrorBody {
        self.body.get("error").and_then(|error| ErrorBody::deserialize(error).ok()).unwrap_or_default()
    }

    /// The pause that the API asks for.
    pub fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
        Some(Duration::from_secs(seconds))
    }

    /// The API's clock, in milliseconds since 1970; to the second.
    pub fn time(&self) -> Option<u64> {
        let date = self.headers.get(header::DATE)?.to_str().ok()?;
        let date = time::PrimitiveDateTime::parse(date, HTTP_DATE).ok()?.assume_utc();
        u64::try_from(date.unix_timestamp_nanos() / 1_000_000).ok()
    }
}

/// A request to the API.
#[derive(Debug, Clone)]
pub struct Call {
    pub method: Method,
    /// The path below the API's address, and the query.
    pub path: String,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Option<Value>,
}

impl Call {
    pub fn get(path: impl Into<String>) -> Self {
        Self { method: Method::GET, path: path.into(), headers: Vec::new(), body: None }
    }

    fn name(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{} {path}", self.method)
    }
}

impl Api {
    /// `base` is the address up to `/v1.0`.
    pub fn new(base: &str, key: &str, requests_per_second: u32) -> Result<Self> {
        let base = base.trim_end_matches('/').to_owned();
        require_safe(&base)?;
        let mut key = HeaderValue::from_str(key.trim()).context("the API key has characters that no key has")?;
        key.set_sensitive(true);
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(rustls::crypto::ring::default_provider())
            .context("failed to read the machine's root certificates")?
            .https_or_http()
            .enable_http1()
            .build();
        let client = Client::builder(TokioExecutor::new()).build(connector);
        let pace = Pace { rate: Rate::per_second(requests_per_second), resume: Instant::now() };
        Ok(Self { client, base, key, pace: Mutex::new(pace) })
    }

    pub fn base(&self) -> &str {
        &self.base
    }

    /// Makes sure that address and key are right, and returns the API's clock in milliseconds since 1970.
    pub async fn time(&self) -> Result<u64> {
        let response = self.call_up_to(&Call::get("/products?limit=1"), FIRST_ATTEMPTS).await?;
        if response.status != StatusCode::OK || !response.body["items"].is_array() {
            bail!("{} isn't the address of the product API: GET /products returned {}", self.base, response.status);
        }
        let now = OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        Ok(response.time().or_else(|| u64::try_from(now).ok()).unwrap_or_default())
    }

    /// Makes a call, and again while the API asks for it. Each of the import's calls is safe to repeat.
    pub async fn call(&self, call: &Call) -> Result<Response, ApiError> {
        self.call_up_to(call, MAX_ATTEMPTS).await
    }

    async fn call_up_to(&self, call: &Call, attempts: u32) -> Result<Response, ApiError> {
        let mut attempt = 1;
        loop {
            self.wait().await;
            let sent = tokio::time::timeout(TIMEOUT, self.send(call)).await;
            let sent = sent.unwrap_or_else(|_| Err(format!("no response within {} s", TIMEOUT.as_secs())));
            let throttled = sent.as_ref().is_ok_and(|response| response.status == StatusCode::TOO_MANY_REQUESTS);
            let is_last = attempt >= if throttled { MAX_THROTTLED } else { attempts };
            match sent {
                Ok(response) if response.status == StatusCode::FORBIDDEN => {
                    return Err(ApiError::Forbidden { call: call.name() });
                }
                Ok(response) if !is_transient(response.status) => return Ok(response),
                Ok(response) if is_last => return Err(failed(call, &response)),
                Err(cause) if is_last => return Err(ApiError::Unreachable { call: call.name(), cause }),
                Ok(response) => match response.retry_after() {
                    // It holds for the key, hence for all requests.
                    Some(pause) => self.pause(pause.min(MAX_PAUSE)),
                    None => tokio::time::sleep(backoff(attempt)).await,
                },
                Err(_) => tokio::time::sleep(backoff(attempt)).await,
            }
            attempt += 1;
        }
    }

    async fn send(&self, call: &Call) -> Result<Response, String> {
        let mut request = Request::builder().method(&call.method).uri(format!("{}{}", self.base, call.path));
        request = request.header("x-api-key", &self.key);
        request = request.header(header::USER_AGENT, concat!("catalogctl/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &call.headers {
            request = request.header(name, value);
        }
        let body = call.body.as_ref().map(Value::to_string).unwrap_or_default();
        let request = request.body(Full::from(body)).map_err(|error| error.to_string())?;
        let response = self.client.request(request).await.map_err(|error| causes(&error))?;
        let (parts, body) = response.into_parts();
        let bytes = Limited::new(body, MAX_RESPONSE).collect().await.map_err(|error| error.to_string())?.to_bytes();
        // API Gateway's own errors can be other than JSON.
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok(Response { status: parts.status, headers: parts.headers, body })
    }

    async fn wait(&self) {
        let delay = {
            let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
            let pause = pace.resume.saturating_duration_since(Instant::now());
            pause + pace.rate.reserve(1)
        };
        tokio::time::sleep(delay).await;
    }

    fn pause(&self, pause: Duration) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.resume = pace.resume.max(Instant::now() + pause);
    }
}

/// The time of a change, in milliseconds since 1970.
pub fn change_time(event_id: &str) -> Option<u64> {
    EventId::parse(event_id).map(EventId::millis)
}

fn is_transient(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

fn failed(call: &Call, response: &Response) -> ApiError {
    let call = call.name();
    if response.status == StatusCode::TOO_MANY_REQUESTS {
        return ApiError::Throttled { call };
    }
    let ErrorBody { code, message, request_id, .. } = response.error();
    ApiError::Failed { call, status: response.status.as_u16(), code, message, request_id }
}

fn backoff(attempt: u32) -> Duration {
    (FIRST_PAUSE * 2_u32.saturating_pow(attempt - 1)).min(MAX_PAUSE)
}

/// The key must not be readable on its way.
fn require_safe(base: &str) -> Result<()> {
    let uri: Uri = base.parse().with_context(|| format!("{base:?} isn't a URL"))?;
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host == "localhost" || host.parse().is_ok_and(|host: std::net::IpAddr| host.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(()),
        Some("http") if is_loopback => Ok(()),
        _ => bail!("the API's address must begin with https:// (http:// only on this machine): {base}"),
    }
}

/// An error with its causes, which the HTTP client leaves out.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |error| (*error).source());
    let mut causes: Vec<String> = chain.map(ToString::to_string).collect();
    causes.dedup();
    causes.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_sent_over_https_or_on_this_machine_only() {
        for base in ["https://a.example/dev/v1.0", "http://127.0.0.1:4566/v1.0", "http://localhost/", "http://[::1]:1/"]
        {
            assert!(require_safe(base).is_ok(), "{base}");
        }
        for base in ["http://a.example/dev/v1.0", "a.example", "ftp://127.0.0.1/", ""] {
            assert!(require_safe(base).is_err(), "{base}");
        }
    }

    #[test]
    fn reads_clock_and_pause_of_the_api() {
        let headers = [("date", "Sun, 29 Nov 2026 03:34:14 GMT"), ("retry-after", "3")];
        let headers = headers.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let response = Response { status: StatusCode::OK, headers: headers.into_iter().collect(), body: Value::Null };
        assert_eq!(response.time(), Some(1_795_923_254_000));
        assert_eq!(response.retry_after(), Some(Duration::from_secs(3)));
    }

    #[test]
    fn pauses_grow() {
        assert_eq!([1, 2, 8].map(|attempt| backoff(attempt).as_millis()), [250, 500, 32_000]);
    }
}
