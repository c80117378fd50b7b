//! Which system a command works on: the local stack, or an environment on AWS.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use aws_config::{BehaviorVersion, SdkConfig};
use clap::Args;

use crate::audit::bucket::Bucket;
use crate::audit::table::Table;
use crate::aws;
use crate::local_stack::LocalStack;

/// Without `--env`: a local stack.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Where")]
pub struct Place {
    /// The environment on AWS (dev, sit, prod). Account, region and credentials are those of the SDK's ordinary
    /// configuration: AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, … Without it: the local stack.
    #[arg(long, env = "CATALOGUE_ENV", value_name = "ENV", value_parser = environment, global = true)]
    pub env: Option<String>,
    /// The local stack: the file that `cargo xtask up` writes. Without it, `.catalogue/stack.json` in this folder or one
    /// above it.
    #[arg(long, env = "CATALOGUE_LOCAL", value_name = "FILE", conflicts_with = "env", global = true)]
    pub local: Option<PathBuf>,
    /// The products table, if it is not called `products`: one that was restored, for example.
    #[arg(long, value_name = "NAME", global = true)]
    pub table: Option<String>,
    /// The audit bucket, if it is not called `bbws-product-audit-logs-{env}`: a replica, for example.
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
    /// The environment that is named, or else a local stack.
    pub async fn find(place: &Place) -> Result<Self> {
        let found = match &place.env {
            Some(environment) => Self::environment(environment).await?,
            None => Self::local(place.local.as_deref()).await?,
        };
        Ok(Self {
            table: place.table.clone().unwrap_or(found.table),
            bucket: place.bucket.clone().unwrap_or(found.bucket),
            ..found
        })
    }

    /// An environment on AWS.
    pub async fn environment(environment: &str) -> Result<Self> {
        let config = aws_config::defaults(BehaviorVersion::latest()).http_client(aws::http_client()).load().await;
        let Some(region) = config.region() else {
            bail!("no region is configured: set AWS_REGION, or AWS_PROFILE to a profile that has one");
        };
        let at = config.endpoint_url().map_or_else(|| "AWS".to_owned(), str::to_owned);
        let name = format!("{environment} ({at}, {region})");
        Ok(Self::by_contract(config, environment, name))
    }

    async fn local(file: Option<&std::path::Path>) -> Result<Self> {
        let here = std::env::current_dir().context("the working directory cannot be read")?;
        let stack = LocalStack::find(file, &here)?;
        let config = aws::local(&stack.facts).await;
        let name = format!("the local stack {}", stack.facts.endpoint_url);
        let found = Self::by_contract(config, &stack.facts.environment, name);
        let (table, bucket) = (stack.facts.table_name.clone(), stack.facts.audit_bucket.clone());
        Ok(Self { table, bucket, local: Some(stack), ..found })
    }

    /// The names are a contract, so they need not be asked for.
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

    /// `change`, `audit`, `change-dlq`, `audit-dlq` or `events-dlq`, as it is called here.
    pub fn queue_name(&self, queue: &str) -> String {
        format!("bbws-product-{queue}-{}", self.environment)
    }

    /// The address of a queue.
    pub async fn queue_url(&self, queue: &str) -> Result<String> {
        let name = self.queue_name(queue);
        let answer = self.sqs().get_queue_url().queue_name(&name).send().await;
        let answer = answer.with_context(|| format!("the queue {name} is not to be found on {}", self.name))?;
        answer.queue_url.with_context(|| format!("the queue {name} has no address"))
    }
}

/// An environment's name is part of the names of what it has.
pub fn environment(text: &str) -> Result<String, String> {
    let valid = !text.is_empty() && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    if valid { Ok(text.to_owned()) } else { Err("dev, sit or prod".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_from_the_environment() {
        let target = Target::by_contract(SdkConfig::builder().build(), "sit", "sit".to_owned());
        assert_eq!((target.table.as_str(), target.bucket.as_str()), ("products", "bbws-product-audit-logs-sit"));
        assert_eq!(target.queue_name("change-dlq"), "bbws-product-change-dlq-sit");
        for text in ["", "Prod", "../x", "a b"] {
            assert!(environment(text).is_err(), "{text}");
        }
    }
}
