//! The keys in API Gateway, and whether one is still used.

use anyhow::{Context, Result};
use serde::Serialize;
use time::{Duration, OffsetDateTime};

use super::client::Client;
use crate::aws::CallContext;
use crate::target::Target;

/// An API key in API Gateway, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeployedKey {
    pub client: Client,
    pub generation: u32,
    pub id: String,
    pub enabled: bool,
    /// Seconds since 1970.
    #[serde(skip)]
    pub created_at: Option<i64>,
}

/// How much a key was used recently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Use {
    /// The number of requests since the beginning of the day `since` (UTC). API Gateway counts whole days.
    #[serde(rename_all = "camelCase")]
    Requests { count: i64, since: String },
    /// The usage couldn't be read, and why.
    Unknown(String),
}

/// The environment's keys: the default client's, then those of the others by name; a client's keys oldest first.
pub async fn keys(target: &Target) -> Result<Vec<DeployedKey>> {
    let prefix = format!("bbws-product-api-{}-", target.environment);
    let found: Result<Vec<_>, _> =
        target.api_gateway().get_api_keys().name_query(&prefix).into_paginator().items().send().collect().await;
    let found = found.call("apigateway:GET", "the API keys")?;
    let mut keys: Vec<DeployedKey> = found
        .into_iter()
        .filter_map(|key| {
            let (client, generation) = Client::of_key(&key.name?, &target.environment)?;
            let created_at = key.created_date.map(|moment| moment.secs());
            Some(DeployedKey { client, generation, id: key.id?, enabled: key.enabled, created_at })
        })
        .collect();
    keys.sort_by_key(|key| (!key.client.is_default(), key.client.clone(), key.generation));
    Ok(keys)
}

/// A client's keys, oldest first.
pub async fn keys_of(target: &Target, client: &Client) -> Result<Vec<DeployedKey>> {
    let mut keys = keys(target).await?;
    keys.retain(|key| key.client == *client);
    Ok(keys)
}

/// How much a key was used today and yesterday. A failure is part of the result, because the caller decides what it means.
pub async fn recent_use(target: &Target, key: &DeployedKey) -> Use {
    match requests(target, key).await {
        Ok(usage) => usage,
        Err(error) => Use::Unknown(format!("{error:#}")),
    }
}

async fn requests(target: &Target, key: &DeployedKey) -> Result<Use> {
    let client = target.api_gateway();
    let plans: Result<Vec<_>, _> = client.get_usage_plans().into_paginator().items().send().collect().await;
    let plans = plans.call("apigateway:GET", "the usage plans")?;
    let name = key.client.usage_plan(&target.environment);
    let plan = plans.into_iter().find(|plan| plan.name.as_deref() == Some(name.as_str()));
    let plan = plan.and_then(|plan| plan.id).with_context(|| format!("usage plan {name} not found"))?;
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
        .call("apigateway:GET", "the usage of the key")?;
    // A key that wasn't used has no entry in the list; without a list, requests aren't counted at all.
    let days = usage.items.context("this API Gateway doesn't count requests")?;
    // Each day is [used, remaining].
    let count = days.values().flatten().filter_map(|day| day.first()).sum();
    Ok(Use::Requests { count, since })
}
