//! The keys that API Gateway has, as against those that a file says it should have, and whether one is still used.

use anyhow::{Context, Result};
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use crate::target::Target;

/// A key of API Gateway. Its value is not asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeployedKey {
    pub generation: u32,
    pub id: String,
    pub enabled: bool,
}

/// How much a key was used of late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Use {
    /// So many requests since the beginning of that day. API Gateway counts whole days.
    #[serde(rename_all = "camelCase")]
    Requests { count: i64, since: String },
    /// It cannot be told, and why.
    Unknown(String),
}

/// What the keys of an environment, and their usage plan, are called; `terraform/api-keys` and `terraform/` name them so.
fn name(environment: &str) -> String {
    format!("bbws-product-api-{environment}")
}

/// The keys that there are, oldest first.
pub async fn keys(target: &Target) -> Result<Vec<DeployedKey>> {
    let prefix = format!("{}-", name(&target.environment));
    let found: Result<Vec<_>, _> =
        target.api_gateway().get_api_keys().name_query(&prefix).into_paginator().items().send().collect().await;
    let found = found.with_context(|| format!("the API keys of {} cannot be listed", target.name))?;
    let mut keys: Vec<DeployedKey> = found
        .into_iter()
        .filter_map(|key| {
            let generation = key.name?.strip_prefix(&prefix)?.parse().ok()?;
            Some(DeployedKey { generation, id: key.id?, enabled: key.enabled })
        })
        .collect();
    keys.sort_by_key(|key| key.generation);
    Ok(keys)
}

/// How much a key was used today and yesterday. Not to know is no failure: it is said, and whoever asked decides.
pub async fn recent_use(target: &Target, key: &DeployedKey) -> Use {
    match requests(target, key).await {
        Ok(known) => known,
        Err(error) => Use::Unknown(format!("{error:#}")),
    }
}

async fn requests(target: &Target, key: &DeployedKey) -> Result<Use> {
    let client = target.api_gateway();
    let plans: Result<Vec<_>, _> = client.get_usage_plans().into_paginator().items().send().collect().await;
    let plans = plans.context("the usage plans cannot be listed")?;
    let plan = plans.into_iter().find(|plan| plan.name.as_deref() == Some(name(&target.environment).as_str()));
    let plan = plan.and_then(|plan| plan.id).context("there is no usage plan of that name")?;
    let today = OffsetDateTime::now_utc().date();
    let since = (today - Duration::days(1)).to_string();
    let usage = client
        .get_usage()
        .usage_plan_id(plan)
        .key_id(&key.id)
        .start_date(&since)
        .end_date(today.to_string())
        .send()
        .await
        .context("the usage plan does not tell")?;
    // A key that was not used has no entry in the list; a list that is not there is no answer.
    let days = usage.items.context("API Gateway does not count requests here")?;
    // Each day is [used, remaining].
    let count = days.values().flatten().filter_map(|day| day.first()).sum();
    Ok(Use::Requests { count, since })
}
