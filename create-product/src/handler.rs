//! `POST /v1.0/products`: request in, answer out.

use lambda_http::http::Response;
use lambda_http::{Body, Request};

use crate::http::accepted::{accepted, product_location};
use crate::http::actor::actor;
use crate::http::error::{Detail, ErrorCode, Failure};
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::product_body::read_product;
use crate::http::response;
use crate::models::timestamp::Timestamp;
use crate::repositories::change_publisher::ChangePublisher;
use crate::repositories::creation_reader::CreationReader;
use crate::services::create_product::{Creating, Outcome, create_product};

/// Answers one request. It never fails: whatever goes wrong is an answer in the error envelope.
pub async fn handle(request: Request, products: &dyn CreationReader, queue: &dyn ChangePublisher) -> Response<Body> {
    let request_id = response::request_id(&request);
    response::answer(&request_id, respond(&request, &request_id, products, queue)).await
}

async fn respond(
    request: &Request,
    request_id: &str,
    products: &dyn CreationReader,
    queue: &dyn ChangePublisher,
) -> Result<Response<Body>, Failure> {
    let key = IdempotencyKey::from_headers(request.headers())?;
    let details = read_product(request)?;
    let actor = actor(request);
    let caller = actor.api_key_id.clone().unwrap_or_default();
    let creating = Creating {
        named: key.map(|key| key.product_id(&caller)),
        details,
        actor,
        request_id: request_id.to_owned(),
        now: Timestamp::now(),
    };
    match create_product(products, queue, creating).await? {
        Outcome::Accepted { product_id, event_id } => {
            accepted(&product_location(request, product_id), product_id, event_id)
        }
        Outcome::KeyReused => {
            let detail = Detail::new("Idempotency-Key", "DUPLICATE", "was used before with another body");
            let message = "The Idempotency-Key names a product that was created with another body.";
            Err(Failure::new(ErrorCode::IdempotencyKeyReused, message).with_details(vec![detail]))
        }
    }
}
