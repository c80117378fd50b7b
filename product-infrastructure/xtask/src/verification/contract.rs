//! The HTTP contract on a running stack: schemathesis makes requests from `openapi.yaml`, right ones and wrong ones, single
//! ones and sequences, and compares each answer with what is described there. Its settings, and the reasons for them, are
//! in `schemathesis/schemathesis.toml`.

use std::fs;

use anyhow::{Context as _, Result, bail};
use roxmltree::Document;

use super::{Context, SHOWN, secrets};
use crate::environment::Environment;
use crate::process::{self, External};
use crate::stack::Stack;
use crate::status::Running;
use crate::workspace::INFRASTRUCTURE;

/// Tests every operation of the contract on that stack and reports the number of cases.
pub async fn check(context: &Context<'_>, stack: &Stack, running: &Running) -> Result<()> {
    let repository = context.workspace.repository(INFRASTRUCTURE);
    let log = context.log("system contract");
    let junit = log.with_extension("xml");
    if junit.exists() {
        fs::remove_file(&junit).with_context(|| format!("failed to delete {}", junit.display()))?;
    }
    let finished = External::new(Environment::schemathesis(context.workspace).program("schemathesis"), &log)
        // The settings, and the folder that they refer to.
        .directory(repository.join("schemathesis"))
        // Never an argument: those are logged.
        .env("API_KEY", &running.api_key)
        .env("NO_PROXY", "*")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("HYPOTHESIS_STORAGE_DIRECTORY", context.stack.folder().join("hypothesis"))
        .args([
            "--no-color",
            "run",
            "../openapi.yaml",
            "--checks",
            "all",
            "--exclude-checks",
            "use_after_free",
            "--url",
            &running.facts.api_url,
        ])
        .arg("--report-html-path")
        .arg(log.with_extension("html"))
        .arg("--report-junit-path")
        .arg(&junit)
        .finish()
        .await?;
    // First of all, and also when something else is wrong: logs are uploaded, mailed and kept.
    let mut telling = secrets::holding(&context.stack.logs(), &running.api_key)?;
    telling.extend(secrets::holding(&stack.logs(), &running.api_key)?);
    if !telling.is_empty() {
        bail!(
            "the API key is in {}",
            telling.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
        );
    }
    let report = fs::read_to_string(&junit).ok().map(|text| Report::parse(&text)).transpose()?.unwrap_or_default();
    if !report.findings.is_empty() {
        context.progress.print(&report.findings.join("\n"));
    }
    finished.expect_success("trying the API against openapi.yaml")?;
    if report.tests == 0 || !report.findings.is_empty() {
        bail!("schemathesis tried {} operations. End of {}:\n{}", report.tests, log.display(), process::tail(&log, 30));
    }
    context.progress.say(format!("    {} operations and sequences conform to the contract", report.tests));
    Ok(())
}

/// What schemathesis's JUnit report holds.
#[derive(Debug, Default)]
struct Report {
    /// Operations, and sequences of them, that were tried.
    tests: usize,
    /// What failed, and how to do it again.
    findings: Vec<String>,
}

impl Report {
    fn parse(text: &str) -> Result<Self> {
        let document = Document::parse(text).context("failed to parse schemathesis's report")?;
        let elements = |name: &'static str| document.descendants().filter(move |node| node.has_tag_name(name));
        let skipped = elements("skipped").count();
        let findings = ["failure", "error"].into_iter().flat_map(elements).map(|node| {
            let case = node.parent().and_then(|case| case.attribute("name")).unwrap_or_default();
            let lines: Vec<&str> = node.text().unwrap_or_default().lines().take(SHOWN).collect();
            format!("{case}\n{}", lines.join("\n"))
        });
        Ok(Self { findings: findings.collect(), tests: elements("testcase").count() - skipped })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_operations_and_lists_failures() {
        let report = Report::parse(
            r#"<?xml version="1.0" encoding="utf-8"?>
            <testsuites errors="0" failures="1" skipped="1" tests="3"><testsuite name="schemathesis" tests="3">
              <testcase name="GET /products" time="1.0"><failure type="failure" message="x">1. Server error
curl -X GET http://localhost/products</failure></testcase>
              <testcase name="POST /products" time="1.0" />
              <testcase name="GET /health" time="0.0"><skipped type="skipped">no case</skipped></testcase>
            </testsuite></testsuites>"#,
        )
        .unwrap();
        assert_eq!(report.tests, 2);
        assert_eq!(report.findings, ["GET /products\n1. Server error\ncurl -X GET http://localhost/products"]);
        let empty = Report::parse("<testsuites tests=\"0\" />").unwrap();
        assert_eq!((empty.tests, empty.findings.len()), (0, 0));
        assert!(Report::parse("Usage: schemathesis run").is_err());
    }
}
