//! API Gateway's proxy integration: reads its event as a request, runs the handler in the request's tracing span, and
//! writes the response in the form that API Gateway takes.
//!
//! Not `lambda_http::run`, whose types this module uses: it panics when `Host` or `X-Forwarded-Proto` don't make a URI or
//! when the body isn't valid Base64, and it keeps only the last value of a repeated header. A panic is a 502 to the caller
//! and an alarm to the engineer on call. Here an unreadable event is a 400, and the handler sees all values of a header.

use std::convert::Infallible;
use std::time::Instant;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayProxyResponse};
use lambda_http::http::Response;
use lambda_http::request::RequestContext;
use lambda_http::{Body, LambdaEvent, Request, RequestExt};
use serde_json::value::RawValue;
use tracing::Instrument;

use super::error::{ErrorCode, Failure};
use super::response;
use crate::models::violation::{DetailCode, Violation};

/// The resource that the request matched, as API Gateway's `resource` has it (`/v1.0/products/{productId}`): what a
/// function with several routes decides by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource(pub String);

/// Handles the request in `event` with `handler`; an unreadable event is a 400.
pub async fn serve<Handler, Outcome>(
    event: LambdaEvent<Box<RawValue>>,
    handler: Handler,
) -> Result<ApiGatewayProxyResponse, Infallible>
where
    Handler: FnOnce(Request) -> Outcome,
    Outcome: Future<Output = Result<Response<Body>, Failure>>,
{
    let started = Instant::now();
    let LambdaEvent { payload, context } = event;
    let invocation_id = context.request_id.clone();
    let request = read(payload.get()).map(|request| request.with_lambda_context(context));
    let request_id = request.as_ref().map_or(invocation_id, response::request_id);
    let span = response::request_span(&request_id);
    let work = async {
        let result = match request {
            Ok(request) => handler(request).await,
            Err(failure) => Err(failure),
        };
        response::finish(result, &request_id, started)
    };
    Ok(to_gateway(work.instrument(span).await))
}

/// The request with everything that the functions read: method, headers, parameters, context and body, but no URI.
fn read(event: &str) -> Result<Request, Failure> {
    // The error is neither sent nor logged: it quotes the event.
    let event: ApiGatewayProxyRequest = serde_json::from_str(event).map_err(|_| malformed())?;
    let body = match event.body {
        None => Body::Empty,
        Some(text) if event.is_base64_encoded => Body::Binary(STANDARD.decode(text).map_err(|_| {
            malformed().with_details(vec![Violation::new("body", DetailCode::InvalidFormat, "isn't valid Base64")])
        })?),
        Some(text) => Body::Text(text),
    };
    // Each pair holds the same data. The plural form has all values, but a hand-made event may lack it.
    let headers = if event.multi_value_headers.is_empty() { event.headers } else { event.multi_value_headers };
    let parameters = if event.multi_value_query_string_parameters.is_empty() {
        event.query_string_parameters
    } else {
        event.multi_value_query_string_parameters
    };

    let mut request = Request::new(body)
        .with_path_parameters(event.path_parameters)
        .with_query_string_parameters(parameters)
        .with_request_context(RequestContext::ApiGatewayV1(event.request_context));
    *request.method_mut() = event.http_method;
    *request.headers_mut() = headers;
    request.extensions_mut().insert(Resource(event.resource.unwrap_or_default()));
    Ok(request)
}

fn malformed() -> Failure {
    Failure::new(ErrorCode::InvalidRequest, "Malformed request.")
}

