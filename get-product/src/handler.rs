//! `GET` of a product, of its changes and of one change: request in, response out.

use lambda_http::http::header::{ETAG, RETRY_AFTER};
use lambda_http::http::{Response, StatusCode};
use lambda_http::{Body, Request, RequestExt};
use serde::Serialize;

use crate::http::change_document::ChangeDocument;
use crate::http::error::{ErrorCode, Failure};
use crate::http::proxy_integration::Resource;
use crate::http::query_parameters::QueryParameters;
use crate::http::response::{self, RETRY_AFTER_SECONDS, etag, log_event_id, log_product_id};
use crate::http::{cursor, preconditions};
use crate::models::expected_version::Evaluation;
use crate::models::identifiers::{EventId, ProductId};
use crate::models::product::ProductDocument;
use crate::models::timestamp::Timestamp;
use crate::repositories::product_reader::{ProductReader, ReadError};
use crate::services::get_change::{Change, get_change};
use crate::services::get_product::get_product;
use crate::services::list_changes::list_changes;

/// Handles one request by the resource that it matched in API Gateway.
pub async fn handle(request: Request, products: &dyn ProductReader) -> Result<Response<Body>, Failure> {
    let parameters = request.path_parameters();
    // A malformed ID names no product: 404, as for any other unknown one.
    let id = parameters.first("productId").and_then(|text| text.parse().ok()).ok_or_else(Failure::not_found)?;
    log_product_id(id);
    let resource = request.extensions().get::<Resource>().map_or("", |resource| resource.0.as_str());
    if resource.ends_with("/{productId}/changes/{eventId}") {
        respond_with_change(&request, products, id).await
    } else if resource.ends_with("/{productId}/changes") {
        respond_with_changes(&request, products, id).await
    } else {
        respond_with_product(&request, products, id).await
    }
}

async fn respond_with_product(
    request: &Request,
    products: &dyn ProductReader,
    id: ProductId,
) -> Result<Response<Body>, Failure> {
    let expected = preconditions::from_headers(request.headers())?;
    let product = get_product(products, id).await?.ok_or_else(Failure::not_found)?;

    let version = product.version;
    let mut response = match expected.evaluate(version) {
        Evaluation::Met => response::json(StatusCode::OK, &ProductDocument::from(product))?,
        Evaluation::IfNoneMatchFailed => response::empty(StatusCode::NOT_MODIFIED),
        failed @ Evaluation::IfMatchFailed => return Err(preconditions::failed(failed, version)),
    };
    response.headers_mut().insert(ETAG, etag(version));
    Ok(response)
}

async fn respond_with_change(
    request: &Request,
    products: &dyn ProductReader,
    id: ProductId,
) -> Result<Response<Body>, Failure> {
    let not_found = || Failure::new(ErrorCode::NotFound, "Change not found.");
    let parameters = request.path_parameters();
    let event_id: EventId = parameters.first("eventId").and_then(|text| text.parse().ok()).ok_or_else(not_found)?;
    log_event_id(event_id);
    match get_change(products, id, event_id, Timestamp::now()).await?.ok_or_else(not_found)? {
        Change::Recorded(recorded) => response::json(StatusCode::OK, &ChangeDocument::from(*recorded)),
        Change::Pending => {
            let mut response = response::json(StatusCode::OK, &ChangeDocument::pending(id, event_id))?;
            response.headers_mut().insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
            Ok(response)
        }
    }
}

async fn respond_with_changes(
    request: &Request,
    products: &dyn ProductReader,
    id: ProductId,
) -> Result<Response<Body>, Failure> {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct PageDocument {
        items: Vec<ChangeDocument>,
        next_cursor: Option<String>,
        complete: bool,
    }

    let query = request.query_string_parameters();
    let mut parameters = QueryParameters::new(query.iter(), &["limit", "cursor"]);
    let limit = parameters.limit();
    let given_cursor = parameters.get("cursor");
    parameters.finish()?;
    // The cursor is bound to the product.
    let list = id.to_string();
    let before = given_cursor
        .map(|given| cursor::decode(&list, "cursor", given, |position| position.parse::<EventId>().ok()))
        .transpose()?;

    let page = list_changes(products, id, before, limit).await?.ok_or_else(Failure::not_found)?;

    let oldest = page.changes.last().map(|change| change.event_id).or(before);
    let next_cursor = oldest.filter(|_| page.more).map(|oldest| cursor::encode(&list, &oldest.to_string()));
    let items = page.changes.into_iter().map(ChangeDocument::from).collect();
    response::json(StatusCode::OK, &PageDocument { items, next_cursor, complete: page.complete })
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(_) => Self::unavailable(error),
            ReadError::Refused(_) | ReadError::Unreadable(_) => Self::internal(error),
        }
    }
}
