//! One request in, one response out.

use lambda_http::http::Response;
use lambda_http::{Body, Request};

use crate::http::error::Failure;

/// Handles one request.
pub async fn handle(_request: Request) -> Result<Response<Body>, Failure> {
    // A 500, so that the smoke test keeps an unfinished function from going live.
    Err(Failure::internal("not implemented"))
}
