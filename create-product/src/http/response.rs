//! Responses of the API: JSON bodies, failures in the one envelope, and the log line that each request leaves.

use std::time::Instant;

use lambda_http::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, RETRY_AFTER};
use lambda_http::http::{HeaderName, HeaderValue, Response, StatusCode};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt};
use serde::Serialize;
use tracing::Span;
use tracing::field::{Empty, display};

use super::error::{ErrorCode, Failure};
use crate::models::identifiers::{EventId, ProductId};
use crate::models::violation::Violation;

/// Seconds to wait before a retry, and before the first look at an accepted change.
pub const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// The request ID, on every response; the envelope and the log hold the same one.
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A response with a JSON body.
pub fn json<T: Serialize>(status: StatusCode, body: &T) -> Result<Response<Body>, Failure> {
    let text = serde_json::to_string(body).map_err(Failure::internal)?;
    let mut response = empty(status);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *response.body_mut() = Body::Text(text);
    Ok(response)
}

/// A response without a body.
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

/// The entity tag of a product's version (RFC 9110 §8.8.3).
pub fn etag(version: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"{version}\"")).expect("digits in double quotes are a valid header value")
}

/// The span of one request: its fields stand on every line that is logged within it.
///
/// At the level of errors, so that error lines have the fields whatever the log level is.
pub fn request_span(request_id: &str) -> Span {
    tracing::error_span!("request", requestId = request_id, productId = Empty, eventId = Empty)
}

/// Adds the product to the current request's log lines.
pub fn log_product_id(id: ProductId) {
    Span::current().record("productId", display(id));
}

/// Adds the change to the current request's log lines.
pub fn log_event_id(id: EventId) {
    Span::current().record("eventId", display(id));
}

/// Logs the outcome of a request, and makes the response that the caller gets.
///
/// The line has status, code and duration; the cause of a failure inside the system is logged and never sent.
pub fn finish(result: Result<Response<Body>, Failure>, request_id: &str, started: Instant) -> Response<Body> {
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    let mut response = match result {
        Ok(response) => {
            tracing::info!(status = response.status().as_u16(), micros, "request completed");
            response
        }
        Err(failure) => {
            let (status, code) = (failure.code.status().as_u16(), failure.code.name());
            match &failure.cause {
                None => tracing::info!(status, code, micros, "request completed"),
                Some(cause) => {
                    let error = error_chain(cause.as_ref());
                    tracing::error!(status, code, error, micros, "request failed");
                }
            }
            envelope(&failure, request_id)
        }
    };
    if let Ok(id) = HeaderValue::try_from(request_id) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    response
}

/// A failure as the caller sees it: without its cause.
fn envelope(failure: &Failure, request_id: &str) -> Response<Body> {
    #[derive(Serialize)]
    struct Envelope<'a> {
        error: ErrorBody<'a>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct ErrorBody<'a> {
        code: &'static str,
        message: &'a str,
        request_id: &'a str,
        #[serde(skip_serializing_if = "<[Violation]>::is_empty")]
        details: &'a [Violation],
    }

    let Failure { code, message, details, current_version, cause: _ } = failure;
    let error = ErrorBody { code: code.name(), message, request_id, details };
    let mut response = json(code.status(), &Envelope { error }).expect("strings always serialize to JSON");
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(version) = current_version {
        headers.insert(ETAG, etag(*version));
    }
    if *code == ErrorCode::ServiceUnavailable {
        headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

/// API Gateway's request ID, which its own error responses carry too; without one, the ID of the invocation.
pub fn request_id(request: &Request) -> String {
    let from_gateway = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.request_id.as_ref(),
        _ => None,
    };
    let from_gateway = from_gateway.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic()));
    let from_invocation = || request.lambda_context_ref().map(|context| &context.request_id);
    from_gateway.or_else(from_invocation).cloned().unwrap_or_default()
}

/// An error with its causes, outermost first: the SDK's own message is only "service error". Each cause is there once, because
/// some errors repeat their cause's message in their own.
fn error_chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let message = cause.to_string();
        if !text.contains(&message) {
            text.push_str(": ");
            text.push_str(&message);
        }
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::violation::DetailCode;

    fn body(response: &Response<Body>) -> serde_json::Value {
        serde_json::from_slice(response.body()).unwrap()
    }

    #[test]
    fn writes_failure_as_envelope_with_all_details() {
        let details = vec![
            Violation::new("price", DetailCode::TooLong, "is too long"),
            Violation::new("name", DetailCode::Required, "is required"),
        ];
        let response = envelope(&Failure::new(ErrorCode::ValidationFailed, "no").with_details(details), "r-1");

        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(
            body(&response),
            serde_json::json!({"error": {
                "code": "VALIDATION_FAILED", "message": "no", "requestId": "r-1",
                "details": [
                    {"field": "price", "code": "TOO_LONG", "message": "is too long"},
                    {"field": "name", "code": "REQUIRED", "message": "is required"},
                ],
            }})
        );
    }

    #[test]
    fn never_sends_cause_and_sends_retry_after_with_503() {
        let response = envelope(&Failure::unavailable("the secret cause"), "r-1");

        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(body(&response)["error"]["code"], "SERVICE_UNAVAILABLE");
        assert_eq!(body(&response)["error"].get("details"), None);
        assert!(!body(&response).to_string().contains("secret"));
    }

    #[test]
    fn sends_request_id_with_every_response() {
        for result in [Ok(empty(StatusCode::NO_CONTENT)), Err(Failure::not_found())] {
            assert_eq!(finish(result, "r-1", Instant::now()).headers()["x-request-id"], "r-1");
        }
    }

    #[test]
    fn logs_each_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] Middle);
        #[derive(Debug, thiserror::Error)]
        #[error("middle: {0}")]
        struct Middle(#[source] std::io::Error);
        assert_eq!(error_chain(&Outer(Middle(std::io::Error::other("inner")))), "outer: middle: inner");
    }
}
