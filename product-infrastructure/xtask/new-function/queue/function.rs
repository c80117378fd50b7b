//! The function as Lambda runs it.

mod support;

use serde_json::json;
use support::lambda::{Lambda, nobody};

const PROGRAM: &str = env!("CARGO_BIN_EXE_NAME");
const VARIABLES: &[(&str, &str)] = &[VARIABLES];

#[tokio::test]
async fn returns_each_message_for_redelivery() {
    let function = Lambda::start_profiled(PROGRAM, nobody(), VARIABLES).await;
    let message = |id| json!({"messageId": id, "body": "{}", "eventSource": "aws:sqs"});
    let response = function.invoke(&json!({"Records": [message("a"), message("b")]})).await.unwrap();
    assert_eq!(response["batchItemFailures"], json!([{"itemIdentifier": "a"}, {"itemIdentifier": "b"}]));
    function.stop().await;
}
