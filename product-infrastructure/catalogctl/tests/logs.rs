//! `catalogctl logs` on a CloudWatch Logs in this process.

mod support;

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use support::services::Services;
use support::system::{program, run_against};
use tokio::io::{AsyncBufReadExt, BufReader};

const CALL: &str = "FilterLogEvents /aws/lambda/bbws-get-product-dev";

fn line(id: &str, millis: u64) -> Value {
    json!({"eventId": id, "timestamp": millis, "logStreamName": "s", "message": format!("{{\"line\":\"{id}\"}}\n")})
}

#[tokio::test]
async fn prints_the_lines_of_all_pages_as_they_were_logged() {
    let services = Services::start().await;
    services.set(CALL, json!({"events": [line("a", 1)], "nextToken": "2"}));
    services.set("FilterLogEvents 2 /aws/lambda/bbws-get-product-dev", json!({"events": [line("b", 2), line("a", 1)]}));
    let arguments = ["logs", "get-product", "--since", "2h", "--filter", "\"r-1\""];
    let before = std::time::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;

    let printed = run_against(&services.endpoint, &arguments).await.expect(0).stdout;

    assert_eq!(printed, "{\"line\":\"a\"}\n{\"line\":\"b\"}\n", "each line once");
    let input = &services.inputs(CALL)[0];
    assert_eq!(input["filterPattern"], "\"r-1\"");
    let age = before - input["startTime"].as_u64().unwrap();
    assert!(age.abs_diff(7_200_000) < 60_000, "{age}");

    let json = run_against(&services.endpoint, &[&arguments[..], &["--json"]].concat()).await.expect(0).stdout;
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first, line("a", 1));
}

#[tokio::test]
async fn escapes_what_a_terminal_would_act_upon() {
    let services = Services::start().await;
    services.set(
        "FilterLogEvents /aws/apigateway/bbws-product-api-dev",
        json!({"events": [{"eventId": "a", "timestamp": 1, "logStreamName": "s", "message": "\u{1b}[2Jgone"}]}),
    );
    let printed = run_against(&services.endpoint, &["logs", "api"]).await.expect(0).stdout;
    assert!(!printed.contains('\u{1b}') && printed.contains("gone"), "{printed}");
}

#[tokio::test]
async fn follows_a_log_and_prints_each_line_once() {
    let services = Services::start().await;
    services.first(CALL, 200, json!({"events": [line("a", 100_000)]}));
    services.set(CALL, json!({"events": [line("a", 100_000), line("late", 90_000), line("b", 120_000)]}));
    let mut command = program(
        Path::new(env!("CARGO_MANIFEST_DIR")),
        &["logs", "get-product", "--follow", "--since", "30000d", "--env", "dev"],
    );
    let mut child = command
        .env("AWS_ENDPOINT_URL", &services.endpoint)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut printed = Vec::new();
    while printed.len() < 3 {
        printed.push(lines.next_line().await.unwrap().unwrap());
    }
    assert_eq!(printed, ["a", "late", "b"].map(|id| format!("{{\"line\":\"{id}\"}}")));
    while services.inputs(CALL).len() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let inputs = services.inputs(CALL);
    assert!(inputs[2]["startTime"].as_u64().unwrap() >= 90_000, "goes back 30 s before the newest line: {inputs:?}");
    child.kill().await.unwrap();
    assert_eq!(lines.next_line().await.unwrap(), None, "nothing is printed twice");
}

#[tokio::test]
async fn missing_log_group_and_wrong_arguments_are_errors() {
    let services = Services::start().await;
    let missing = run_against(&services.endpoint, &["logs", "get-product"]).await.expect(1);
    assert!(
        missing.stderr.contains("logs:FilterLogEvents on log group /aws/lambda/bbws-get-product-dev failed: not found"),
        "{}",
        missing.stderr
    );
    services.set(CALL, json!({"events": []}));
    let empty = run_against(&services.endpoint, &["logs", "get-product"]).await.expect(0);
    assert!(empty.stdout.is_empty() && empty.stderr.contains("No lines found"), "{}", empty.stderr);
    run_against(&services.endpoint, &["logs", "get-product", "--since", "soon"]).await.expect(1);
    run_against(&services.endpoint, &["logs", "nothing"]).await.expect(1);
}
