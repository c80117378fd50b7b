//! Requests as API Gateway's proxy integration sends them to a function, and what is read of the answers.

use std::convert::Infallible;

use lambda_http::aws_lambda_events::apigw::ApiGatewayProxyResponse;
use lambda_http::http::Response;
use lambda_http::{Body, Context, LambdaEvent};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::openapi;

/// A request on its way: method and path first, the rest as a test needs it.
pub struct Call {
    method: String,
    resource: String,
    event: Value,
}

impl Call {
    pub fn new(method: &str, resource: &str) -> Self {
        let path = format!("/v1.0{resource}");
        Self {
            method: method.to_owned(),
            resource: resource.to_owned(),
            event: json!({
                "resource": path, "path": path, "httpMethod": method,
                "headers": {"Host": "api.example"},
                "multiValueHeaders": {"Host": ["api.example"]},
                "queryStringParameters": null,
                "multiValueQueryStringParameters": null,
                "pathParameters": null,
                "stageVariables": null,
                "body": null,
                "isBase64Encoded": false,
                "requestContext": {
                    "resourceId": "r1", "resourcePath": path, "httpMethod": method, "path": format!("/dev{path}"),
                    "accountId": "123456789012", "protocol": "HTTP/1.1", "stage": "dev", "apiId": "api1",
                    "requestId": "req-1", "requestTime": "31/Jan/2026:12:00:00 +0000",
                    "requestTimeEpoch": 1_769_860_800_000_u64,
                    "identity": {"sourceIp": "203.0.113.9", "apiKeyId": "key-1", "apiKey": "secret-key-value"},
                },
            }),
        }
    }

    pub fn product(mut self, id: &str) -> Self {
        self.event["pathParameters"] = json!({"productId": id});
        self
    }

    pub fn change(mut self, product_id: &str, event_id: &str) -> Self {
        self.event["pathParameters"] = json!({"productId": product_id, "eventId": event_id});
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        let mut values = self.event["multiValueHeaders"][name].as_array().cloned().unwrap_or_default();
        values.push(json!(value));
        self.event["multiValueHeaders"][name] = json!(values);
        self.event["headers"][name] = json!(value);
        self
    }

    pub fn parameter(mut self, name: &str, value: &str) -> Self {
        let mut all = self.event["multiValueQueryStringParameters"].as_object().cloned().unwrap_or_else(Map::new);
        let mut values = all.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        values.push(json!(value));
        all.insert(name.to_owned(), json!(values));
        self.event["queryStringParameters"] = all
            .iter()
            .map(|(name, values)| (name.clone(), values[values.as_array().unwrap().len() - 1].clone()))
            .collect();
        self.event["multiValueQueryStringParameters"] = Value::Object(all);
        self
    }

    pub fn json(self, body: &Value) -> Self {
        self.header("Content-Type", "application/json").body(&body.to_string())
    }

    pub fn body(mut self, body: &str) -> Self {
        self.event["body"] = json!(body);
        self
    }

    pub fn base64(mut self) -> Self {
        self.event["isBase64Encoded"] = json!(true);
        self
    }

    /// Takes the caller's key id away, as an engine without API keys would.
    pub fn without_key_id(mut self) -> Self {
        self.event["requestContext"]["identity"]["apiKeyId"] = Value::Null;
        self
    }

    /// The event, for a function that runs as a program of its own.
    pub fn event(&self) -> &Value {
        &self.event
    }

    /// What `function` answers; it must be something that the contract describes.
    pub async fn answered_by<Function, Answer>(&self, function: Function) -> Response<Body>
    where
        Function: FnOnce(LambdaEvent<Box<RawValue>>) -> Answer,
        Answer: Future<Output = Result<ApiGatewayProxyResponse, Infallible>>,
    {
        answer(&self.method, &self.resource, &self.event, function).await
    }
}

/// What `function` answers to an event, through the JSON of both; it must be something that the contract describes.
pub async fn answer<Function, Answer>(method: &str, resource: &str, event: &Value, function: Function) -> Response<Body>
where
    Function: FnOnce(LambdaEvent<Box<RawValue>>) -> Answer,
    Answer: Future<Output = Result<ApiGatewayProxyResponse, Infallible>>,
{
    let event = RawValue::from_string(event.to_string()).unwrap();
    let mut context = Context::default();
    context.request_id = "invocation-1".to_owned();
    let Ok(answer) = function(LambdaEvent::new(event, context)).await;
    let answer = as_http(&serde_json::to_value(answer).unwrap());
    openapi::assert_describes(method, resource, &answer);
    answer
}

/// An answer as API Gateway makes HTTP of it.
pub fn as_http(answer: &Value) -> Response<Body> {
    let mut response = Response::builder().status(u16::try_from(answer["statusCode"].as_u64().unwrap()).unwrap());
    for (name, values) in answer["multiValueHeaders"].as_object().unwrap() {
        for value in values.as_array().unwrap() {
            response = response.header(name, value.as_str().unwrap());
        }
    }
    response.body(answer["body"].as_str().map_or(Body::Empty, |text| Body::Text(text.to_owned()))).unwrap()
}

/// The body of an answer, as JSON.
pub fn body(response: &Response<Body>) -> Value {
    serde_json::from_slice(response.body()).unwrap_or_else(|error| panic!("{error}: {:?}", response.body()))
}
