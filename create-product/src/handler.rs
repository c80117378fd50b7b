//! `POST /v1.0/products`: request in, response out.

use lambda_http::http::Response;
use lambda_http::{Body, Request};

use crate::http::accepted::{accepted, product_location};
use crate::http::actor::actor;
use crate::http::error::{ErrorCode, Failure};
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::product_body::read_product;
use crate::http::response;
use crate::models::timestamp::Timestamp;
use crate::models::violation::{DetailCode, Violation};
use crate::repositories::change_publisher::{ChangePublisher, PublishError};
use crate::repositories::creation_reader::{CreationReader, ReadError};
use crate::services::create_product::{CreateProductError, Creating, Outcome, create_product};

/// Handles one request.
pub async fn handle(
    request: Request,
    products: &dyn CreationReader,
    queue: &dyn ChangePublisher,
) -> Result<Response<Body>, Failure> {
    let key = IdempotencyKey::from_headers(request.headers())?;
    let details = read_product(&request)?;
    let actor = actor(&request);
    let caller = actor.api_key_id.clone().unwrap_or_default();
    let creating = Creating {
        named: key.map(|key| key.product_id(&caller)),
        details,
        actor,
        request_id: response::request_id(&request),
        now: Timestamp::now(),
    };
    match create_product(products, queue, creating).await? {
        Outcome::Accepted { product_id, event_id } => {
            accepted(&product_location(&request, product_id), product_id, event_id)
        }
        Outcome::KeyReused => {
            let detail = Violation::new("Idempotency-Key", DetailCode::Duplicate, "was used before with another body");
            let message = "The Idempotency-Key names a product that was created with another body.";
            Err(Failure::new(ErrorCode::IdempotencyKeyReused, message).with_details(vec![detail]))
        }
    }
}

impl From<CreateProductError> for Failure {
    fn from(error: CreateProductError) -> Self {
        match error {
            CreateProductError::Read(ReadError::Unavailable(_))
            | CreateProductError::Publish(PublishError::Unavailable(_)) => Self::unavailable(error),
            CreateProductError::Read(ReadError::Refused(_) | ReadError::Unreadable(_))
            | CreateProductError::Publish(PublishError::Refused(_)) => Self::internal(error),
        }
    }
}
