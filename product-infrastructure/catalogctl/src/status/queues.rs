//! Depth and age of each queue.

use std::collections::BTreeMap;

use anyhow::Result;
use aws_sdk_sqs::types::QueueAttributeName;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::aws::CallContext;
use crate::aws_json::{Request, Service, call};
use crate::target::Target;

const QUEUES: [&str; 5] = ["change", "audit", "change-dlq", "audit-dlq", "events-dlq"];
/// SQS reports metrics each minute, on a queue that was idle up to 15 minutes late.
const METRIC_WINDOW_SECONDS: i64 = 15 * 60;

/// A queue's messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Queue {
    pub name: String,
    pub is_dead_letter_queue: bool,
    /// Messages that can be received, approximately.
    pub visible: u64,
    /// Messages that were received and not deleted yet, approximately.
    pub in_flight: u64,
    /// Age of the oldest message in CloudWatch; absent without a datapoint in the last 15 minutes, as on the local stack.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_seconds: Option<u64>,
}

/// Reads the queues' depths.
pub async fn read(target: &Target) -> Result<Vec<Queue>> {
    try_join_all(QUEUES.map(|queue| depth(target, queue))).await
}

/// Reads the depth of a queue: `change`, `audit`, `change-dlq`, `audit-dlq` or `events-dlq`.
pub async fn depth(target: &Target, queue: &str) -> Result<Queue> {
    let name = target.queue_name(queue);
    let url = target.queue_url(queue).await?;
    let response = target
        .sqs()
        .get_queue_attributes()
        .queue_url(url)
        .attribute_names(QueueAttributeName::ApproximateNumberOfMessages)
        .attribute_names(QueueAttributeName::ApproximateNumberOfMessagesNotVisible)
        .send()
        .await
        .call("sqs:GetQueueAttributes", format!("queue {name}"))?;
    let attributes = response.attributes.unwrap_or_default();
    let number = |name| attributes.get(&name).and_then(|text| text.parse().ok()).unwrap_or_default();
    Ok(Queue {
        is_dead_letter_queue: queue.ends_with("-dlq"),
        visible: number(QueueAttributeName::ApproximateNumberOfMessages),
        in_flight: number(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
        oldest_seconds: None,
        name,
    })
}

/// The response of GetMetricData, as far as it is read here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricData {
    #[serde(default)]
    metric_data_results: Vec<MetricDataResult>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricDataResult {
    id: String,
    #[serde(default)]
    values: Vec<f64>,
}

/// Reads the newest age of the oldest message of each queue, by the queue's name.
pub async fn ages(target: &Target) -> Result<BTreeMap<String, u64>> {
    let names = QUEUES.map(|queue| target.queue_name(queue));
    let id = |index: usize| format!("queue{index}");
    let query = |(index, name): (usize, &String)| {
        json!({
            "Id": id(index),
            "MetricStat": {
                "Metric": {
                    "Namespace": "AWS/SQS", "MetricName": "ApproximateAgeOfOldestMessage",
                    "Dimensions": [{"Name": "QueueName", "Value": name}],
                },
                "Period": 60, "Stat": "Maximum",
            },
        })
    };
    let now = OffsetDateTime::now_utc().unix_timestamp();
    let input = json!({
        "StartTime": now - METRIC_WINDOW_SECONDS, "EndTime": now, "ScanBy": "TimestampDescending",
        "MetricDataQueries": names.iter().enumerate().map(query).collect::<Vec<Value>>(),
    });
    let request = Request::Operation("GetMetricData", input);
    let resource = "the metrics of the queues";
    let data: MetricData =
        call(&target.config, Service::CloudWatch, request, "cloudwatch:GetMetricData", resource).await?;
    let newest = |(index, name): (usize, String)| {
        let result = data.metric_data_results.iter().find(|result| result.id == id(index))?;
        // SQS counts whole seconds.
        Some((name, *result.values.first()? as u64))
    };
    Ok(names.into_iter().enumerate().filter_map(newest).collect())
}