fn to_gateway(response: Response<Body>) -> ApiGatewayProxyResponse {
    let (parts, body) = response.into_parts();
    let mut response = ApiGatewayProxyResponse::default();
    response.status_code = parts.status.as_u16().into();
    // Not in `headers` as well: API Gateway would send each header twice.
    response.multi_value_headers = parts.headers;
    // All bodies of this API are JSON and need no Base64.
    response.body = Some(body).filter(|body| matches!(body, Body::Text(_)));
    response
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event() -> Value {
        json!({
            "httpMethod": "POST", "path": "/v1.0/products/a%20b", "resource": "/v1.0/products/{productId}",
            "headers": {"Host": "api.example", "X-Two": "b"},
            "multiValueHeaders": {"Host": ["api.example"], "X-Two": ["a", "b"]},
            "queryStringParameters": {"tag": "y"}, "multiValueQueryStringParameters": {"tag": ["x", "y"]},
            "pathParameters": {"productId": "a b"},
            "requestContext": {"requestId": "r-1", "httpMethod": "POST", "identity": {}},
            "body": "{}", "isBase64Encoded": false,
        })
    }

    fn rejected(event: &Value) -> Failure {
        let failure = read(&event.to_string()).unwrap_err();
        assert_eq!(failure.code, ErrorCode::InvalidRequest);
        assert!(failure.cause.is_none(), "a cause would quote the request into the log");
        failure
    }

    #[test]
    fn reads_every_value_of_a_header_and_of_a_parameter() {
        let request = read(&event().to_string()).unwrap();
        assert_eq!(request.method(), "POST");
        assert_eq!(request.headers().get_all("x-two").iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(request.query_string_parameters().all("tag").unwrap(), ["x", "y"]);
        assert_eq!(request.path_parameters().first("productId"), Some("a b"));
        assert_eq!(request.extensions().get(), Some(&Resource("/v1.0/products/{productId}".to_owned())));
        assert_eq!(response::request_id(&request), "r-1");
        assert_eq!(request.body().as_ref(), b"{}");
    }

    #[test]
    fn reads_event_with_singular_forms_only() {
        let mut event = event();
        event["multiValueHeaders"] = Value::Null;
        event["multiValueQueryStringParameters"] = Value::Null;
        let request = read(&event.to_string()).unwrap();
        assert_eq!(request.headers()["x-two"], "b");
        assert_eq!(request.query_string_parameters().all("tag").unwrap(), ["y"]);
    }

    #[test]
    fn decodes_base64_body_and_rejects_invalid_base64() {
        let mut event = event();
        event["isBase64Encoded"] = json!(true);
        assert_eq!(rejected(&event).details[0].field, "body");
        event["body"] = json!("e30=");
        assert_eq!(read(&event.to_string()).unwrap().body().as_ref(), b"{}");
        event["body"] = Value::Null;
        assert_eq!(*read(&event.to_string()).unwrap().body(), Body::Empty);
    }

    #[test]
    fn reads_event_whose_headers_make_no_uri() {
        for (name, value) in [("Host", "a b"), ("Host", "["), ("X-Forwarded-Proto", "\u{20ac}:"), ("Host", "")] {
            let mut event = event();
            event["multiValueHeaders"][name] = json!([value]);
            event["headers"][name] = json!(value);
            event["path"] = json!("no path \r\n ? # %");
            assert!(read(&event.to_string()).is_ok(), "{name}: {value}");
        }
    }

    #[test]
    fn rejects_malformed_event() {
        let mut control = event();
        control["multiValueHeaders"]["X-Two"] = json!(["a\r\nb"]);
        for event in [json!({}), json!([]), json!("text"), control] {
            rejected(&event);
        }
    }

    #[tokio::test]
    async fn writes_each_header_once_and_omits_an_empty_body() {
        let mut context = lambda_http::Context::default();
        context.request_id = "invocation-1".to_owned();
        let event = RawValue::from_string(event().to_string()).unwrap();
        let handler =
            async |_| Ok(Response::builder().status(204).header("x-event-id", "e").body(Body::Empty).unwrap());
        let response = serve(LambdaEvent::new(event, context), handler).await.unwrap();
        assert_eq!(
            serde_json::to_value(response).unwrap(),
            json!({
                "statusCode": 204, "headers": {}, "isBase64Encoded": false,
                "multiValueHeaders": {"x-event-id": ["e"], "x-request-id": ["r-1"]},
            })
        );
    }
}
