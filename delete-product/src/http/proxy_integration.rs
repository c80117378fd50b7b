//! API Gateway's proxy integration: its event as a request, an answer as it takes it.
//!
//! Not `lambda_http::run`, whose types this uses. Before it calls a handler it builds a URI, which no function here reads,
//! and decodes the body, and it panics when `Host` or `X-Forwarded-Proto` make no URI or the body is no base64; of a header
//! that is repeated it keeps the last value only. A panic is a 502 to the caller and an alarm to whoever is on call, so what
//! cannot be read is a 400 here, and all values of a header reach the handler.

use std::convert::Infallible;
use std::future::ready;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::aws_lambda_events::apigw::{ApiGatewayProxyRequest, ApiGatewayProxyResponse};
use lambda_http::http::Response;
use lambda_http::request::RequestContext;
use lambda_http::{Body, LambdaEvent, Request, RequestExt};
use serde_json::value::RawValue;

use super::error::{Detail, ErrorCode, Failure};
use super::response;

/// Has `handler` answer the request in `event`; one that cannot be read is answered with a 400 here.
pub async fn serve<Handler, Answer>(
    event: LambdaEvent<Box<RawValue>>,
    handler: Handler,
) -> Result<ApiGatewayProxyResponse, Infallible>
where
    Handler: FnOnce(Request) -> Answer,
    Answer: Future<Output = Response<Body>>,
{
    let LambdaEvent { payload, context } = event;
    let answer = match read(payload.get()) {
        Ok(request) => handler(request.with_lambda_context(context)).await,
        Err(failure) => response::answer(&context.request_id, ready(Err(failure))).await,
    };
    Ok(written(answer))
}

/// A request with method, headers, parameters, context and body, as far as the functions read it: it has no URI.
fn read(event: &str) -> Result<Request, Failure> {
    // The error is not told, and not logged either: it quotes what it could not read.
    let event: ApiGatewayProxyRequest = serde_json::from_str(event).map_err(|_| unreadable())?;
    let body = match event.body {
        None => Body::Empty,
        Some(text) if event.is_base64_encoded => Body::Binary(STANDARD.decode(text).map_err(|_| {
            unreadable().with_details(vec![Detail::new("body", "INVALID_FORMAT", "is declared as base64 and is none")])
        })?),
        Some(text) => Body::Text(text),
    };
    // Each of the pairs holds the same twice. The plural ones hold all values, but an event made by hand may lack them.
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
    Ok(request)
}

fn unreadable() -> Failure {
    Failure::new(ErrorCode::InvalidRequest, "The request cannot be read.")
}

fn written(answer: Response<Body>) -> ApiGatewayProxyResponse {
    let (parts, body) = answer.into_parts();
    let mut response = ApiGatewayProxyResponse::default();
    response.status_code = parts.status.as_u16().into();
    // Not in `headers` as well: API Gateway would send what stands in both twice.
    response.multi_value_headers = parts.headers;
    // All bodies of this API are JSON, which is text.
    response.body = Some(body).filter(|body| matches!(body, Body::Text(_)));
    response
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn event() -> Value {
        json!({
            "httpMethod": "POST", "path": "/v1.0/products",
            "headers": {"Host": "api.example", "X-Two": "b"},
            "multiValueHeaders": {"Host": ["api.example"], "X-Two": ["a", "b"]},
            "queryStringParameters": {"tag": "y"}, "multiValueQueryStringParameters": {"tag": ["x", "y"]},
            "pathParameters": {"productId": "a b"},
            "requestContext": {"requestId": "r-1", "httpMethod": "POST", "identity": {}},
            "body": "{}", "isBase64Encoded": false,
        })
    }

    fn refused(event: &Value) -> Failure {
        let failure = read(&event.to_string()).unwrap_err();
        assert_eq!(failure.code, ErrorCode::InvalidRequest);
        assert!(failure.cause.is_none(), "a cause would quote the request into the log");
        failure
    }

    #[test]
    fn every_value_of_a_header_and_of_a_parameter_arrives() {
        let request = read(&event().to_string()).unwrap();
        assert_eq!(request.method(), "POST");
        assert_eq!(request.headers().get_all("x-two").iter().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(request.query_string_parameters().all("tag").unwrap(), ["x", "y"]);
        assert_eq!(request.path_parameters().first("productId"), Some("a b"));
        assert_eq!(response::request_id(&request), "r-1");
        assert_eq!(request.body().as_ref(), b"{}");
    }

    #[test]
    fn an_event_with_the_singular_forms_only_is_read() {
        let mut event = event();
        event["multiValueHeaders"] = Value::Null;
        event["multiValueQueryStringParameters"] = Value::Null;
        let request = read(&event.to_string()).unwrap();
        assert_eq!(request.headers()["x-two"], "b");
        assert_eq!(request.query_string_parameters().all("tag").unwrap(), ["y"]);
    }

    #[test]
    fn a_base64_body_is_decoded_and_what_is_none_is_refused() {
        let mut event = event();
        event["isBase64Encoded"] = json!(true);
        assert_eq!(refused(&event).details[0].field, "body");
        event["body"] = json!("e30=");
        assert_eq!(read(&event.to_string()).unwrap().body().as_ref(), b"{}");
        event["body"] = Value::Null;
        assert_eq!(*read(&event.to_string()).unwrap().body(), Body::Empty);
    }

    #[test]
    fn headers_that_make_no_uri_do_no_harm() {
        for (name, value) in [("Host", "a b"), ("Host", "["), ("X-Forwarded-Proto", "\u{20ac}:"), ("Host", "")] {
            let mut event = event();
            event["multiValueHeaders"][name] = json!([value]);
            event["headers"][name] = json!(value);
            event["path"] = json!("no path \r\n ? # %");
            assert!(read(&event.to_string()).is_ok(), "{name}: {value}");
        }
    }

    #[test]
    fn what_is_no_event_is_refused() {
        let mut control = event();
        control["multiValueHeaders"]["X-Two"] = json!(["a\r\nb"]);
        for event in [json!({}), json!([]), json!("text"), control] {
            refused(&event);
        }
    }

    #[tokio::test]
    async fn an_answer_has_its_headers_once_and_no_body_where_there_is_none() {
        let context = lambda_http::Context::default();
        let event = RawValue::from_string(event().to_string()).unwrap();
        let handler = |_| ready(Response::builder().status(204).header("x-event-id", "e").body(Body::Empty).unwrap());
        let answer = serve(LambdaEvent::new(event, context), handler).await.unwrap();
        assert_eq!(
            serde_json::to_value(answer).unwrap(),
            json!({"statusCode": 204, "headers": {}, "multiValueHeaders": {"x-event-id": ["e"]}, "isBase64Encoded": false})
        );
    }
}
