//! `DELETE /v1.0/products/{productId}`: request in, answer out.

use lambda_http::http::header::IF_MATCH;
use lambda_http::http::{HeaderName, HeaderValue, Response, StatusCode};
use lambda_http::{Body, Request, RequestExt};

use crate::http::actor::actor;
use crate::http::error::{ErrorCode, Failure};
use crate::http::preconditions::Versions;
use crate::http::response::{self, AcceptedChange};
use crate::models::identifiers::{EventId, ProductId};
use crate::models::timestamp::Timestamp;
use crate::repositories::change_publisher::ChangePublisher;
use crate::repositories::current_product::CurrentProducts;
use crate::services::delete_product::{Deleting, Outcome, delete_product};

/// Names the change; a 204 has no body to do so.
const EVENT_ID: HeaderName = HeaderName::from_static("x-event-id");

/// Answers one request. It never fails: whatever goes wrong is an answer in the error envelope.
pub async fn handle(request: Request, products: &dyn CurrentProducts, queue: &dyn ChangePublisher) -> Response<Body> {
    let request_id = response::request_id(&request);
    response::answer(&request_id, respond(&request, &request_id, products, queue)).await
}

async fn respond(
    request: &Request,
    request_id: &str,
    products: &dyn CurrentProducts,
    queue: &dyn ChangePublisher,
) -> Result<Response<Body>, Failure> {
    let parameters = request.path_parameters();
    // What is no id names no product: a 404 as for any other unknown one.
    let product_id = parameters.first("productId").and_then(|text| text.parse().ok()).ok_or_else(Failure::not_found)?;
    let expected = Versions::from_header(request.headers(), &IF_MATCH).map_err(|detail| {
        Failure::new(ErrorCode::InvalidParameter, "The If-Match header cannot be used.").with_details(vec![detail])
    })?;
    let deleting = Deleting {
        product_id,
        expected,
        actor: actor(request),
        request_id: request_id.to_owned(),
        now: Timestamp::now(),
    };
    match delete_product(products, queue, deleting).await? {
        Outcome::Accepted(event_id) | Outcome::Deleted(event_id) => deleted(product_id, event_id),
        Outcome::NotFound => Err(Failure::not_found()),
        Outcome::OtherVersion => {
            let message = "The product has another version than If-Match names. Read it again.";
            Err(Failure::new(ErrorCode::PreconditionFailed, message))
        }
    }
}

fn deleted(product_id: ProductId, event_id: EventId) -> Result<Response<Body>, Failure> {
    let mut answer = response::empty(StatusCode::NO_CONTENT);
    let header = HeaderValue::try_from(event_id.to_string()).map_err(Failure::internal)?;
    answer.headers_mut().insert(EVENT_ID, header);
    answer.extensions_mut().insert(AcceptedChange { product_id, event_id });
    Ok(answer)
}
