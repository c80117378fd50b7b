//! The function's own program, run as Lambda runs it: what it answers when AWS does not, and what it logs.

mod support;

use std::net::SocketAddr;

use axum::http::StatusCode;
use serde_json::{Value, json};
use support::gateway::{Call, as_http, body};
use support::lambda::{Lambda, nobody, refusal, silence, witness};
use support::openapi;

const METHOD: &str = "GET";
const RESOURCE: &str = "/products";

const PROGRAM: &str = env!("CARGO_BIN_EXE_list-products");
const VARIABLES: [(&str, &str); 2] = [("TABLE_NAME", "products"), ("LIST_SHARDS", "4")];

async fn start(endpoint: SocketAddr) -> Lambda {
    Lambda::start(PROGRAM, endpoint, &VARIABLES).await
}

/// A request that needs AWS to be answered.
fn call() -> Call {
    Call::new(METHOD, RESOURCE)
}

/// The line of a log as JSON.
fn json_line(line: &str) -> Value {
    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
}

#[tokio::test]
async fn without_aws_the_answer_is_a_503_before_the_functions_time_is_up_and_the_log_says_why() {
    let endpoints = [
        (silence().await, "timeout"),
        (nobody(), "onnect"),
        (refusal(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError").await, "InternalServerError"),
        (refusal(StatusCode::BAD_REQUEST, "ThrottlingException").await, "ThrottlingException"),
    ];
    for (endpoint, cause) in endpoints {
        let function = start(endpoint).await;
        let answer = as_http(&function.invoke(call().event()).await.unwrap());

        assert_eq!(answer.status(), 503, "{cause}");
        openapi::assert_describes(METHOD, RESOURCE, &answer);
        assert_eq!(body(&answer)["error"]["requestId"], "req-1");
        let log = function.log(1).await;
        assert_eq!(log.len(), 1, "{log:?}");
        let line = json_line(&log[0]);
        assert_eq!((&line["level"], &line["status"]), (&json!("ERROR"), &json!(503)));
        assert_eq!((&line["code"], &line["requestId"]), (&json!("SERVICE_UNAVAILABLE"), &json!("req-1")));
        assert!(line["error"].as_str().unwrap().contains(cause), "{cause}: {line}");
    }
}

#[tokio::test]
async fn first_request_uses_connections_opened_at_start() {
    let (endpoint, seen) = witness().await;
    let function = Lambda::start_profiled(PROGRAM, endpoint, &VARIABLES).await;
    function.invoke(call().event()).await.unwrap();
    function.stop().await;

    let mut seen = seen.lock().unwrap().clone();
    seen.sort();
    assert_eq!(seen, ["GET", "POST", "connection"].map(|kind| [kind; 4]).concat());
}

#[tokio::test]
async fn rejects_malformed_event_and_serves_the_next_one() {
    let function = start(nobody()).await;
    let mut forged = call().header("X-Note", "a\r\n{\"level\":\"ERROR\"}").event().clone();
    forged["requestContext"]["requestId"] = json!("a\r\n{\"level\":\"ERROR\"}");
    let mut undecodable = call().event().clone();
    undecodable["body"] = json!("PRIVATE, and no base64");
    undecodable["isBase64Encoded"] = json!(true);

    let events = [forged, undecodable, json!({}), json!("PRIVATE"), json!([])];
    for event in &events {
        let answer = as_http(&function.invoke(event).await.unwrap());
        assert_eq!(answer.status(), 400, "{event}");
        openapi::assert_describes(METHOD, RESOURCE, &answer);
        assert_eq!(body(&answer)["error"]["code"], "INVALID_REQUEST");
    }
    let call = call().header("Host", "no host PRIVATE").header("X-Forwarded-Proto", "?");
    assert_eq!(as_http(&function.invoke(call.event()).await.unwrap()).status(), 503);

    let log = function.log(events.len() + 1).await;
    assert_eq!(log.len(), events.len() + 1, "one line for each: {log:?}");
    for line in &log {
        assert!(json_line(line)["status"].is_u64() && !line.contains("PRIVATE") && !line.contains("secret"), "{line}");
    }
}

#[tokio::test]
async fn start_fails_and_names_missing_variable() {
    let function = Lambda::start(PROGRAM, nobody(), &[]).await;
    assert!(function.log(1).await[0].contains("environment variable"));
}
