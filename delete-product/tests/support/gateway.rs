//! Requests as API Gateway's proxy integration sends them to a function, and what is read of the answers.

use lambda_http::http::Response;
use lambda_http::{Body, Request};
use serde_json::{Map, Value, json};

/// A request on its way: method and path first, the rest as a test needs it.
pub struct Call {
    event: Value,
}

#[allow(dead_code, reason = "each function's calls use some of it")]
impl Call {
    pub fn new(method: &str, resource: &str) -> Self {
        let path = format!("/v1.0{resource}");
        Self {
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

    pub fn request(&self) -> Request {
        lambda_http::request::from_str(&self.event.to_string()).unwrap()
    }
}

/// The body of an answer, as JSON.
#[allow(dead_code, reason = "not every function's answers have a body")]
pub fn body(response: &Response<Body>) -> Value {
    serde_json::from_slice(response.body()).unwrap_or_else(|error| panic!("{error}: {:?}", response.body()))
}
