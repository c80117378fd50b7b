//! The alarms of an environment.

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::aws_json::{Request, Service, call};
use crate::target::Target;
use crate::timestamp;

/// What the names of all alarms begin with. Each environment is an account of its own.
const PREFIX: &str = "bbws-";

/// The alarms by state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alarms {
    pub total: usize,
    /// Alarms that haven't seen enough data yet.
    pub insufficient_data: usize,
    /// Alarms in the state ALARM, by name.
    pub active: Vec<Alarm>,
}

/// An alarm in the state ALARM.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Alarm {
    pub name: String,
    /// When the state began, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// The email that the alarm sent: urgency, impact, first command, runbook.
    pub description: String,
}

/// A page of DescribeAlarms, as far as it is read here.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    #[serde(default)]
    metric_alarms: Vec<MetricAlarm>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct MetricAlarm {
    alarm_name: String,
    #[serde(default)]
    alarm_description: String,
    state_value: String,
    /// Seconds since 1970.
    state_updated_timestamp: Option<f64>,
}

/// Reads the alarms.
pub async fn read(target: &Target) -> Result<Alarms> {
    let mut alarms = Alarms { total: 0, insufficient_data: 0, active: Vec::new() };
    let mut input = json!({"AlarmNamePrefix": PREFIX, "AlarmTypes": ["MetricAlarm"], "MaxRecords": 100});
    loop {
        let request = Request::Operation("DescribeAlarms", input.clone());
        let page: Page =
            call(&target.config, Service::CloudWatch, request, "cloudwatch:DescribeAlarms", "the alarms").await?;
        alarms.add(page.metric_alarms);
        match page.next_token {
            Some(token) => input["NextToken"] = json!(token),
            None => break,
        }
    }
    alarms.active.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(alarms)
}

impl Alarms {
    fn add(&mut self, alarms: Vec<MetricAlarm>) {
        for alarm in alarms {
            self.total += 1;
            match alarm.state_value.as_str() {
                "ALARM" => self.active.push(Alarm {
                    name: alarm.alarm_name,
                    since: alarm.state_updated_timestamp.map(|seconds| timestamp::of_seconds(seconds as i64)),
                    description: alarm.alarm_description,
                }),
                "INSUFFICIENT_DATA" => self.insufficient_data += 1,
                _ => {}
            }
        }
    }
}
