//! Each function's role has exactly the permissions that its calls need.
//!
//! That none is missing shows itself: the emulator enforces the policies, and the system tests pass. That none is too many
//! is compared here: what was granted during the tests with what the policies grant.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::Context;
use crate::local_aws;
use crate::stack::{ENVIRONMENT, Stack};
use crate::terraform::local_override::state_bucket;

/// Permissions that the emulator has no use for: it has no X-Ray, and it reads queues for a function without its role.
/// AWS wants all of them: <https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html>.
const UNSEEN: [&str; 5] = [
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
];

/// Fails if a function on that stack has a permission that no test has made use of.
pub async fn check(context: &Context<'_>, stack: &Stack, endpoint: &str) -> Result<usize> {
    let path = stack.emulator().join("used-permissions");
    let used = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    let used: BTreeSet<&str> = used.lines().collect();
    let (mut surplus, mut granted) = (Vec::new(), 0);
    for function in context.workspace.functions() {
        let state = format!("s3://{}/{function}/terraform.tfstate", state_bucket());
        let state = local_aws::cli(context.workspace, endpoint, &context.log("permissions"))
            .args(["s3", "cp", "--only-show-errors", &state, "-"])
            .run(&format!("reading the state of {function}"))
            .await?;
        let actions = granted_actions(&serde_json::from_str(&state.stdout).context("failed to parse a state")?)
            .with_context(|| format!("the state of {function} has no readable policy"))?;
        granted += actions.len();
        let role = format!("bbws-{function}-{ENVIRONMENT}");
        let unused =
            |action: &String| !UNSEEN.contains(&action.as_str()) && !used.contains(format!("{role} {action}").as_str());
        surplus.extend(actions.into_iter().filter(unused).map(|action| format!("{role}: {action}")));
    }
    if surplus.is_empty() {
        return Ok(granted);
    }
    bail!("granted, and used by no test:\n  {}", surplus.join("\n  "))
}

/// The actions of all inline policies in a Terraform state; `None` without a policy, or if one has no actions.
fn granted_actions(state: &Value) -> Option<BTreeSet<String>> {
    let mut actions = BTreeSet::new();
    for resource in state["resources"].as_array()?.iter().filter(|resource| resource["type"] == "aws_iam_role_policy") {
        for instance in resource["instances"].as_array()? {
            let policy: Value = serde_json::from_str(instance["attributes"]["policy"].as_str()?).ok()?;
            for statement in policy["Statement"].as_array()? {
                match &statement["Action"] {
                    Value::String(action) => drop(actions.insert(action.clone())),
                    Value::Array(several) => {
                        actions.extend(several.iter().filter_map(Value::as_str).map(str::to_owned))
                    }
                    _ => return None,
                }
            }
        }
    }
    (!actions.is_empty()).then_some(actions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn reads_the_actions_of_every_statement() {
        let policy =
            json!({ "Statement": [{ "Action": "s3:GetObject" }, { "Action": ["sqs:SendMessage", "s3:PutObject"] }] });
        let state = json!({ "resources": [
            { "type": "aws_iam_role", "instances": [{}] },
            { "type": "aws_iam_role_policy", "instances": [{ "attributes": { "policy": policy.to_string() } }] },
        ] });
        let actions: Vec<String> = granted_actions(&state).unwrap().into_iter().collect();
        assert_eq!(actions, ["s3:GetObject", "s3:PutObject", "sqs:SendMessage"]);
        assert_eq!(granted_actions(&json!({ "resources": [] })), None);
        assert_eq!(granted_actions(&json!({})), None);
    }
}
