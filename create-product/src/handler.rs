//! `POST /v1.0/products`: request in, response out.

use lambda_http::http::Response;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Request, RequestExt};

use crate::http::accepted::accepted;
use crate::http::error::{ErrorCode, Failure};
use crate::http::idempotency_key::IdempotencyKey;
use crate::http::origin::origin;
use crate::http::request_body::{invalid, read_object};
use crate::http::sku_taken::sku_taken;
use crate::models::product_content::ProductContent;
use crate::models::product_rules::OutputFields;
use crate::models::timestamp::Timestamp;
use crate::models::violation::{DetailCode, Violation};
use crate::repositories::change_publisher::{ChangePublisher, PublishError};
use crate::repositories::product_lookup::{LookupError, ProductLookup};
use crate::services::create_product::{CreateProductError, CreateProductRequest, Outcome, create_product};

/// Handles one request.
pub async fn handle(
    request: Request,
    products: &dyn ProductLookup,
    queue: &dyn ChangePublisher,
) -> Result<Response<Body>, Failure> {
    let key = IdempotencyKey::from_headers(request.headers())?;
    let body = read_object(&request, "json", "product")?;
    let content = ProductContent::parse(&body, OutputFields::ReadOnly).map_err(|found| invalid("product", found))?;
    let creation = CreateProductRequest {
        named_id: key.map(|key| key.product_id(environment(&request))),
        content,
        origin: origin(&request),
        now: Timestamp::now(),
    };
    match create_product(products, queue, creation).await? {
        Outcome::Accepted { product_id, event_id } => accepted(&request, product_id, event_id),
        Outcome::KeyReused => {
            let message = "The Idempotency-Key was already used with a different request body.";
            let violation = Violation::new(
                "Idempotency-Key",
                DetailCode::Duplicate,
                "was already used with a different request body",
            );
            Err(Failure::new(ErrorCode::IdempotencyKeyReused, message).with_details(vec![violation]))
        }
        Outcome::SkuTaken { holder } => Err(sku_taken(holder)),
    }
}

/// The name of the environment: that of the API's stage.
fn environment(request: &Request) -> &str {
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.stage.as_deref().unwrap_or_default(),
        _ => "",
    }
}

impl From<CreateProductError> for Failure {
    fn from(error: CreateProductError) -> Self {
        match error {
            CreateProductError::Lookup(LookupError::Unavailable(_))
            | CreateProductError::Publish(PublishError::Unavailable(_)) => Self::unavailable(error),
            CreateProductError::Lookup(LookupError::Refused(_) | LookupError::Unreadable(_))
            | CreateProductError::Publish(PublishError::Refused(_)) => Self::internal(error),
        }
    }
}
