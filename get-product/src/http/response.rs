//! Answers of the API: JSON bodies, and failures in the one envelope.

use std::time::Instant;

use lambda_http::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use lambda_http::http::{HeaderValue, Response, StatusCode};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt};
use serde::Serialize;

use super::error::{Detail, ErrorCode, Failure};
use crate::models::identifiers::{EventId, ProductId};

/// Seconds a caller should wait before trying again, and before looking for an accepted change.
pub const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// An answer with a JSON body. A body that cannot be written as JSON is an internal failure.
pub fn json<T: Serialize>(status: StatusCode, body: &T) -> Result<Response<Body>, Failure> {
    let text = serde_json::to_string(body).map_err(Failure::internal)?;
    let mut response = empty(status);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    *response.body_mut() = Body::Text(text);
    Ok(response)
}

/// An answer without a body.
pub fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = status;
    response
}

/// What a change was accepted as; travels with its answer to the log line.
#[derive(Clone, Copy, Debug)]
pub struct AcceptedChange {
    pub product_id: ProductId,
    pub event_id: EventId,
}

/// Runs `work`, turns its failure into the envelope, and logs the one line that each request leaves.
///
/// The line has ids, status, code and duration; of a failure inside the system also the cause, which goes nowhere else.
pub async fn answer<F>(request_id: &str, work: F) -> Response<Body>
where
    F: Future<Output = Result<Response<Body>, Failure>>,
{
    let start = Instant::now();
    let worked = work.await;
    let micros = u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX);
    match worked {
        Ok(response) => {
            let status = response.status().as_u16();
            let change = response.extensions().get::<AcceptedChange>();
            let product_id = change.map(|change| tracing::field::display(change.product_id));
            let event_id = change.map(|change| tracing::field::display(change.event_id));
            tracing::info!(
                apiRequestId = request_id,
                status,
                productId = product_id,
                eventId = event_id,
                micros,
                "answered"
            );
            response
        }
        Err(failure) => {
            let (status, code) = (failure.code.status().as_u16(), failure.code.name());
            match &failure.cause {
                None => tracing::info!(apiRequestId = request_id, status, code, micros, "answered"),
                Some(cause) => {
                    let error = chain(cause.as_ref());
                    tracing::error!(apiRequestId = request_id, status, code, error, micros, "failed");
                }
            }
            envelope(&failure, request_id)
        }
    }
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
        #[serde(skip_serializing_if = "<[Detail]>::is_empty")]
        details: &'a [Detail],
    }

    let Failure { code, message, details, cause: _ } = failure;
    let error = ErrorBody { code: code.name(), message, request_id, details };
    // Strings and an enum: there is nothing in it that JSON cannot hold.
    let mut response = json(code.status(), &Envelope { error }).unwrap_or_else(|_| empty(code.status()));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if *code == ErrorCode::ServiceUnavailable {
        response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    }
    response
}

/// The id under which API Gateway knows the request, which its own answers carry too; without one, the invocation's.
pub fn request_id(request: &Request) -> String {
    let gateways = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.request_id.as_ref(),
        _ => None,
    };
    let gateways = gateways.filter(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_graphic()));
    let invocations = || request.lambda_context_ref().map(|context| &context.request_id);
    gateways.or_else(invocations).cloned().unwrap_or_default()
}

/// An error with all its causes, outermost first: the SDK's own text is only "service error".
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(response: &Response<Body>) -> serde_json::Value {
        serde_json::from_slice(response.body()).unwrap()
    }

    #[test]
    fn a_failure_is_the_envelope_with_all_details() {
        let details = vec![Detail::new("price", "TOO_LONG", "too long"), Detail::new("name", "REQUIRED", "is missing")];
        let response = envelope(&Failure::new(ErrorCode::ValidationFailed, "no").with_details(details), "r-1");

        assert_eq!(response.status(), 400);
        assert_eq!(response.headers()["content-type"], "application/json");
        assert_eq!(
            body(&response),
            serde_json::json!({"error": {
                "code": "VALIDATION_FAILED", "message": "no", "requestId": "r-1",
                "details": [
                    {"field": "price", "code": "TOO_LONG", "message": "too long"},
                    {"field": "name", "code": "REQUIRED", "message": "is missing"},
                ],
            }})
        );
    }

    #[test]
    fn a_cause_is_never_told_and_an_outage_says_when_to_try_again() {
        let response = envelope(&Failure::unavailable("the secret cause"), "r-1");

        assert_eq!(response.status(), 503);
        assert_eq!(response.headers()["retry-after"], "1");
        assert_eq!(body(&response)["error"]["code"], "SERVICE_UNAVAILABLE");
        assert_eq!(body(&response)["error"].get("details"), None);
        assert!(!body(&response).to_string().contains("secret"));
    }

    #[test]
    fn the_whole_chain_of_causes_is_told_to_the_log() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::io::Error);
        assert_eq!(chain(&Outer(std::io::Error::other("inner"))), "outer: inner");
    }
}
