//! The running local stack, as `cargo xtask status --json` describes it, and what is asked of it: which changes it has
//! recorded, what waits in its queues, whether its audit log is intact.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use aws_sdk_sqs::types::QueueAttributeName;
use serde::{Deserialize, Serialize};

/// Maximum number of items in a response.
const BATCH: usize = 100;

/// The status of a running stack.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Facts {
    pub api_url: String,
    pub api_key: String,
    pub pid: u32,
    pub endpoint_url: String,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    pub table_name: String,
    pub change_queue_url: String,
    pub change_dlq_url: String,
    pub audit_queue_url: String,
    pub audit_dlq_url: String,
}

/// A change that the API has accepted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Accepted {
    pub product_id: String,
    pub event_id: String,
}

/// The output of `catalogctl audit verify --json`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Verification {
    pub integrity: String,
    pub form: String,
    pub objects: u64,
}

impl Verification {
    pub fn is_intact(&self) -> bool {
        self.integrity == "INTACT" && self.form == "OK"
    }
}

/// A stack that runs.
pub struct LocalStack {
    pub facts: Facts,
    dynamodb: aws_sdk_dynamodb::Client,
    sqs: aws_sdk_sqs::Client,
    catalogctl: PathBuf,
}

impl LocalStack {
    /// The stack that `cargo xtask bench load` describes.
    pub fn running() -> Result<Self> {
        let variable = |name: &str| {
            std::env::var(name).with_context(|| format!("{name} is not set: `cargo xtask bench load` sets it"))
        };
        let status: serde_json::Value =
            serde_json::from_str(&variable("CATALOGUE_STATUS")?).context("CATALOGUE_STATUS isn't a status")?;
        if status["state"] != "running" {
            bail!("the local stack is not running: `cargo xtask up --detach` starts it");
        }
        let facts: Facts =
            serde_json::from_value(status).context("CATALOGUE_STATUS isn't the status of a running stack")?;
        let credentials = Credentials::new(&facts.access_key_id, &facts.secret_access_key, None, None, "local stack");
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .region(Region::new(facts.region.clone()))
            .endpoint_url(&facts.endpoint_url)
            .build();
        Ok(Self {
            dynamodb: aws_sdk_dynamodb::Client::new(&config),
            sqs: aws_sdk_sqs::Client::new(&config),
            catalogctl: variable("CATALOGUE_CATALOGCTL")?.into(),
            facts,
        })
    }

    /// Those of the accepted changes that the journal does not have, by their event ids.
    pub async fn missing(&self, accepted: &[Accepted]) -> Result<Vec<String>> {
        let mut recorded = HashSet::new();
        for changes in accepted.chunks(BATCH) {
            let mut wanted = KeysAndAttributes::builder().consistent_read(true).projection_expression("SK");
            for change in changes {
                let text = |text: String| AttributeValue::S(text);
                wanted = wanted.keys(
                    [
                        ("PK".to_owned(), text(format!("PRODUCT#{}", change.product_id))),
                        ("SK".to_owned(), text(format!("EVENT#{}", change.event_id))),
                    ]
                    .into(),
                );
            }
            let answer = self
                .dynamodb
                .batch_get_item()
                .request_items(&self.facts.table_name, wanted.build()?)
                .send()
                .await
                .context("failed to read the journal")?;
            let items = answer.responses.unwrap_or_default().into_values().flatten();
            recorded.extend(
                items.filter_map(|item| item.get("SK")?.as_s().ok()?.strip_prefix("EVENT#").map(str::to_owned)),
            );
        }
        let missing = accepted.iter().filter(|change| !recorded.contains(&change.event_id));
        Ok(missing.map(|change| change.event_id.clone()).collect())
    }

    /// Messages in these queues, those under way included.
    pub async fn messages(&self, queues: &[&String]) -> Result<u64> {
        let counts = [
            QueueAttributeName::ApproximateNumberOfMessages,
            QueueAttributeName::ApproximateNumberOfMessagesNotVisible,
        ];
        let mut sum = 0;
        for url in queues {
            let asked = self.sqs.get_queue_attributes().queue_url(*url).set_attribute_names(Some(counts.to_vec()));
            let answer = asked.send().await.with_context(|| format!("failed to read {url}"))?;
            let values = answer.attributes().into_iter().flat_map(|attributes| attributes.values());
            sum += values.filter_map(|count| count.parse::<u64>().ok()).sum::<u64>();
        }
        Ok(sum)
    }

    /// Has `catalogctl` verify the stack's audit log. Findings don't make the call fail.
    pub fn verify_audit_log(&self) -> Result<Verification> {
        let output = Command::new(&self.catalogctl)
            .args(["audit", "verify", "--settle", "0", "--json"])
            .env_remove("CATALOGUE_ENV")
            .output()
            .context("failed to start catalogctl")?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!("`catalogctl audit verify` gives no result: {}", String::from_utf8_lossy(&output.stderr))
        })
    }
}
