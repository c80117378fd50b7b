//! `202 Accepted`: the change is queued and will be applied.

use lambda_http::http::header::{LOCATION, RETRY_AFTER};
use lambda_http::http::{HeaderValue, Response, StatusCode};
use lambda_http::{Body, Request};
use serde::Serialize;

use super::change_location::{OPERATION_LOCATION, change_location, product_location};
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

/// The response to an accepted change.
pub fn accepted(request: &Request, product_id: ProductId, event_id: EventId) -> Result<Response<Body>, Failure> {
    log_product_id(product_id);
    log_event_id(event_id);
    let body = AcceptedDocument { product_id, event_id, status: "ACCEPTED" };
    let mut response = json(StatusCode::ACCEPTED, &body)?;
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::try_from(product_location(request, product_id)).map_err(Failure::internal)?);
    headers.insert(OPERATION_LOCATION, change_location(request, product_id, event_id)?);
    headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
    Ok(response)
}
