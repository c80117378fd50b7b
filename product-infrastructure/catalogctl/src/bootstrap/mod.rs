//! `catalogctl bootstrap`: what an account needs before Terraform can run in it for the first time.
//!
//! That is the bucket for Terraform's state. It cannot be Terraform's own: the state comes before the first apply. All
//! else that an account needs once is in docs/deploying.md.

pub mod state_bucket;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;

use crate::audit::verify::BROKEN;
use crate::progress::Progress;
use crate::target::Target;
use state_bucket::{Plan, StateBucket};

/// Make the bucket for Terraform's state ready. A dry run unless --apply is given; what is right already stays.
///
/// Exit code: 0 it is ready; 1 could not be done; 2 something would change.
#[derive(Debug, Clone, Args)]
#[command(verbatim_doc_comment)]
pub struct Arguments {
    /// The environment. Account, region and credentials are those of the SDK's ordinary configuration: AWS_PROFILE,
    /// AWS_REGION, AWS_ENDPOINT_URL, …
    #[arg(long, env = "CATALOGUE_ENV", value_name = "ENV", value_parser = ["dev", "sit", "prod"])]
    pub env: String,
    /// The account that the environment lives in: credentials of any other are refused.
    #[arg(long, value_name = "ID", value_parser = account_id)]
    pub account_id: Option<String>,
    /// Do it.
    #[arg(long)]
    pub apply: bool,
    /// One JSON object.
    #[arg(long)]
    pub json: bool,
}

/// What was done, or would be.
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

/// Makes the bucket ready and says what that took.
pub async fn run(arguments: &Arguments, progress: &Progress) -> Result<ExitCode> {
    let bootstrapped = bootstrap(arguments, progress).await?;
    if arguments.json {
        progress.print(&serde_json::to_string_pretty(&bootstrapped)?);
    } else {
        progress.print(&text(&bootstrapped));
    }
    let ready = bootstrapped.applied || bootstrapped.plan.is_empty();
    Ok(if ready { ExitCode::SUCCESS } else { ExitCode::from(BROKEN) })
}

async fn bootstrap(arguments: &Arguments, progress: &Progress) -> Result<Bootstrapped> {
    let target = Target::environment(&arguments.env).await?;
    let identity = aws_sdk_sts::Client::new(&target.config).get_caller_identity().send().await;
    let account = identity.context("whose credentials these are cannot be told")?.account;
    let account = account.context("these credentials belong to no account")?;
    if let Some(expected) = arguments.account_id.as_ref().filter(|expected| **expected != account) {
        bail!("these credentials belong to account {account}, not to {expected}: look at AWS_PROFILE");
    }
    progress.say(format!("On {}, account {account}.", target.name));
    let region = target.config.region().context("no region is configured")?.to_string();
    let bucket = StateBucket {
        client: target.s3(),
        name: state_bucket::name(&arguments.env),
        region: region.clone(),
        owner: Some(account.clone()),
    };
    let plan = bucket.plan().await?;
    if arguments.apply {
        bucket.carry_out(&plan).await?;
    }
    Ok(Bootstrapped { bucket: bucket.name, account, region, applied: arguments.apply, plan })
}

fn text(bootstrapped: &Bootstrapped) -> String {
    let Bootstrapped { bucket, account, region, applied, plan } = bootstrapped;
    if plan.is_empty() {
        return format!("{bucket} (account {account}, {region}) is ready: nothing to change.");
    }
    let mut text = String::new();
    if plan.create {
        text.push_str(&format!("{bucket}: {} in {region}\n", if *applied { "made" } else { "to be made" }));
    }
    for setting in &plan.settings {
        text.push_str(&format!("{bucket}: {}{setting}\n", if *applied { "now " } else { "to be " }));
    }
    text + if *applied { "It is ready." } else { "A dry run: nothing was changed. --apply does it." }
}

fn account_id(text: &str) -> Result<String, String> {
    let valid = text.len() == 12 && text.chars().all(|c| c.is_ascii_digit());
    if valid { Ok(text.to_owned()) } else { Err("twelve digits".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_has_twelve_digits() {
        assert!(account_id("111122223333").is_ok());
        for text in ["", "11112222333", "1111222233334", "11112222333a"] {
            assert!(account_id(text).is_err(), "{text}");
        }
    }
}
