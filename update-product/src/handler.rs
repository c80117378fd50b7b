//! `PUT /v1.0/products/{productId}`: request in, response out.

use lambda_http::http::Response;
use lambda_http::{Body, Request, RequestExt};

use crate::http::accepted::{accepted, product_location};
use crate::http::actor::actor;
use crate::http::error::Failure;
use crate::http::preconditions;
use crate::http::product_body::read_product;
use crate::http::response::{self, log_product_id};
use crate::models::timestamp::Timestamp;
use crate::repositories::change_publisher::{ChangePublisher, PublishError};
use crate::repositories::current_product::{CurrentProducts, ReadError};
use crate::services::update_product::{Outcome, UpdateProductError, Updating, update_product};

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
    let updating = Updating {
        product_id,
        details: read_product(&request)?,
        expected,
        actor: actor(&request),
        request_id: response::request_id(&request),
        now: Timestamp::now(),
    };
    match update_product(products, queue, updating).await? {
        Outcome::Accepted(event_id) => accepted(&product_location(&request, product_id), product_id, event_id),
        Outcome::NotFound => Err(Failure::not_found()),
        Outcome::PreconditionFailed { current_version } => Err(preconditions::failed(current_version)),
    }
}

impl From<UpdateProductError> for Failure {
    fn from(error: UpdateProductError) -> Self {
        match error {
            UpdateProductError::Read(ReadError::Unavailable(_))
            | UpdateProductError::Publish(PublishError::Unavailable(_)) => Self::unavailable(error),
            UpdateProductError::Read(ReadError::Refused(_) | ReadError::Unreadable(_))
            | UpdateProductError::Publish(PublishError::Refused(_)) => Self::internal(error),
        }
    }
}
