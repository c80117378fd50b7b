//! Who makes a request.

use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};

use crate::models::change_event::Actor;

/// Who made the request, as far as API Gateway tells: the key's id (never the key) and the address.
pub fn actor(request: &Request) -> Actor {
    match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => {
            // All are identifiers. Any other value would be rejected by the queue, and means nothing.
            let is_identifier = |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
            let said = |value: &Option<String>| value.clone().filter(is_identifier);
            Actor { api_key_id: said(&context.identity.api_key_id), source_ip: said(&context.identity.source_ip) }
        }
        _ => Actor::default(),
    }
}
