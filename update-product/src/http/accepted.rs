//! `202 Accepted`: the change is queued and will be made.

use lambda_http::http::header::{LOCATION, RETRY_AFTER};
use lambda_http::http::{HeaderValue, Response, StatusCode};
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt};
use serde::Serialize;

use super::error::Failure;
use super::response::{RETRY_AFTER_SECONDS, json, log_event_id, log_product_id};
use crate::models::identifiers::{EventId, ProductId};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AcceptedDocument {
    product_id: ProductId,
    event_id: EventId,
    status: &'static str,
}

/// The answer to an accepted change of the product at `location`.
pub fn accepted(location: &str, product_id: ProductId, event_id: EventId) -> Result<Response<Body>, Failure> {
    log_product_id(product_id);
    log_event_id(event_id);
    let body = AcceptedDocument { product_id, event_id, status: "ACCEPTED" };
    let mut answer = json(StatusCode::ACCEPTED, &body)?;
    let location = HeaderValue::try_from(location).map_err(Failure::internal)?;
    answer.headers_mut().insert(LOCATION, location);
    answer.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    Ok(answer)
}

/// Path of a product as this caller sees it: with the stage on API Gateway's own host name, without it behind a custom
/// domain. `requestContext.path` tells which.
pub fn product_location(request: &Request, id: ProductId) -> String {
    const COLLECTION: &str = "/v1.0/products";
    let path = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.path.as_deref().unwrap_or_default(),
        _ => "",
    };
    let prefix = path.find(COLLECTION).map_or("", |start| &path[..start]);
    let prefix = if prefix.bytes().all(|byte| byte.is_ascii_graphic()) { prefix } else { "" };
    format!("{prefix}{COLLECTION}/{id}")
}
