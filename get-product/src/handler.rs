//! `GET /v1.0/products/{productId}`: request in, response out.

use lambda_http::http::header::ETAG;
use lambda_http::http::{Response, StatusCode};
use lambda_http::{Body, Request, RequestExt};

use crate::http::error::Failure;
use crate::http::preconditions;
use crate::http::response::{self, etag, log_product_id};
use crate::models::expected_version::Evaluation;
use crate::models::product::ProductDocument;
use crate::repositories::product_reader::{ProductReader, ReadError};
use crate::services::get_product::get_product;

/// Handles one request.
pub async fn handle(request: Request, products: &dyn ProductReader) -> Result<Response<Body>, Failure> {
    let parameters = request.path_parameters();
    // A malformed ID names no product: 404, as for any other unknown one.
    let id = parameters.first("productId").and_then(|text| text.parse().ok()).ok_or_else(Failure::not_found)?;
    log_product_id(id);
    let expected = preconditions::from_headers(request.headers())?;
    let product = get_product(products, id).await?.ok_or_else(Failure::not_found)?;

    let version = product.version;
    let mut response = match expected.evaluate(version) {
        Evaluation::Met => response::json(StatusCode::OK, &ProductDocument::from(product))?,
        Evaluation::IfNoneMatchFailed => response::empty(StatusCode::NOT_MODIFIED),
        Evaluation::IfMatchFailed => return Err(preconditions::failed(version)),
    };
    response.headers_mut().insert(ETAG, etag(version));
    Ok(response)
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable(_) => Self::unavailable(error),
            ReadError::Refused(_) | ReadError::Unreadable(_) => Self::internal(error),
        }
    }
}
