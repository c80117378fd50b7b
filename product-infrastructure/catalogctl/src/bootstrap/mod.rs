//! `catalogctl bootstrap`: creates the bucket for Terraform's state, which Terraform can't create itself because it needs
//! the state before its first apply.

pub mod state_bucket;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;

use crate::aws::CallContext;
use crate::exit_status::ExitStatus;
use crate::output;
use crate::progress::Progress;
use crate::target::{Environment, Target};
use state_bucket::{Plan, StateBucket};

/// Create and configure the bucket for Terraform's state (default: dry run)
///
/// Run once per environment, by an administrator. Settings that are already right stay as they are.
///
/// Exit codes: 0 the bucket is ready; 1 the command failed; 2 there are changes to apply.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// Environment on AWS. Account, region and credentials come from the AWS SDK's usual configuration: AWS_PROFILE,
    /// AWS_REGION, AWS_ENDPOINT_URL, …
    #[arg(long, env = "CATALOGUE_ENV", hide_env_values = true, value_name = "ENV")]
    pub env: Environment,
    /// Account of the environment; credentials of any other account are rejected (default: not checked)
    #[arg(long, value_name = "ID", value_parser = account_id)]
    pub account_id: Option<String>,
    /// Apply the changes (default: dry run)
    #[arg(long)]
    pub apply: bool,
    /// Print the output as JSON
    #[arg(long)]
    pub json: bool,
}

/// The changes that were made or, in a dry run, would be made.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bootstrapped {
    pub bucket: String,
    pub account: String,
    pub region: String,
    pub applied: bool,
    #[serde(flatten)]
    pub plan: Plan,
}

/// Configures the bucket and prints the changes.
pub async fn run(arguments: &Arguments, progress: &Progress) -> Result<ExitStatus> {
    let bootstrapped = bootstrap(arguments, progress).await?;
    if arguments.json {
        output::print_json(&bootstrapped)?;
    } else {
        output::print(&text(&bootstrapped))?;
    }
    let ready = bootstrapped.applied || bootstrapped.plan.is_empty();
    Ok(if ready { ExitStatus::Success } else { ExitStatus::NeedsAttention })
}

async fn bootstrap(arguments: &Arguments, progress: &Progress) -> Result<Bootstrapped> {
    let target = Target::environment(arguments.env).await?;
    let identity = aws_sdk_sts::Client::new(&target.config).get_caller_identity().send().await;
    let account = identity.call("sts:GetCallerIdentity", "the current credentials")?.account;
    let account = account.context("failed to determine the AWS account: the response has none")?;
    if let Some(expected) = arguments.account_id.as_ref().filter(|expected| **expected != account) {
        bail!("the credentials belong to account {account}, not to {expected}. Check AWS_PROFILE");
    }
    progress.say(format!("System: {}, account {account}", target.name));
    let region = target.config.region().context("no AWS region is configured")?.to_string();
    let bucket = StateBucket {
        client: target.s3(),
        name: state_bucket::name(arguments.env),
        region: region.clone(),
        owner: Some(account.clone()),
    };
    let plan = bucket.plan().await?;
    if arguments.apply {
        bucket.apply(&plan).await?;
    }
    Ok(Bootstrapped { bucket: bucket.name, account, region, applied: arguments.apply, plan })
}

fn text(bootstrapped: &Bootstrapped) -> String {
    let Bootstrapped { bucket, account, region, applied, plan } = bootstrapped;
    if plan.is_empty() {
        return format!("{bucket} (account {account}, {region}) is ready; no changes needed.");
    }
    let mut text = String::new();
    if plan.create {
        text.push_str(&format!("{bucket}: {} in {region}\n", if *applied { "created" } else { "to create" }));
    }
    for setting in &plan.settings {
        text.push_str(&format!("{bucket}: {}{setting}\n", if *applied { "set " } else { "to set: " }));
    }
    text + if *applied { "The bucket is ready." } else { "Dry run: no changes made. Re-run with --apply." }
}

fn account_id(text: &str) -> Result<String, String> {
    let valid = text.len() == 12 && text.chars().all(|c| c.is_ascii_digit());
    if valid { Ok(text.to_owned()) } else { Err("must be twelve digits".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_id_has_twelve_digits() {
        assert!(account_id("111122223333").is_ok());
        for text in ["", "11112222333", "1111222233334", "11112222333a"] {
            assert!(account_id(text).is_err(), "{text}");
        }
    }
}
