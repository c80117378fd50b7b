//! The handler beside the contract, and the function as Lambda runs it.

mod support;

use CRATE::handler::handle;
use CRATE::http::proxy_integration::serve;
use axum::http::StatusCode;
use support::gateway::{Call, as_http};
use support::lambda::{Lambda, nobody};

const PROGRAM: &str = env!("CARGO_BIN_EXE_NAME");
const VARIABLES: &[(&str, &str)] = &[VARIABLES];

fn call() -> Call {
    Call::new("METHOD", "RESOURCE").product("3f0c1a52-8d4e-4b6a-9f37-0c5d2e1b7a84")
}

#[tokio::test]
async fn responds_as_the_contract_describes() {
    let response = call().answered_by(|event| serve(event, handle)).await;
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn starts_and_logs_one_line_per_request() {
    let function = Lambda::start_profiled(PROGRAM, nobody(), VARIABLES).await;
    let response = as_http(&function.invoke(call().event()).await.unwrap());
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(function.log(1).await.len(), 1);
    function.stop().await;
}
