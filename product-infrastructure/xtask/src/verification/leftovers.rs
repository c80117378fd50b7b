//! Nothing is left on a stack that was destroyed but the bucket with the states, whatever those say. What lives and dies with
//! something else, such as an alias or a subscription, is not asked for, nor is a KMS key, which only time deletes.

use anyhow::{Context as _, Result, bail};

use super::Context;
use crate::local_aws;
use crate::terraform::local_override::state_bucket;

/// What is asked of the AWS CLI: each kind of resource that the roots make, and where the answer holds its names. AWS's own
/// aliases and workgroup and a mapping that is on its way out are left out.
const QUESTIONS: [(&str, &str); 21] = [
    ("apigateway get-rest-apis", "items[].name"),
    ("apigateway get-api-keys", "items[].name"),
    ("apigateway get-usage-plans", "items[].name"),
    ("athena list-work-groups", "WorkGroups[?Name!='primary'].Name"),
    ("cloudwatch describe-alarms", "MetricAlarms[].AlarmName"),
    ("cloudwatch list-dashboards", "DashboardEntries[].DashboardName"),
    ("dynamodb list-tables", "TableNames[]"),
    ("glue get-databases", "DatabaseList[].Name"),
    ("iam list-open-id-connect-providers", "OpenIDConnectProviderList[].Arn"),
    ("iam list-roles", "Roles[].RoleName"),
    ("iam list-policies --scope Local", "Policies[].PolicyName"),
    ("kms list-aliases", "Aliases[?!starts_with(AliasName, 'alias/aws/')].AliasName"),
    ("lambda list-functions", "Functions[].FunctionName"),
    ("lambda list-event-source-mappings", "EventSourceMappings[?State!='Deleting'].UUID"),
    ("logs describe-log-groups", "logGroups[].logGroupName"),
    ("logs describe-query-definitions", "queryDefinitions[].name"),
    ("pipes list-pipes", "Pipes[].Name"),
    ("s3api list-buckets", "Buckets[].Name"),
    ("secretsmanager list-secrets", "SecretList[].Name"),
    ("sns list-topics", "Topics[].TopicArn"),
    ("sqs list-queues", "QueueUrls[]"),
];

/// Fails unless every question is answered with nothing, or with the bucket of the states.
pub async fn check(context: &Context<'_>, endpoint: &str) -> Result<()> {
    let mut found = Vec::new();
    for (question, query) in QUESTIONS {
        let finished = local_aws::cli(context.workspace, endpoint, &context.log("leftovers"))
            .args(question.split(' '))
            .args(["--query", query])
            .run(&format!("`aws {question}`"))
            .await?;
        let names = names(&finished.stdout).with_context(|| format!("`aws {question}` didn't return a list"))?;
        found.extend(names.into_iter().filter(|name| *name != state_bucket()));
    }
    if found.is_empty() {
        return Ok(());
    }
    bail!("resources left after destroy:\n  {}", found.join("\n  "))
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
    fn names_leftover_resources() {
        assert_eq!(names("[]\n"), Some(Vec::new()));
        assert_eq!(names("null\n"), Some(Vec::new()));
        assert_eq!(names("[\n  \"products\"\n]\n"), Some(vec!["products".to_owned()]));
        assert_eq!(names("An error occurred"), None);
    }
}
