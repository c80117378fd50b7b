//! What the functions may cost, and whether they keep to it.
//!
//! A budget is a comparison within one run, wherever it can be: the same machine, the same minutes. It is a finding and
//! no test: a busy machine must not fail a build.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::metric::Metric;
use crate::report::Measured;
use crate::subject::{FLOOR, FUNCTIONS};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    budget: Vec<Budget>,
}

/// `metric` of each of `functions` is at most `factor` × a reference + `plus`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    pub name: String,
    pub reason: String,
    pub metric: Metric,
    /// All seven if it names none.
    #[serde(default)]
    pub functions: Vec<String>,
    #[serde(default = "one")]
    pub factor: f64,
    #[serde(default)]
    pub plus: f64,
    /// The reference: this program's figure…
    #[serde(default)]
    pub of: Option<String>,
    /// …or another figure of the function itself, or of `of`…
    #[serde(default)]
    pub of_metric: Option<Metric>,
    /// …or this number.
    #[serde(default)]
    pub of_number: Option<f64>,
}

fn one() -> f64 {
    1.0
}

/// What became of a budget for one function.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    pub budget: String,
    pub function: String,
    pub metric: Metric,
    /// The median of the rounds.
    pub measured: Option<f64>,
    pub limit: Option<f64>,
    /// `None` if one of the two was not measured.
    pub kept: Option<bool>,
    /// Measured divided by the limit: 0.8 leaves a fifth of the budget.
    pub used: Option<f64>,
}

/// Reads `budgets.toml`.
pub fn read(path: &Path) -> Result<Vec<Budget>> {
    let text = fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))?;
    parse(&text).with_context(|| format!("{} is invalid", path.display()))
}

fn parse(text: &str) -> Result<Vec<Budget>> {
    let file: File = toml::from_str(text)?;
    for budget in &file.budget {
        let unknown = budget.functions.iter().find(|name| !FUNCTIONS.contains(&name.as_str()));
        if let Some(unknown) = unknown {
            anyhow::bail!("{}: there is no function {unknown:?}", budget.name);
        }
        if budget.of.is_none() && budget.of_metric.is_none() && budget.of_number.is_none() {
            anyhow::bail!("{}: nothing is named that it is compared with", budget.name);
        }
    }
    Ok(file.budget)
}

/// Every budget against every function that it is for and that was measured.
pub fn compare(budgets: &[Budget], measured: &BTreeMap<&str, &Measured>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for budget in budgets {
        for function in FUNCTIONS {
            let is_meant = budget.functions.is_empty() || budget.functions.iter().any(|name| name == function);
            if is_meant && measured.contains_key(function) {
                findings.push(budget.compare(function, measured));
            }
        }
    }
    findings
}

impl Budget {
    fn compare(&self, function: &str, measured: &BTreeMap<&str, &Measured>) -> Finding {
        let median = |program: &str, metric: Metric| Some(measured.get(program)?.metrics.get(&metric)?.median);
        let value = median(function, self.metric);
        let reference = match (self.of_number, self.of.as_deref(), self.of_metric) {
            (Some(number), ..) => Some(number),
            (None, program, metric) => median(program.unwrap_or(function), metric.unwrap_or(self.metric)),
        };
        let limit = reference.map(|reference| self.factor * reference + self.plus);
        Finding {
            budget: self.name.clone(),
            function: function.to_owned(),
            metric: self.metric,
            measured: value,
            limit,
            kept: value.zip(limit).map(|(value, limit)| value <= limit),
            used: value.zip(limit).map(|(value, limit)| value / limit),
        }
    }

    /// The budget as a formula, for people.
    pub fn formula(&self) -> String {
        let reference = match (self.of_number, self.of.as_deref(), self.of_metric) {
            (Some(number), ..) => number.to_string(),
            (None, Some(program), Some(metric)) => format!("{program}'s {}", metric.title()),
            (None, Some(FLOOR), None) => "the floor's".to_owned(),
            (None, Some(program), None) => format!("{program}'s"),
            (None, None, Some(metric)) => format!("its {}", metric.title()),
            (None, None, None) => "its own".to_owned(),
        };
        let factor = if self.factor == 1.0 {
            String::new()
        } else if self.factor < 0.5 {
            // A part reads better as a division.
            return format!("{} ≤ {reference} ÷ {:.0}", self.metric.title(), 1.0 / self.factor);
        } else {
            format!("{} × ", self.factor)
        };
        let plus = if self.plus == 0.0 { String::new() } else { format!(" + {}", self.plus) };
        format!("{} ≤ {factor}{reference}{plus}", self.metric.title())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metric::Samples;
    use crate::tree::{INFRASTRUCTURE, Tree};

    fn measured(name: &str, values: &[(Metric, f64)]) -> Measured {
        let mut samples = Samples::default();
        values.iter().for_each(|(metric, value)| samples.add(*metric, *value));
        Measured { name: name.to_owned(), metrics: samples.summaries() }
    }

    #[test]
    fn compares_budget_within_the_run() {
        let budgets = parse(
            "[[budget]]\nname = \"init\"\nreason = \"r\"\nmetric = \"init_ms\"\nfactor = 1.4\nof = \"floor\"\n\
             [[budget]]\nname = \"batch\"\nreason = \"r\"\nmetric = \"batch_100_ms\"\nfactor = 4.0\n\
             of_metric = \"batch_10_ms\"\nfunctions = [\"product-creator\"]\n\
             [[budget]]\nname = \"zip\"\nreason = \"r\"\nmetric = \"zip_bytes\"\nof_number = 3_000_000\n",
        )
        .unwrap();
        let (floor, creator) = (
            measured(FLOOR, &[(Metric::InitMs, 1.0)]),
            measured(
                "product-creator",
                &[(Metric::InitMs, 2.1), (Metric::Batch10Ms, 10.0), (Metric::Batch100Ms, 30.0)],
            ),
        );
        let findings = compare(&budgets, &BTreeMap::from([(FLOOR, &floor), ("product-creator", &creator)]));
        let kept: Vec<Option<bool>> = findings.iter().map(|finding| finding.kept).collect();
        assert_eq!(kept, [Some(false), Some(true), None]);
        assert!((findings[0].used.unwrap() - 1.5).abs() < 1e-9);
        assert_eq!(findings[1].limit, Some(40.0));
        assert_eq!(findings[2].limit, Some(3_000_000.0));
        let formulas: Vec<String> = budgets.iter().map(Budget::formula).collect();
        assert_eq!(
            formulas,
            ["init, ms ≤ 1.4 × the floor's", "batch of 100, ms ≤ 4 × its batch of 10, ms", "zip, bytes ≤ 3000000"]
        );
    }

    #[test]
    fn rejects_meaningless_budget() {
        let budget = |rest: &str| parse(&format!("[[budget]]\nname=\"n\"\nreason=\"r\"\nmetric=\"init_ms\"\n{rest}"));
        assert!(budget("of_number = 1").is_ok());
        assert!(budget("").unwrap_err().to_string().contains("compared"));
        assert!(
            budget("of_number = 1\nfunctions = [\"got-product\"]").unwrap_err().to_string().contains("got-product")
        );
        assert!(budget("of_number = 1\nfactr = 2").is_err());
    }

    #[test]
    fn budgets_are_valid_and_have_reasons() {
        let tree = Tree::above(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap();
        let budgets = read(&tree.repository(INFRASTRUCTURE).join("bench/budgets.toml")).unwrap();
        assert!(budgets.iter().all(|budget| budget.reason.len() > 20));
    }
}
