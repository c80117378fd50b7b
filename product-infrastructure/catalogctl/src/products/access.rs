//! Where the public API is, with which key it is called, and how fast.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;

use super::api::Api;
use crate::aws::{self, CallContext};
use crate::keys::client::Client;
use crate::progress::Progress;
use crate::target::{System, Target};

/// The base path of the API's first version.
const BASE_PATH: &str = "/v1.0";
/// Requests per second if the usage plan can't be read.
const DEFAULT_RATE: u32 = 20;

/// The API, as far as it doesn't follow from the system.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "API")]
pub struct Access {
    /// Address of the API up to /v1.0 (default: the local stack's, or on AWS the one of the REST API bbws-product-api-ENV)
    #[arg(long, value_name = "URL")]
    pub api_url: Option<String>,
    /// File that holds the API key, as `catalogctl keys export` writes it (default: the local stack's, or on AWS the secret
    /// bbws/product-api/key-ENV)
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// Maximum number of requests per second (default: three quarters of the usage plan's rate, or 20 if the plan can't be
    /// read)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rate: Option<u32>,
}

impl Access {
    /// The API. With address, key and rate given, no AWS credentials are needed.
    pub async fn api(&self, system: &System, progress: &Progress) -> Result<(Api, u32)> {
        let target = match (&self.api_url, &self.key_file) {
            (Some(_), Some(_)) if system.env.is_none() && system.local.is_none() => None,
            _ => Some(Target::find(system).await?),
        };
        let base = match (&self.api_url, &target) {
            (Some(url), _) => url.clone(),
            (None, Some(target)) => published_url(target).await?,
            (None, None) => bail!("--api-url is required"),
        };
        let key = match (&self.key_file, &target) {
            (Some(file), _) => read_key(file)?,
            (None, Some(target)) => match &target.local {
                Some(stack) => read_key(&stack.folder.join("api-key"))?,
                None => aws::api_key(&target.config, &Client::default().secret(&target.environment)).await?,
            },
            (None, None) => bail!("--key-file is required"),
        };
        let rate = match (self.rate, &target) {
            (Some(rate), _) => rate,
            (None, Some(target)) => match plan_rate(target).await {
                Ok(rate) => rate,
                Err(error) => {
                    progress
                        .say(format!("Requests per second: {DEFAULT_RATE}, because {error:#}. Change it with --rate."));
                    DEFAULT_RATE
                }
            },
            (None, None) => DEFAULT_RATE,
        };
        Ok((Api::new(&base, &key, rate)?, rate))
    }
}

fn read_key(file: &std::path::Path) -> Result<String> {
    let key =
        fs::read_to_string(file).with_context(|| format!("failed to read the API key from {}", file.display()))?;
    match key.trim() {
        "" => bail!("{} is empty", file.display()),
        key => Ok(key.to_owned()),
    }
}

/// The address that the local stack's file has, or that follows from the REST API's ID.
pub async fn published_url(target: &Target) -> Result<String> {
    if let Some(stack) = &target.local {
        return Ok(stack.file.api_url.clone());
    }
    let name = plan_name(target);
    let found: Result<Vec<_>, _> = target.api_gateway().get_rest_apis().into_paginator().items().send().collect().await;
    let found = found.call("apigateway:GET", "the REST APIs")?;
    let id = found.into_iter().find(|api| api.name.as_deref() == Some(&name)).and_then(|api| api.id);
    let id = id.with_context(|| format!("REST API {name} not found; name the API's address with --api-url"))?;
    let region = target.config.region().context("no AWS region is configured")?;
    let environment = &target.environment;
    Ok(format!("https://{id}.execute-api.{region}.amazonaws.com/{environment}{BASE_PATH}"))
}

/// Three quarters of what the usage plan allows: the rest is left to the key's other users.
pub async fn plan_rate(target: &Target) -> Result<u32> {
    let name = plan_name(target);
    let plans: Result<Vec<_>, _> =
        target.api_gateway().get_usage_plans().into_paginator().items().send().collect().await;
    let plans = plans.call("apigateway:GET", "the usage plans")?;
    let plan = plans.into_iter().find(|plan| plan.name.as_deref() == Some(&name));
    let throttle = plan.and_then(|plan| plan.throttle).filter(|throttle| throttle.rate_limit >= 1.0);
    let limit = throttle.with_context(|| format!("usage plan {name} has no rate"))?.rate_limit;
    // A plan's rate is far below the limit of u32.
    Ok(((limit * 0.75) as u32).clamp(1, 1000))
}

/// The name of an environment's REST API and of its usage plan, as `terraform/` sets them.
fn plan_name(target: &Target) -> String {
    format!("bbws-product-api-{}", target.environment)
}
