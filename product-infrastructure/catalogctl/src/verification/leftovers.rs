//! Nothing is left on a stack that was destroyed: no resource, whatever Terraform's states say.

use anyhow::{Context as _, Result, bail};

use super::Context;
use crate::aws;

/// What is asked of the AWS CLI, and which names the answers may hold: what was there before the first apply, what only
/// time deletes, and a group that API Gateway's emulator makes by itself.
const QUESTIONS: [(&str, &str); 14] = [
    ("apigateway get-rest-apis", "items[].name"),
    ("apigateway get-api-keys", "items[].name"),
    ("apigateway get-usage-plans", "items[].name"),
    ("cloudwatch describe-alarms", "MetricAlarms[].AlarmName"),
    ("dynamodb list-tables", "TableNames[]"),
    ("iam list-roles", "Roles[].RoleName"),
    ("iam list-policies --scope Local", "Policies[].PolicyName"),
    ("lambda list-functions", "Functions[].FunctionName"),
    ("lambda list-event-source-mappings", "EventSourceMappings[?State!='Deleting'].UUID"),
    ("logs describe-log-groups", "logGroups[].logGroupName"),
    ("pipes list-pipes", "Pipes[].Name"),
    ("secretsmanager list-secrets", "SecretList[].Name"),
    ("sns list-topics", "Topics[].TopicArn"),
    ("sqs list-queues", "QueueUrls[]"),
];

/// Fails unless every question is answered with nothing.
pub async fn check(context: &Context<'_>, endpoint: &str) -> Result<()> {
    let mut found = Vec::new();
    for (question, query) in QUESTIONS {
        let finished = aws::cli(context.workspace, endpoint, &context.log("leftovers"))
            .args(question.split(' '))
            .args(["--query", query])
            .run(&format!("`aws {question}`"))
            .await?;
        found.extend(names(&finished.stdout).with_context(|| format!("`aws {question}` answers no list"))?);
    }
    if found.is_empty() {
        return Ok(());
    }
    bail!("left after everything was destroyed:\n  {}", found.join("\n  "))
}

/// The CLI answers an empty list, or nothing at all, where there is nothing.
fn names(answer: &str) -> Option<Vec<String>> {
    match serde_json::from_str(answer.trim()).ok()? {
        serde_json::Value::Null => Some(Vec::new()),
        list => serde_json::from_value(list).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_named() {
        assert_eq!(names("[]\n"), Some(Vec::new()));
        assert_eq!(names("null\n"), Some(Vec::new()));
        assert_eq!(names("[\n  \"products\"\n]\n"), Some(vec!["products".to_owned()]));
        assert_eq!(names("An error occurred"), None);
    }
}
