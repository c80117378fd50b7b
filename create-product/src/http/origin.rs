//! The request that a change comes with: who sent it, and its ID.

use lambda_http::request::RequestContext;
use lambda_http::{Request, RequestExt};

use super::response::request_id;
use crate::models::change_event::{Actor, Origin};

/// The caller, as far as API Gateway identifies it, and the request's ID.
pub fn origin(request: &Request) -> Origin {
    let actor = match request.request_context_ref() {
        Some(RequestContext::ApiGatewayV1(context)) => {
            // The queue refuses some characters, and an identifier has none of them.
            let is_identifier = |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
            let identifier = |value: &Option<String>| value.clone().filter(is_identifier);
            Actor {
                api_key_id: identifier(&context.identity.api_key_id),
                source_ip: identifier(&context.identity.source_ip),
            }
        }
        _ => Actor::default(),
    };
    Origin { actor, request_id: request_id(request) }
}
