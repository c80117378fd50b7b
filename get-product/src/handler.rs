//! `GET /v1.0/products/{productId}`: request in, answer out.

use lambda_http::http::header::{ETAG, IF_NONE_MATCH};
use lambda_http::http::{Response, StatusCode};
use lambda_http::{Body, Request, RequestExt};

use crate::http::error::Failure;
use crate::http::preconditions::{Versions, etag};
use crate::http::response;
use crate::models::product::ProductDocument;
use crate::repositories::product_reader::ProductReader;
use crate::services::get_product::get_product;

/// Answers one request. It never fails: whatever goes wrong is an answer in the error envelope.
pub async fn handle(request: Request, products: &dyn ProductReader) -> Response<Body> {
    let request_id = response::request_id(&request);
    response::answer(&request_id, respond(&request, products)).await
}

async fn respond(request: &Request, products: &dyn ProductReader) -> Result<Response<Body>, Failure> {
    let parameters = request.path_parameters();
    // What is no id names no product: a 404 as for any other unknown one.
    let id = parameters.first("productId").and_then(|text| text.parse().ok()).ok_or_else(Failure::not_found)?;
    let product = get_product(products, id).await?.ok_or_else(Failure::not_found)?;

    let tag = etag(product.version);
    // A client may send any tags it has; those that are no tags at all are as good as none (RFC 9110 §13.1.2).
    let known = Versions::from_header(request.headers(), &IF_NONE_MATCH).unwrap_or_default();
    let mut answer = if known.is_some_and(|versions| versions.match_weakly(product.version)) {
        response::empty(StatusCode::NOT_MODIFIED)
    } else {
        response::json(StatusCode::OK, &ProductDocument::from(product))?
    };
    answer.headers_mut().insert(ETAG, tag);
    Ok(answer)
}
