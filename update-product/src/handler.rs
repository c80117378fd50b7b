//! `PUT` and `PATCH /v1.0/products/{productId}`: request in, response out.

use lambda_http::http::{Method, Response};
use lambda_http::{Body, Request, RequestExt};

use crate::http::accepted::accepted;
use crate::http::error::Failure;
use crate::http::origin::origin;
use crate::http::preconditions;
use crate::http::request_body::{invalid, read_object};
use crate::http::response::log_product_id;
use crate::http::sku_taken::sku_taken;
use crate::models::identifiers::ProductId;
use crate::models::product_content::ProductContent;
use crate::models::product_rules::OutputFields;
use crate::models::timestamp::Timestamp;
use crate::repositories::change_publisher::{ChangePublisher, PublishError};
use crate::repositories::current_products::{CurrentProducts, ReadError};
use crate::services::update_product::{Outcome, Update, UpdateProductError, UpdateProductRequest, update_product};

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
    let update = UpdateProductRequest {
        product_id,
        update: read_update(&request, product_id)?,
        expected,
        origin: origin(&request),
        now: Timestamp::now(),
    };
    match update_product(products, queue, update).await? {
        Outcome::Accepted(event_id) => accepted(&request, product_id, event_id),
        Outcome::NotFound => Err(Failure::not_found()),
        Outcome::PreconditionFailed { failed, current_version } => Err(preconditions::failed(failed, current_version)),
        Outcome::InvalidResult(violations) => Err(invalid("patch", violations)),
        Outcome::SkuTaken { holder } => Err(sku_taken(holder)),
    }
}

fn read_update(request: &Request, product_id: ProductId) -> Result<Update, Failure> {
    if request.method() == Method::PATCH {
        let body = read_object(request, "merge-patch+json", "patch")?;
        return ProductContent::parse_patch(&body).map(Update::Patch).map_err(|found| invalid("patch", found));
    }
    let body = read_object(request, "json", "product")?;
    let content = ProductContent::parse(&body, OutputFields::IgnoredFor(product_id));
    content.map(Update::Replace).map_err(|found| invalid("product", found))
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
