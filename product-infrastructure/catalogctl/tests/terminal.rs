//! The program on a terminal and in a pipe: closed and full outputs, missing configuration, verbosity, escaping.

mod support;

use std::fs::File;
use std::process::{Command, Output, Stdio};

use support::system::{System, run_alone};

/// `catalogctl` without any AWS configuration.
fn unconfigured(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_catalogctl"));
    command
        .args(arguments)
        .env_clear()
        .env("AWS_CONFIG_FILE", "/dev/null")
        .env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .stdin(Stdio::null());
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The exit code when standard output is a pipe that nobody reads.
fn with_closed_output(arguments: &[&str]) -> Output {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    unconfigured(arguments).stdout(writer).output().unwrap()
}

#[test]
fn a_closed_output_ends_quietly() {
    for arguments in [["--help"].as_slice(), &["--version"], &["audit", "--help"]] {
        let ended = with_closed_output(arguments);
        assert_eq!((ended.status.code(), stderr(&ended)), (Some(141), String::new()), "{arguments:?}");
    }
}

#[test]
fn a_full_output_is_an_error() {
    for arguments in [["--help"].as_slice(), &["--version"]] {
        let ended = unconfigured(arguments).stdout(File::create("/dev/full").unwrap()).output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{arguments:?}");
        assert!(stderr(&ended).contains("failed to write to standard output: No space left"), "{}", stderr(&ended));
    }
}

#[tokio::test]
async fn unwritable_result_is_a_failure() {
    let system = System::empty().await;
    let command = |stdout: Stdio| {
        let mut command = tokio::process::Command::from(unconfigured(&["dlq", "peek", "change", "--env", "dev"]));
        command.envs([
            ("AWS_ENDPOINT_URL", system.endpoint.as_str()),
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ]);
        command.stdout(stdout).stderr(Stdio::null());
        command
    };
    let full = command(File::create("/dev/full").unwrap().into()).status().await.unwrap();
    assert_eq!(full.code(), Some(1));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let closed = command(writer.into()).status().await.unwrap();
    assert_eq!(closed.code(), Some(141));
}

#[test]
fn missing_configuration_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str], region: Option<&str>| {
        let mut command = unconfigured(arguments);
        command.current_dir(folder.path()).envs(region.map(|region| ("AWS_REGION", region)));
        let ended = command.output().unwrap();
        assert_eq!(ended.status.code(), Some(1), "{arguments:?}: {}", stderr(&ended));
        stderr(&ended)
    };
    let nothing = run(&["audit", "verify"], None);
    assert!(nothing.contains("--env dev") && nothing.contains("cargo xtask up"), "{nothing}");
    let region = run(&["audit", "verify", "--env", "dev"], None);
    assert!(region.contains("no AWS region") && region.contains("AWS_REGION"), "{region}");
    let credentials = run(&["audit", "verify", "--env", "dev"], Some("eu-west-1"));
    assert!(credentials.contains("no AWS credentials found. Set AWS_PROFILE"), "{credentials}");
    let environment = run(&["audit", "verify", "--env", "qa"], None);
    assert!(environment.contains("[possible values: dev, sit, prod]"), "{environment}");
}

#[tokio::test]
async fn denied_and_missing_resources_are_named() {
    let system = System::empty().await;
    let missing = system.run(&["audit", "verify", "--table", "nothing"]).await.expect(1).stderr;
    assert!(missing.contains("error: dynamodb:Scan on table nothing failed: not found"), "{missing}");
    let unreachable =
        run_alone("http://127.0.0.1:9", &["dlq", "peek", "change", "--env", "dev"]).await.expect(1).stderr;
    assert!(unreachable.contains("sqs:GetQueueUrl on queue bbws-product-change-dlq-dev failed"), "{unreachable}");
}

#[tokio::test]
async fn quiet_hides_progress_and_color_can_be_forced() {
    let system = System::empty().await;
    assert_eq!(system.run(&["--quiet", "dlq", "peek", "change"]).await.expect(0).stderr, "");
    let loud = system.run(&["dlq", "peek", "change"]).await.expect(0).stderr;
    assert!(loud.contains("System: dev"), "{loud}");
    let colored = system.run(&["--color", "always", "audit", "verify", "--table", "nothing"]).await.expect(1).stderr;
    assert!(colored.contains("\u{1b}[1m\u{1b}[31merror:"), "{colored:?}");
}

#[tokio::test]
async fn terminal_controls_in_messages_are_escaped() {
    let system = System::empty().await;
    let body = "{\"type\": \"\u{9b}31m\u{202e}\", \"productId\": \"\\u001b]0;x\\u0007\"}";
    system.queues.add("bbws-product-change-dlq-dev", body, None);
    for arguments in [["dlq", "peek", "change"].as_slice(), &["dlq", "peek", "change", "--json"]] {
        let printed = system.run(arguments).await.expect(2).stdout;
        assert!(!printed.contains(['\u{9b}', '\u{202e}', '\u{1b}', '\u{7}']), "{printed:?}");
        assert!(printed.contains("202e"), "{printed:?}");
    }
}
