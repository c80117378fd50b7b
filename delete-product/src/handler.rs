//! `DELETE /v1.0/products/{productId}`: request in, response out.

use lambda_http::http::{HeaderName, HeaderValue, Response, StatusCode};
use lambda_http::{Body, Request, RequestExt};

use crate::http::actor::actor;
use crate::http::error::Failure;
use crate::http::preconditions;
use crate::http::response::{self, log_event_id, log_product_id};
use crate::models::identifiers::EventId;
use crate::models::timestamp::Timestamp;
use crate::repositories::change_publisher::{ChangePublisher, PublishError};
use crate::repositories::current_product::{CurrentProducts, ReadError};
use crate::services::delete_product::{DeleteProductError, Deleting, Outcome, delete_product};

/// Names the change; a 204 has no body to do so.
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
    let expected = preconditions::from_headers(request.headers())?;
    let deleting = Deleting {
        product_id,
        expected,
        actor: actor(&request),
        request_id: response::request_id(&request),
        now: Timestamp::now(),
    };
    match delete_product(products, queue, deleting).await? {
        Outcome::Accepted(event_id) | Outcome::Deleted(event_id) => deleted(event_id),
        Outcome::NotFound => Err(Failure::not_found()),
        Outcome::PreconditionFailed { current_version } => Err(preconditions::failed(current_version)),
    }
}

fn deleted(event_id: EventId) -> Result<Response<Body>, Failure> {
    log_event_id(event_id);
    let mut response = response::empty(StatusCode::NO_CONTENT);
    let header = HeaderValue::try_from(event_id.to_string()).map_err(Failure::internal)?;
    response.headers_mut().insert(EVENT_ID, header);
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
