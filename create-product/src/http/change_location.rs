//! The addresses of a product and of a change, relative to the request's URL (RFC 3986 §4.2).
//!
//! Only the client knows the URL that it called: with the stage in the path on API Gateway's own host name, without it on
//! a custom domain, and with more in front of it on the local stack. A relative reference resolves on all of them.

use lambda_http::http::{HeaderName, HeaderValue};
use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};

use super::error::Failure;
use crate::models::identifiers::{EventId, ProductId};

/// The address of the change: there the client follows it to its end.
pub const OPERATION_LOCATION: HeaderName = HeaderName::from_static("operation-location");

/// The reference to a product.
pub fn product_location(request: &Request, id: ProductId) -> String {
    let path = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => context.path.as_deref().unwrap_or_default(),
        _ => "",
    };
    let is_collection = path.trim_end_matches('/').ends_with("/products");
    // A reference replaces what follows the last slash of the URL.
    match (is_collection, path.ends_with('/')) {
        (true, false) => format!("products/{id}"),
        (true, true) | (false, false) => id.to_string(),
        (false, true) => format!("../{id}"),
    }
}

/// The reference to a change of a product, as the value of a header.
pub fn change_location(request: &Request, id: ProductId, event_id: EventId) -> Result<HeaderValue, Failure> {
    let reference = format!("{}/changes/{event_id}", product_location(request, id));
    HeaderValue::try_from(reference).map_err(Failure::internal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use lambda_http::aws_lambda_events::apigw::ApiGatewayProxyRequestContext;

    const ID: &str = "3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84";
    const EVENT_ID: &str = "019c1941-fe00-7d2e-9f10-2b3c4d5e6f70";

    #[test]
    fn refers_to_product_and_change_from_every_path() {
        for (path, product) in [
            ("/dev/v1.0/products".to_owned(), format!("products/{ID}")),
            ("/v1.0/products".to_owned(), format!("products/{ID}")),
            ("/v1.0/products/".to_owned(), ID.to_owned()),
            (format!("/dev/v1.0/products/{ID}"), ID.to_owned()),
            (format!("/v1.0/products/{}", ID.to_uppercase()), ID.to_owned()),
            (format!("/v1.0/products/{ID}/"), format!("../{ID}")),
        ] {
            let mut context = ApiGatewayProxyRequestContext::default();
            context.path = Some(path.clone());
            let request = Request::default().with_request_context(RequestContext::ApiGatewayV1(context));
            let id = ID.parse().unwrap();
            let change = change_location(&request, id, EVENT_ID.parse().unwrap()).unwrap();
            assert_eq!(product_location(&request, id), product, "{path}");
            assert_eq!(change, format!("{product}/changes/{EVENT_ID}"), "{path}");
        }
    }
}
