//! Which system a command works on: the local stack, or an environment on AWS.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use aws_config::{BehaviorVersion, SdkConfig};
use clap::{Args, ValueEnum};

use crate::audit_bucket::Bucket;
use crate::aws::{self, CallContext};
use crate::local_stack::LocalStack;
use crate::products_table::Table;

/// An environment on AWS: an account of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Environment {
    Dev,
    Sit,
    Prod,
}

impl Environment {
    /// As in the names of the environment's resources.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Sit => "sit",
            Self::Prod => "prod",
        }
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The system to work on. Without `--env`: a local stack.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "System")]
pub struct System {
    /// Environment on AWS (default: the local stack). Account, region and credentials come from the AWS SDK's usual
    /// configuration: AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, …
    #[arg(long, env = "CATALOGUE_ENV", hide_env_values = true, value_name = "ENV", global = true)]
    pub env: Option<Environment>,
    /// File that describes the local stack, written by `cargo xtask up` (default: the nearest `.catalogue/stack.json`, in
    /// this folder or a folder above it)
    #[arg(
        long,
        env = "CATALOGUE_LOCAL",
        hide_env_values = true,
        value_name = "FILE",
        conflicts_with = "env",
        global = true
    )]
    pub local: Option<PathBuf>,
}

/// The system to work on, and resources of other names than the contract's.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "System")]
pub struct Resources {
    #[command(flatten)]
    pub system: System,
    /// Products table, such as a restored one (default: products)
    #[arg(long, value_name = "NAME", global = true)]
    pub table: Option<String>,
    /// Audit bucket, such as a replica (default: bbws-product-audit-logs-ENV)
    #[arg(long, value_name = "NAME", global = true)]
    pub bucket: Option<String>,
}

/// A system to work on.
#[derive(Debug, Clone)]
pub struct Target {
    pub config: SdkConfig,
    pub environment: String,
    pub table: String,
    pub bucket: String,
    /// For messages: "prod (AWS, eu-west-1)".
    pub name: String,
    /// The local stack, if it is one.
    pub local: Option<LocalStack>,
}

impl Target {
    /// The system, with the contract's names except for the resources that the arguments name.
    pub async fn with_resources(resources: &Resources) -> Result<Self> {
        let found = Self::find(&resources.system).await?;
        Ok(Self {
            table: resources.table.clone().unwrap_or(found.table),
            bucket: resources.bucket.clone().unwrap_or(found.bucket),
            ..found
        })
    }

    /// The named environment, or else a local stack.
    pub async fn find(system: &System) -> Result<Self> {
        match system.env {
            Some(environment) => Self::environment(environment).await,
            None => Self::local(system.local.as_deref()).await,
        }
    }

    /// An environment on AWS. Fails when no region is configured; credentials are first needed by a call.
    pub async fn environment(environment: Environment) -> Result<Self> {
        let config = aws_config::defaults(BehaviorVersion::latest()).http_client(aws::http_client()).load().await;
        let Some(region) = config.region() else {
            bail!("no AWS region is configured. Set AWS_REGION, or set AWS_PROFILE to a profile with a region");
        };
        let endpoint = config.endpoint_url().map_or_else(|| "AWS".to_owned(), str::to_owned);
        let name = format!("{environment} ({endpoint}, {region})");
        Ok(Self::by_contract(config, environment.name(), name))
    }

    async fn local(file: Option<&Path>) -> Result<Self> {
        let folder = std::env::current_dir().context("failed to read the working directory")?;
        let stack = LocalStack::find(file, &folder)?;
        let config = aws::local(&stack.file).await;
        let name = format!("the local stack ({})", stack.file.endpoint_url);
        let found = Self::by_contract(config, &stack.file.environment, name);
        let (table, bucket) = (stack.file.table_name.clone(), stack.file.audit_bucket.clone());
        Ok(Self { table, bucket, local: Some(stack), ..found })
    }

    /// A system whose resources have the contract's names.
    pub fn by_contract(config: SdkConfig, environment: &str, name: String) -> Self {
        Self {
            config,
            table: "products".to_owned(),
            bucket: format!("bbws-product-audit-logs-{environment}"),
            environment: environment.to_owned(),
            name,
            local: None,
        }
    }

    pub fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.config)
    }

    pub fn products(&self) -> Table {
        Table::new(self.dynamodb(), &self.table)
    }

    pub fn audit_bucket(&self) -> Bucket {
        Bucket::new(self.s3(), &self.bucket)
    }

    pub fn s3(&self) -> aws_sdk_s3::Client {
        aws::s3(&self.config)
    }

    pub fn api_gateway(&self) -> aws_sdk_apigateway::Client {
        aws_sdk_apigateway::Client::new(&self.config)
    }

    pub fn sqs(&self) -> aws_sdk_sqs::Client {
        aws_sdk_sqs::Client::new(&self.config)
    }

    /// The full name of a queue: `change`, `audit`, `change-dlq`, `audit-dlq` or `events-dlq`.
    pub fn queue_name(&self, queue: &str) -> String {
        format!("bbws-product-{queue}-{}", self.environment)
    }

    /// The URL of a queue.
    pub async fn queue_url(&self, queue: &str) -> Result<String> {
        let name = self.queue_name(queue);
        let response = self.sqs().get_queue_url().queue_name(&name).send().await;
        let response = response.call("sqs:GetQueueUrl", format!("queue {name}"))?;
        response.queue_url.with_context(|| format!("queue {name} has no URL"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_the_environment() {
        let target = Target::by_contract(SdkConfig::builder().build(), "sit", "sit".to_owned());
        assert_eq!((target.table.as_str(), target.bucket.as_str()), ("products", "bbws-product-audit-logs-sit"));
        assert_eq!(target.queue_name("change-dlq"), "bbws-product-change-dlq-sit");
    }
}
