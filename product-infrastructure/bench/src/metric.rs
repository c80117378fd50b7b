//! What is measured of a program.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::statistics::Summary;

/// One figure. Its name in JSON and in `budgets.toml` ends with its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    InitMs,
    InitCpuMs,
    FirstCallMs,
    FirstCallCpuMs,
    #[serde(rename = "first_call_128mb_ms")]
    FirstCall128MbMs,
    WarmP50Us,
    WarmP99Us,
    WarmCpuUs,
    WarmTlsP50Us,
    WarmTlsP99Us,
    WarmTlsCpuUs,
    WaitedPercent,
    RssMb,
    ZipBytes,
    #[serde(rename = "batch_10_first_ms")]
    Batch10FirstMs,
    #[serde(rename = "batch_10_ms")]
    Batch10Ms,
    #[serde(rename = "batch_10_calls")]
    Batch10Calls,
    #[serde(rename = "batch_10_at_once")]
    Batch10AtOnce,
    #[serde(rename = "batch_100_ms")]
    Batch100Ms,
    #[serde(rename = "batch_100_calls")]
    Batch100Calls,
    #[serde(rename = "batch_100_at_once")]
    Batch100AtOnce,
}

impl Metric {
    /// What it is called in a table.
    pub fn title(self) -> &'static str {
        match self {
            Self::InitMs => "init, ms",
            Self::InitCpuMs => "init, CPU ms",
            Self::FirstCallMs => "first call, ms",
            Self::FirstCallCpuMs => "first call, CPU ms",
            Self::FirstCall128MbMs => "first call at 128 MB, ms",
            Self::WarmP50Us => "warm p50, µs",
            Self::WarmP99Us => "warm p99, µs",
            Self::WarmCpuUs => "warm, CPU µs",
            Self::WarmTlsP50Us => "TLS p50, µs",
            Self::WarmTlsP99Us => "TLS p99, µs",
            Self::WarmTlsCpuUs => "TLS, CPU µs",
            Self::WaitedPercent => "waited, %",
            Self::RssMb => "RSS, MB",
            Self::ZipBytes => "zip, bytes",
            Self::Batch10FirstMs => "first batch of 10, ms",
            Self::Batch10Ms => "batch of 10, ms",
            Self::Batch10Calls => "calls",
            Self::Batch10AtOnce => "at once",
            Self::Batch100Ms => "batch of 100, ms",
            Self::Batch100Calls => "calls",
            Self::Batch100AtOnce => "at once",
        }
    }

    /// A figure as precise as it deserves.
    pub fn format(self, value: f64) -> String {
        match self {
            Self::InitMs
            | Self::InitCpuMs
            | Self::FirstCallMs
            | Self::FirstCallCpuMs
            | Self::FirstCall128MbMs
            | Self::RssMb
            | Self::Batch10FirstMs
            | Self::Batch10Ms
            | Self::Batch100Ms => format!("{value:.2}"),
            _ => format!("{value:.0}"),
        }
    }
}

/// The samples of one program.
#[derive(Debug, Default, Clone)]
pub struct Samples(BTreeMap<Metric, Vec<f64>>);

impl Samples {
    pub fn add(&mut self, metric: Metric, value: f64) {
        self.0.entry(metric).or_default().push(value);
    }

    /// The summary of each metric with samples.
    pub fn summaries(&self) -> BTreeMap<Metric, Summary> {
        self.0.iter().filter_map(|(metric, samples)| Some((*metric, Summary::of(samples)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_readable_in_json() {
        let name = |metric: Metric| serde_json::to_value(metric).unwrap();
        assert_eq!(name(Metric::InitMs), "init_ms");
        assert_eq!(name(Metric::WarmTlsP50Us), "warm_tls_p50_us");
        assert_eq!(name(Metric::FirstCall128MbMs), "first_call_128mb_ms");
        assert_eq!(name(Metric::Batch100AtOnce), "batch_100_at_once");
    }

    #[test]
    fn samples_are_summarised_per_metric() {
        let mut samples = Samples::default();
        for value in [1.0, 2.0, 3.0] {
            samples.add(Metric::InitMs, value);
        }
        samples.add(Metric::ZipBytes, 9.0);
        let summaries = samples.summaries();
        assert_eq!((summaries[&Metric::InitMs].median, summaries[&Metric::ZipBytes].samples), (2.0, 1));
        assert_eq!((Metric::InitMs.format(1.234), Metric::ZipBytes.format(9.0)), ("1.23".into(), "9".into()));
    }
}
