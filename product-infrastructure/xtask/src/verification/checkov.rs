//! Settings in a Terraform root that are known to be unsafe. What is left as it is says why, in a comment
//! `checkov:skip=RULE:reason` within its resource.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::tally::Tally;
use super::{Context, SHOWN};
use crate::environment::Environment;
use crate::process::External;
use crate::terraform::root::{self, Root};

/// Variables that choose other rules, or another place to take them from.
const SETTINGS: [&str; 4] = ["BC_", "CHECKOV_", "CKV_", "PRISMA_"];

/// What checkov stands in for a reason that is missing.
const NO_REASON: &str = "No comment provided";

/// Checkov's report on a root; without results if it checked nothing.
#[derive(Deserialize)]
struct Report {
    results: Option<Results>,
}

#[derive(Deserialize)]
struct Results {
    passed_checks: Vec<Verdict>,
    failed_checks: Vec<Verdict>,
    skipped_checks: Vec<Verdict>,
    parsing_errors: Vec<String>,
}

/// A rule, applied to a resource.
#[derive(Deserialize)]
struct Verdict {
    check_id: String,
    check_name: String,
    check_result: Outcome,
    resource: String,
    /// Begins with a slash, which stands for the root.
    file_path: String,
    file_line_range: (u64, u64),
}

#[derive(Deserialize)]
struct Outcome {
    suppress_comment: Option<String>,
}

pub async fn check(context: &Context<'_>, root: Root) -> Result<Tally> {
    let name = format!("checkov {}", root.name());
    // A copy: checkov would read a root that lies inside another with it, and what Terraform leaves there.
    let folder = context.stack.folder().join("checkov").join(root.slug());
    root::copy(&root.committed(context.workspace), &folder)?;
    let (log, report) = (context.log(&name), context.log(&name).with_extension("json"));
    let settings = std::env::vars_os().map(|(name, _)| name);
    let settings = settings.filter(|name| SETTINGS.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)));
    // One root a call: of several it scans the first again and again.
    let finished = External::new(Environment::checkov(context.workspace).program("checkov"), &log)
        .directory(&folder)
        .at_low_priority()
        .without_env(settings)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["--directory", ".", "--framework", "terraform", "--skip-download", "--compact"])
        .args(["--output", "cli", "--output", "json", "--output-file-path"])
        .arg(format!("console,{}", report.display()))
        .finish()
        .await?;
    let text = fs::read_to_string(&report).with_context(|| format!("failed to read {}", report.display()));
    let Ok(text) = text else {
        finished.expect_success_or_show(&name, SHOWN)?;
        bail!("checkov wrote no report");
    };
    let counts = judge(&root.committed(context.workspace), &text)?;
    finished.expect_success_or_show(&name, SHOWN)?;
    context.progress.say(format!("    {counts}"));
    Ok(Tally::default())
}

/// How many rules were kept and how many are not for this root, if there is nothing to find fault with.
fn judge(root: &Path, report: &str) -> Result<String> {
    let report: Report = serde_json::from_str(report).context("failed to parse checkov's report")?;
    let Some(results) = report.results else { bail!("checkov's report has no results") };
    let unread = results.parsing_errors.iter().map(|file| format!("checkov failed to parse {file}"));
    let failed = results.failed_checks.iter().map(|verdict| verdict.describe(root));
    let unexplained = results.skipped_checks.iter().filter(|verdict| !verdict.has_reason());
    let unexplained = unexplained.map(|verdict| format!("{}: skipped without a reason", verdict.describe(root)));
    let findings: Vec<String> = unread.chain(failed).chain(unexplained).collect();
    if !findings.is_empty() {
        bail!("{}", findings.join("\n"));
    }
    if results.passed_checks.is_empty() {
        bail!("checkov checked no resource");
    }
    Ok(format!("{} passed, {} skipped with a reason", results.passed_checks.len(), results.skipped_checks.len()))
}

impl Verdict {
    fn describe(&self, root: &Path) -> String {
        let (first, last) = self.file_line_range;
        format!(
            "{}{}:{first}-{last}: {}: {} ({})",
            root.display(),
            self.file_path,
            self.resource,
            self.check_name,
            self.check_id
        )
    }

    fn has_reason(&self) -> bool {
        self.check_result.suppress_comment.as_deref().is_some_and(|reason| !reason.is_empty() && reason != NO_REASON)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn verdict(reason: Option<&str>) -> serde_json::Value {
        json!({
            "check_id": "CKV_AWS_1", "check_name": "Ensure it is safe", "check_result": { "suppress_comment": reason },
            "resource": "aws_s3_bucket.a", "file_path": "/a.tf", "file_line_range": [3, 9], "severity": null
        })
    }

    fn judged(passed: usize, failed: usize, skipped: &[Option<&str>], unread: &[&str]) -> Result<String> {
        let skipped: Vec<_> = skipped.iter().map(|reason| verdict(*reason)).collect();
        let results = json!({
            "passed_checks": vec![verdict(None); passed], "failed_checks": vec![verdict(None); failed],
            "skipped_checks": skipped, "parsing_errors": unread
        });
        judge(Path::new("terraform"), &json!({ "results": results }).to_string())
    }

    #[test]
    fn what_passes_is_counted() {
        assert_eq!(judged(2, 0, &[Some("a mock")], &[]).unwrap(), "2 passed, 1 skipped with a reason");
    }

    #[test]
    fn finding_names_file_and_rule() {
        let message = judged(2, 1, &[], &[]).unwrap_err().to_string();
        assert_eq!(message, "terraform/a.tf:3-9: aws_s3_bucket.a: Ensure it is safe (CKV_AWS_1)");
    }

    #[test]
    fn requires_reasons_for_skips_and_reads_every_file() {
        for reason in [None, Some(""), Some(NO_REASON)] {
            assert!(judged(2, 0, &[reason], &[]).unwrap_err().to_string().ends_with("skipped without a reason"));
        }
        assert!(judged(2, 0, &[], &["/b.tf"]).unwrap_err().to_string().contains("/b.tf"));
    }

    #[test]
    fn report_without_results_is_an_error() {
        assert!(judged(0, 0, &[], &[]).is_err());
        assert!(judge(Path::new("terraform"), r#"{"passed": 0, "failed": 0}"#).is_err());
    }
}
