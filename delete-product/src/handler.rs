//! `DELETE /v1.0/products/{productId}`: request in, response out.

use lambda_http::http::{HeaderName, HeaderValue, Response, StatusCode};
use lambda_http::{Body, Request, RequestExt};

use crate::http::change_location::{OPERATION_LOCATION, change_location};
use crate::http::error::Failure;
use crate::http::origin::origin;
use crate::http::preconditions;
use crate::http::response::{self, log_event_id, log_product_id};
use crate::models::identifiers::{EventId, ProductId};
use crate::models::timestamp::Timestamp;
use crate::repositories::change_publisher::{ChangePublisher, PublishError};
use crate::repositories::current_products::{CurrentProducts, ReadError};
use crate::services::delete_product::{DeleteProductError, DeleteProductRequest, Outcome, delete_product};

/// The ID of the change: a 204 has no body for it.
const EVENT_ID: HeaderName = HeaderName::from_static("x-event-id");

/// Handles one request.
pub async fn handle(
    request: Request,
    products: &dyn CurrentProducts,
    queue: &dyn ChangePublisher,
) -> Result<Response<Body>, Failure> {
    let parameters = request.path_parameters();
    // A malformed ID names no product: 404, as for any other unknown one.
    let product_id = parameters.first("productId").and_then(|text| text.parse().ok()).ok_or_else(Failure::not_found)?;
    log_product_id(product_id);
    let deletion = DeleteProductRequest {
        product_id,
        expected: preconditions::from_headers(request.headers())?,
        origin: origin(&request),
        now: Timestamp::now(),
    };
    match delete_product(products, queue, deletion).await? {
        Outcome::Accepted(event_id) | Outcome::AlreadyDeleted(event_id) => no_content(&request, product_id, event_id),
        Outcome::NotFound => Err(Failure::not_found()),
        Outcome::PreconditionFailed { failed, current_version } => Err(preconditions::failed(failed, current_version)),
    }
}

fn no_content(request: &Request, product_id: ProductId, event_id: EventId) -> Result<Response<Body>, Failure> {
    log_event_id(event_id);
    let mut response = response::empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(EVENT_ID, HeaderValue::try_from(event_id.to_string()).map_err(Failure::internal)?);
    headers.insert(OPERATION_LOCATION, change_location(request, product_id, event_id)?);
    Ok(response)
}

impl From<DeleteProductError> for Failure {
    fn from(error: DeleteProductError) -> Self {
        match error {
            DeleteProductError::Read(ReadError::Unavailable(_))
            | DeleteProductError::Publish(PublishError::Unavailable(_)) => Self::unavailable(error),
            DeleteProductError::Read(ReadError::Refused(_) | ReadError::Unreadable(_))
            | DeleteProductError::Publish(PublishError::Refused(_)) => Self::internal(error),
        }
    }
}
