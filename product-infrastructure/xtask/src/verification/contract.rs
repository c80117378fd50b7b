//! The HTTP contract on a running stack: schemathesis makes requests from `openapi.yaml`, right ones and wrong ones, single
//! ones and sequences, and compares each answer with what is described there. Its settings, and the reasons for them, are
//! in `schemathesis/schemathesis.toml`.

use anyhow::{Result, bail};

use super::{Context, SHOWN, secrets};
use crate::environment::Environment;
use crate::process::{self, External};
use crate::stack::Stack;
use crate::status::Running;
use crate::workspace::INFRASTRUCTURE;

/// Tries every operation of the contract on that stack, and says in how many cases it holds.
pub async fn check(context: &Context<'_>, stack: &Stack, running: &Running) -> Result<()> {
    let repository = context.workspace.repository(INFRASTRUCTURE);
    let log = context.log("system contract");
    let finished = External::new(Environment::schemathesis(context.workspace).program("schemathesis"), &log)
        // Where the settings are found, and what they name.
        .directory(repository.join("schemathesis"))
        // Never an argument: those are logged.
        .env("API_KEY", &running.api_key)
        .env("NO_PROXY", "*")
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("HYPOTHESIS_STORAGE_DIRECTORY", context.stack.folder().join("hypothesis"))
        .args(["--no-color", "run", "../openapi.yaml", "--checks", "all", "--url", &running.facts.api_url])
        .arg("--report-html-path")
        .arg(log.with_extension("html"))
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
    let findings = findings(&finished.stdout);
    if !findings.is_empty() {
        context.progress.print(&findings);
    }
    let finished = finished.expect_success("trying the API against openapi.yaml")?;
    match requests(&finished.stdout) {
        Some(count) if count > 0 => {
            context.progress.say(format!("    {count} generated cases conform to the contract"))
        }
        _ => bail!("schemathesis made no request. End of {}:\n{}", log.display(), process::tail(&log, 30)),
    }
    Ok(())
}

/// What failed and how to do it again, without what went well before it and the sums after it.
fn findings(output: &str) -> String {
    let is_title =
        |line: &str, titles: &[&str]| line.starts_with("==") && titles.iter().any(|title| line.contains(title));
    output
        .lines()
        .skip_while(|line| !is_title(line, &[" ERRORS ", " FAILURES "]))
        .take_while(|line| !is_title(line, &[" WARNINGS ", " SUMMARY "]))
        .take(SHOWN)
        .collect::<Vec<_>>()
        .join("\n")
}

/// From `  367 generated, 367 passed`.
fn requests(output: &str) -> Option<u64> {
    output.lines().find_map(|line| line.trim().split_once(" generated")?.0.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTPUT: &str = "Schemathesis v4\n\n  Examples: ok\n\
        =========== FAILURES ===========\n\
        ____ GET /products ____\n- Schema-valid request rejected\n\
        =========== SUMMARY ===========\n\nTest cases:\n  367 generated, 4 found 4 unique failures\n";

    #[test]
    fn shows_failures_and_counts_requests() {
        assert_eq!(
            findings(OUTPUT),
            "=========== FAILURES ===========\n____ GET /products ____\n- Schema-valid request rejected"
        );
        assert_eq!(findings("=== SUMMARY ===\nTest cases:\n  12 generated, 12 passed\n"), "");
        assert_eq!(requests(OUTPUT), Some(367));
        assert_eq!(requests("Usage: schemathesis run"), None);
    }
}
