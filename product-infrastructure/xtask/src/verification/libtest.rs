//! The tests of a crate, as its test programs list them: `NAME: test`, one a line. That list is made for programs; the
//! report of a run isn't, in the form that a stable compiler offers. A run that ended well passed all that are listed.

use anyhow::{Result, bail};

use super::tally::Tally;
use crate::process::External;
use crate::progress::Progress;

/// Counts the tests that a successful run of `cargo test`, or of a command like it, has passed; there must be some.
///
/// `command` makes the same command again, up to the options of the test programs.
pub async fn passed(command: impl Fn() -> External, of: &str) -> Result<Tally> {
    let list = async |selection: &[&str]| -> Result<u64> {
        let finished = command()
            .append()
            .args(["--", "--list", "--format", "terse"])
            .args(selection)
            .run(&format!("listing the tests of {of}"))
            .await?;
        Ok(count(&finished.stdout))
    };
    let ignored = list(&["--ignored"]).await?;
    if ignored > 0 {
        bail!("{ignored} tests of {of} are marked #[ignore]: they would look like passed ones");
    }
    let passed = list(&[]).await?;
    if passed == 0 {
        bail!("{of} has no tests");
    }
    Ok(Tally { passed, failed: 0 })
}

fn count(list: &str) -> u64 {
    list.lines().filter(|line| line.ends_with(": test")).count() as u64
}

/// Shows the lines of a test run that somebody following it wants to see. Compiler output stays in the log.
pub fn show(line: &str, progress: &Progress) {
    const BEGINNINGS: [&str; 5] = ["test ", "running ", "     Running ", "   Doc-tests ", "TOTAL "];
    if BEGINNINGS.iter().any(|beginning| line.starts_with(beginning)) {
        progress.print(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A command that lists `tests`, and `ignored` when only those are asked for.
    fn command(tests: &'static str, ignored: &'static str) -> (tempfile::TempDir, impl Fn() -> External) {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let script = r#"case "$*" in *--ignored*) printf "$IGNORED" ;; *) printf "$TESTS" ;; esac"#;
        let make =
            move || External::new("sh", &log).env("TESTS", tests).env("IGNORED", ignored).args(["-c", script, "sh"]);
        (folder, make)
    }

    #[tokio::test]
    async fn counts_listed_tests() {
        let (_folder, make) = command("config::tests::reads: test\nhandler::tests::answers: test\nb: benchmark\n", "");
        assert_eq!(passed(make, "x").await.unwrap(), Tally { passed: 2, failed: 0 });
    }

    #[tokio::test]
    async fn rejects_run_without_tests() {
        let (_folder, make) = command("", "");
        assert_eq!(passed(make, "x").await.unwrap_err().to_string(), "x has no tests");
    }

    #[tokio::test]
    async fn rejects_ignored_tests() {
        let (_folder, make) = command("a: test\nb: test\n", "b: test\n");
        assert!(passed(make, "x").await.unwrap_err().to_string().contains("#[ignore]"));
    }
}
