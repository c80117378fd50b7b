//! What a Terraform root refuses, its tests expect it to refuse; what alarms, its tests have looked at.
//!
//! `terraform test` does not know what it leaves out. Terraform's files are read line by line, which is enough for files
//! that `terraform fmt` accepts: a block begins a line.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// Fails with every validation and condition that no test expects to fail, and every alarm that no test names.
pub fn check(root: &Path) -> Result<()> {
    let (source, tests) = (text_of(root, ".tf")?, text_of(&root.join("tests"), ".tftest.hcl")?);
    let missing = missing(&source, &tests);
    if missing.is_empty() {
        return Ok(());
    }
    bail!("the tests of {} leave out\n  {}", root.display(), missing.join("\n  "))
}

fn missing(source: &str, tests: &str) -> Vec<String> {
    let mut refusals: BTreeMap<String, usize> = BTreeMap::new();
    let (mut block, mut missing) = (String::new(), Vec::new());
    for line in source.lines() {
        let mut words = line.split_whitespace().map(|word| word.trim_matches('"'));
        match (line.starts_with(' '), words.next(), words.next(), words.next()) {
            (false, Some("variable"), Some(name), _) => block = format!("var.{name}"),
            (false, Some("data"), Some(kind), Some(name)) => block = format!("data.{kind}.{name}"),
            (false, Some("resource"), Some(kind), Some(name)) => {
                block = format!("{kind}.{name}");
                if kind == "aws_cloudwatch_metric_alarm" && !tests.contains(&block) {
                    missing.push(format!("the alarm {block}"));
                }
            }
            (true, Some("validation" | "precondition" | "postcondition"), Some("{"), None) => {
                *refusals.entry(block.clone()).or_default() += 1;
            }
            _ => {}
        }
    }
    for (block, refusals) in refusals {
        let expected = tests.matches(&format!("expect_failures = [{block}]")).count();
        if expected < refusals {
            missing.push(format!("{block} refuses in {refusals} ways, of which {expected} are tried"));
        }
    }
    missing
}

/// The files of a folder with that ending, one after the other.
fn text_of(folder: &Path, ending: &str) -> Result<String> {
    let mut text = String::new();
    for entry in fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))? {
        let path = entry.with_context(|| format!("failed to read {}", folder.display()))?.path();
        if path.to_string_lossy().ends_with(ending) {
            text.push_str(&fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?);
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "variable \"stage\" {\n  validation {\n  }\n\n  validation {\n  }\n}\n\
        data \"aws_caller_identity\" \"current\" {\n  lifecycle {\n    postcondition {\n    }\n  }\n}\n\
        resource \"aws_cloudwatch_metric_alarm\" \"errors\" {\n}\n";

    #[test]
    fn requires_a_test_for_each_refusal() {
        let both = "expect_failures = [var.stage]\nexpect_failures = [var.stage]\n\
            expect_failures = [data.aws_caller_identity.current]\naws_cloudwatch_metric_alarm.errors.alarm_actions";
        assert!(missing(SOURCE, both).is_empty());
        let one = "expect_failures = [var.stage]\naws_cloudwatch_metric_alarm.errors";
        assert_eq!(
            missing(SOURCE, one),
            [
                "data.aws_caller_identity.current refuses in 1 ways, of which 0 are tried",
                "var.stage refuses in 2 ways, of which 1 are tried",
            ]
        );
        assert_eq!(
            missing(SOURCE, both.trim_end_matches("aws_cloudwatch_metric_alarm.errors.alarm_actions")),
            ["the alarm aws_cloudwatch_metric_alarm.errors"]
        );
    }
}
