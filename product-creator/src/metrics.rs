//! Metrics in CloudWatch's embedded metric format: CloudWatch reads them from log lines, without a call.
//!
//! Lambda's own `Errors` doesn't count failed items of a batch; `BatchItemFailures` does.

use std::io;

use serde_json::{Map, Value, json};

/// Namespace of the catalogue's own metrics. The alarms refer to it.
const NAMESPACE: &str = "ProductCatalogue";
/// The format's limit of values of one metric in one line.
const MAX_VALUES: usize = 100;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Count,
    Milliseconds,
}

/// A metric with its values in one invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub unit: Unit,
    pub values: Vec<u64>,
}

impl Metric {
    pub fn count(name: &'static str, value: usize) -> Self {
        Self { name, unit: Unit::Count, values: vec![u64::try_from(value).unwrap_or(u64::MAX)] }
    }
}

/// Writes the metrics of one invocation to the log, as metrics of `function_name`.
pub fn write(log: &mut impl io::Write, function_name: &str, unix_millis: u64, metrics: &[Metric]) -> io::Result<()> {
    lines(function_name, unix_millis, metrics).iter().try_for_each(|line| writeln!(log, "{line}"))
}

fn lines(function_name: &str, unix_millis: u64, metrics: &[Metric]) -> Vec<String> {
    let max = metrics.iter().map(|metric| metric.values.len()).max().unwrap_or_default();
    let line = |start: usize| {
        let mut fields = Map::new();
        let mut definitions = Vec::new();
        for metric in metrics {
            let values: Vec<u64> = metric.values.iter().skip(start).take(MAX_VALUES).copied().collect();
            if !values.is_empty() {
                definitions.push(json!({"Name": metric.name, "Unit": format!("{:?}", metric.unit)}));
                fields.insert(metric.name.to_owned(), json!(values));
            }
        }
        fields.insert("FunctionName".to_owned(), json!(function_name));
        let directive = json!({"Namespace": NAMESPACE, "Dimensions": [["FunctionName"]], "Metrics": definitions});
        fields.insert("_aws".to_owned(), json!({"Timestamp": unix_millis, "CloudWatchMetrics": [directive]}));
        Value::Object(fields).to_string()
    };
    (0..max).step_by(MAX_VALUES).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_embedded_metric_format() {
        let lag = Metric { name: "ChangeLagMs", unit: Unit::Milliseconds, values: vec![5, 7] };
        let lines = lines("creator", 1_800_000_000_000, &[lag, Metric::count("Applied", 2)]);
        assert_eq!(lines.len(), 1);
        assert_eq!(
            serde_json::from_str::<Value>(&lines[0]).unwrap(),
            json!({
                "FunctionName": "creator",
                "ChangeLagMs": [5, 7],
                "Applied": [2],
                "_aws": {
                    "Timestamp": 1_800_000_000_000_u64,
                    "CloudWatchMetrics": [{
                        "Namespace": "ProductCatalogue",
                        "Dimensions": [["FunctionName"]],
                        "Metrics": [
                            {"Name": "ChangeLagMs", "Unit": "Milliseconds"},
                            {"Name": "Applied", "Unit": "Count"},
                        ],
                    }],
                },
            })
        );
    }

    #[test]
    fn writes_one_line_for_each_100_values_and_none_for_no_value() {
        let lag = Metric { name: "ChangeLagMs", unit: Unit::Milliseconds, values: vec![1; 101] };
        let metrics = [lag, Metric::count("Applied", 1)];
        let lines = lines("creator", 0, &metrics);
        assert_eq!(lines.len(), 2);
        let mut log = Vec::new();
        write(&mut log, "creator", 0, &metrics).unwrap();
        assert_eq!(String::from_utf8(log).unwrap(), format!("{}\n{}\n", lines[0], lines[1]));
        assert_eq!(super::lines("creator", 0, &[]), [""; 0]);
    }
}
