//! What was measured, in Markdown for people and in JSON for programs.

use std::collections::BTreeMap;
use std::fs;

use serde::Serialize;

use crate::budgets::{Budget, Finding};
use crate::metric::Metric;
use crate::program::Cores;
use crate::statistics::Summary;

/// A run.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    pub machine: Machine,
    pub rounds: usize,
    /// The floor first.
    pub programs: Vec<Measured>,
    /// What was not measured, and why.
    pub not_measured: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budgets: Option<Vec<Finding>>,
}

/// One program's figures.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    pub name: String,
    pub metrics: BTreeMap<Metric, Summary>,
}

/// Where it was measured.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Machine {
    pub architecture: &'static str,
    pub processor: String,
    pub kernel: String,
    /// Of the last minute, when the first round began: others' work is in the figures.
    pub load: String,
    pub pinned: bool,
}

impl Machine {
    pub fn read(cores: Option<Cores>) -> Self {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processor = file("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':').map(|(_, name)| name.trim().to_owned()));
        Self {
            architecture: crate::shipped::architecture(),
            processor: processor.unwrap_or_else(|| "a processor without a name".to_owned()),
            kernel: file("/proc/sys/kernel/osrelease").trim().to_owned(),
            load: file("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
            pinned: cores.is_some(),
        }
    }

    /// In sentences.
    pub fn text(&self) -> String {
        let Self { architecture, processor, kernel, load, pinned } = self;
        let place = if *pinned { "The program on one core, all else on another" } else { "On the only core" };
        format!("{processor}, {architecture}, Linux {kernel}, load {load}. {place}.")
    }
}

/// A program that waits longer than this for its core shares it with others.
pub const BUSY_PERCENT: f64 = 5.0;

/// The tables and their columns.
const TABLES: [(&str, &[Metric]); 3] = [
    (
        "Cold",
        &[
            Metric::InitMs,
            Metric::InitCpuMs,
            Metric::FirstCallMs,
            Metric::FirstCallCpuMs,
            Metric::FirstCall128MbMs,
            Metric::RssMb,
            Metric::ZipBytes,
        ],
    ),
    (
        "Warm",
        &[
            Metric::WarmP50Us,
            Metric::WarmP99Us,
            Metric::WarmCpuUs,
            Metric::WarmTlsP50Us,
            Metric::WarmTlsP99Us,
            Metric::WarmTlsCpuUs,
            Metric::WaitedPercent,
        ],
    ),
    (
        "Batches, over TLS, each call to AWS 4 ms longer",
        &[
            Metric::Batch10FirstMs,
            Metric::Batch10Ms,
            Metric::Batch10Calls,
            Metric::Batch10AtOnce,
            Metric::Batch100Ms,
            Metric::Batch100Calls,
            Metric::Batch100AtOnce,
        ],
    ),
];

impl Report {
    /// The programs by their names.
    pub fn by_name(&self) -> BTreeMap<&str, &Measured> {
        self.programs.iter().map(|program| (program.name.as_str(), program)).collect()
    }

    /// The median of the programs' waiting.
    fn waited(&self) -> Option<f64> {
        let waits = self.programs.iter().filter_map(|program| program.metrics.get(&Metric::WaitedPercent));
        Summary::of(&waits.map(|summary| summary.median).collect::<Vec<_>>()).map(|summary| summary.median)
    }

    /// `budgets` are those that the findings are of.
    pub fn markdown(&self, budgets: &[Budget]) -> String {
        let mut text =
            format!("{} {} rounds; medians, lowest and highest in brackets.\n", self.machine.text(), self.rounds);
        if let Some(waited) = self.waited().filter(|waited| *waited > BUSY_PERCENT) {
            text.push_str(&format!(
                "\nThe machine was busy: of the time in which a program could have run, it waited {waited:.0} % for its core. \
                 The lowest figures and the CPU's are nearer to the truth than the medians, and budgets mean little.\n"
            ));
        }
        for reason in &self.not_measured {
            text.push_str(&format!("\nNot measured: {reason}\n"));
        }
        for (title, metrics) in TABLES {
            // A table of batches has no row for a program that takes none, and is left out if none does.
            let programs = self.programs.iter().filter(|program| {
                title == "Cold" || title == "Warm" || metrics.iter().any(|metric| program.metrics.contains_key(metric))
            });
            let rows: Vec<String> = programs.map(|program| row(program, metrics)).collect();
            if rows.is_empty() {
                continue;
            }
            text.push_str(&format!("\n### {title}\n\n|  |"));
            metrics.iter().for_each(|metric| text.push_str(&format!(" {} |", metric.title())));
            text.push_str(&format!("\n|---|{}\n", "---:|".repeat(metrics.len())));
            text.push_str(&rows.concat());
        }
        if let Some(findings) = &self.budgets {
            text.push_str(&markdown_of_budgets(findings, budgets));
        }
        text
    }
}

fn row(program: &Measured, metrics: &[Metric]) -> String {
    let cells = metrics.iter().map(|metric| match program.metrics.get(metric) {
        None => " – |".to_owned(),
        Some(summary) => format!(" {} |", cell(*metric, summary)),
    });
    format!("| {} |{}\n", program.name, cells.collect::<String>())
}

fn cell(metric: Metric, summary: &Summary) -> String {
    let [median, low, high] = [summary.median, summary.min, summary.max].map(|value| metric.format(value));
    if low == high { median } else { format!("{median} ({low}–{high})") }
}

fn markdown_of_budgets(findings: &[Finding], budgets: &[Budget]) -> String {
    let mut text =
        "\n### Budgets\n\n| budget |  | measured | limit | kept | by |\n|---|---|---:|---:|---|---:|\n".to_owned();
    for finding in findings {
        let formula = budgets.iter().find(|budget| budget.name == finding.budget).map(Budget::formula);
        let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| finding.metric.format(value));
        let (kept, by) = match (finding.kept, finding.used) {
            (Some(true), Some(used)) => ("yes", format!("{:.0} % to spare", (1.0 - used) * 100.0)),
            (Some(false), Some(used)) => ("**no**", format!("{used:.2} ×")),
            _ => ("not measured", String::new()),
        };
        text.push_str(&format!(
            "| {}: {} | {} | {} | {} | {kept} | {by} |\n",
            finding.budget,
            formula.unwrap_or_default(),
            finding.function,
            number(finding.measured),
            number(finding.limit),
        ));
    }
    let count = |kept| findings.iter().filter(|finding| finding.kept == kept).count();
    text.push_str(&format!(
        "\n{} kept, {} not kept, {} not measured.\n",
        count(Some(true)),
        count(Some(false)),
        count(None)
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budgets;
    use crate::metric::Samples;

    fn report() -> Report {
        let program = |name: &str, init: &[f64]| {
            let mut samples = Samples::default();
            init.iter().for_each(|value| samples.add(Metric::InitMs, *value));
            samples.add(Metric::ZipBytes, 5.0);
            Measured { name: name.to_owned(), metrics: samples.summaries() }
        };
        Report {
            machine: Machine {
                architecture: "x86_64",
                processor: "A processor".to_owned(),
                kernel: "6.1".to_owned(),
                load: "0.10".to_owned(),
                pinned: true,
            },
            rounds: 2,
            programs: vec![program("floor", &[1.0]), program("get-product", &[2.0, 4.0])],
            not_measured: vec!["at 128 MB: no".to_owned()],
            budgets: None,
        }
    }

    #[test]
    fn tables_show_medians_and_spread() {
        let text = report().markdown(&[]);
        assert!(text.contains("| floor | 1.00 | – | – | – | – | – | 5 |"), "{text}");
        assert!(text.contains("| get-product | 3.00 (2.00–4.00) |"), "{text}");
        assert!(text.contains("Not measured: at 128 MB: no"), "{text}");
        assert!(!text.contains("The machine was busy"), "{text}");
        assert!(!text.contains("Batches") && !text.contains("Budgets"), "{text}");
    }

    #[test]
    fn reports_busy_machine() {
        let mut report = report();
        let mut samples = Samples::default();
        samples.add(Metric::WaitedPercent, 40.0);
        report.programs[1].metrics = samples.summaries();
        let text = report.markdown(&[]);
        assert!(text.contains("it waited 40 % for its core"), "{text}");
    }

    #[test]
    fn reports_each_budget_with_its_margin() {
        let text = "[[budget]]\nname = \"init\"\nreason = \"r\"\nmetric = \"init_ms\"\nfactor = 1.5\nof = \"floor\"\n\
                    [[budget]]\nname = \"zip\"\nreason = \"r\"\nmetric = \"zip_bytes\"\nof_number = 10\n\
                    [[budget]]\nname = \"memory\"\nreason = \"r\"\nmetric = \"rss_mb\"\nof_number = 8\n";
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("budgets.toml");
        fs::write(&path, text).unwrap();
        let budgets = budgets::read(&path).unwrap();
        let mut report = report();
        report.budgets = Some(budgets::compare(&budgets, &report.by_name()));
        let text = report.markdown(&budgets);
        assert!(text.contains("| get-product | 3.00 | 1.50 | **no** | 2.00 × |"), "{text}");
        assert!(text.contains("| get-product | 5 | 10 | yes | 50 % to spare |"), "{text}");
        assert!(text.contains("| get-product | – | 8.00 | not measured |  |"), "{text}");
        assert!(text.ends_with("1 kept, 1 not kept, 1 not measured.\n"), "{text}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["programs"][1]["metrics"]["init_ms"]["median"], 3.0);
        assert_eq!(json["budgets"][0]["kept"], false);
    }
}
