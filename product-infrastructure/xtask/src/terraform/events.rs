//! What `terraform apply -json` and `terraform test -json` write: one JSON object a line, a format with a version of its own.

use serde::Deserialize;
use serde_json::Value;

/// An event that this tool acts on.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The changes of a plan, or at the end of an apply.
    ChangeSummary { changes: Changes },
    /// One resource was created, changed or destroyed.
    ApplyComplete { hook: Hook },
    /// The end of `terraform test`.
    TestSummary { test_summary: TestSummary },
    #[serde(other)]
    Other,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Changes {
    pub operation: Operation,
    add: u64,
    change: u64,
    remove: u64,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    Plan,
    Apply,
    Destroy,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Hook {
    pub resource: Resource,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct Resource {
    pub addr: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct TestSummary {
    pub passed: u64,
    pub failed: u64,
    /// Tests that couldn't run.
    pub errored: u64,
}

impl Event {
    /// The event in a line of output; `None` for the output of commands without `-json` between them.
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

impl Changes {
    pub fn count(&self) -> u64 {
        self.add + self.change + self.remove
    }
}

/// An event as Terraform shows it without `-json`, for a log. Lines of other commands stay as they are.
pub fn readable(line: &str) -> Option<String> {
    let Ok(event) = serde_json::from_str::<Value>(line) else { return Some(line.to_owned()) };
    let Some(message) = event["@message"].as_str() else { return Some(line.to_owned()) };
    // Every two seconds for each test under way.
    if event["test_run"]["progress"] == "running" {
        return None;
    }
    let diagnostic = &event["diagnostic"];
    let mut text = message.to_owned();
    if let (Some(file), Some(line)) =
        (diagnostic["range"]["filename"].as_str(), diagnostic["range"]["start"]["line"].as_u64())
    {
        text.push_str(&format!("\n  {file}:{line}"));
    }
    for value in diagnostic["snippet"]["values"].as_array().into_iter().flatten() {
        if let (Some(traversal), Some(statement)) = (value["traversal"].as_str(), value["statement"].as_str()) {
            text.push_str(&format!("\n  {traversal} {statement}"));
        }
    }
    for line in diagnostic["detail"].as_str().unwrap_or_default().lines() {
        text.push_str(&format!("\n  {line}"));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_events_of_apply_and_test() {
        let complete = r#"{"@level":"info","@message":"a: Creation complete","hook":{"resource":{"addr":"aws_sqs_queue.change","module":""},"action":"create","elapsed_seconds":0},"type":"apply_complete"}"#;
        let resource = Resource { addr: "aws_sqs_queue.change".to_owned() };
        assert_eq!(Event::parse(complete), Some(Event::ApplyComplete { hook: Hook { resource } }));
        let summary = r#"{"@message":"Failure! 3 passed, 1 failed.","test_summary":{"status":"fail","passed":3,"failed":1,"errored":2,"skipped":0},"type":"test_summary"}"#;
        let counted = TestSummary { passed: 3, failed: 1, errored: 2 };
        assert_eq!(Event::parse(summary), Some(Event::TestSummary { test_summary: counted }));
        assert_eq!(Event::parse(r#"{"type":"version","ui":"1.2"}"#), Some(Event::Other));
        assert_eq!(Event::parse("Success! The configuration is valid."), None);
    }

    #[test]
    fn log_shows_cause_and_place_of_an_error() {
        let error = r#"{"@level":"error","@message":"Error: Resource precondition failed","diagnostic":{"severity":"error","summary":"Resource precondition failed","detail":"x must be 2.","range":{"filename":"b.tf","start":{"line":5,"column":19,"byte":95}},"snippet":{"values":[{"traversal":"var.x","statement":"is \"1\""}]}},"type":"diagnostic"}"#;
        assert_eq!(
            readable(error).unwrap(),
            "Error: Resource precondition failed\n  b.tf:5\n  var.x is \"1\"\n  x must be 2."
        );
        assert_eq!(readable("Initializing the backend...").as_deref(), Some("Initializing the backend..."));
        assert_eq!(
            readable(r#"{"@message":"a... in progress","test_run":{"progress":"running"},"type":"test_run"}"#),
            None
        );
    }
}
