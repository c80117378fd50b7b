//! How many tests passed and failed, from the lines that Cargo's and Terraform's test runners print.

use std::fmt;
use std::ops::Add;
use std::sync::{Arc, Mutex};

use crate::progress::Progress;

/// Tests counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
}

impl Tally {
    /// From `test result: ok. 30 passed; 0 failed; …` or `Success! 5 passed, 0 failed.`
    pub fn parse(line: &str) -> Option<Self> {
        let counts = line
            .strip_prefix("test result: ")
            .or_else(|| line.strip_prefix("Success! "))
            .or_else(|| line.strip_prefix("Failure! "))?;
        let mut tally = Self::default();
        let words: Vec<&str> = counts.split(|c: char| c.is_whitespace() || c == ';' || c == ',' || c == '.').collect();
        for pair in words.windows(2) {
            match (pair[0].parse(), pair[1]) {
                (Ok(count), "passed") => tally.passed = count,
                (Ok(count), "failed") => tally.failed = count,
                _ => {}
            }
        }
        Some(tally)
    }

    /// A check that counts no tests is one itself.
    pub fn at_least_passed(self) -> Self {
        if self == Self::default() { Self { passed: 1, failed: 0 } } else { self }
    }

    /// A failure is counted even when it came before the first test, as a build that breaks does.
    pub fn at_least_failed(self) -> Self {
        Self { failed: self.failed.max(1), ..self }
    }
}

impl Add for Tally {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { passed: self.passed + other.passed, failed: self.failed + other.failed }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} passed", self.passed)?;
        if self.failed > 0 { write!(formatter, ", {} failed", self.failed) } else { Ok(()) }
    }
}

/// A check that failed, with what had been counted by then.
#[derive(Debug)]
pub struct Failed {
    pub tally: Tally,
    pub error: anyhow::Error,
}

impl<E: Into<anyhow::Error>> From<E> for Failed {
    fn from(error: E) -> Self {
        Self { tally: Tally::default(), error: error.into() }
    }
}

/// Counts along while a test runner runs, and passes its own lines on.
#[derive(Clone)]
pub struct Counter {
    tally: Arc<Mutex<Tally>>,
    progress: Progress,
}

impl Counter {
    pub fn new(progress: &Progress) -> Self {
        Self { tally: Arc::default(), progress: progress.clone() }
    }

    /// Sees one line of the runner's output.
    pub fn see(&self, line: &str) {
        if let Some(tally) = Tally::parse(line) {
            let mut sum = self.tally.lock().expect("no panic while counting");
            *sum = *sum + tally;
        }
        if is_test_line(line) {
            self.progress.print(line);
        }
    }

    pub fn tally(&self) -> Tally {
        *self.tally.lock().expect("no panic while counting")
    }

    pub fn failed(&self, error: impl Into<anyhow::Error>) -> Failed {
        Failed { tally: self.tally(), error: error.into() }
    }
}

/// What a reader of the log looks for: which binary, which test, how it ended. Compiler output stays in the log file.
fn is_test_line(line: &str) -> bool {
    const BEGINNINGS: [&str; 8] =
        ["test ", "running ", "     Running ", "   Doc-tests ", "TOTAL ", "Success! ", "Failure! ", "  run "];
    BEGINNINGS.iter().any(|beginning| line.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_runners_are_understood() {
        for (line, passed, failed) in [
            ("test result: ok. 30 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.09s", 30, 0),
            ("test result: FAILED. 5 passed; 2 failed; 0 ignored", 5, 2),
            ("Success! 4 passed, 0 failed.", 4, 0),
            ("Failure! 3 passed, 1 failed, 1 skipped.", 3, 1),
        ] {
            assert_eq!(Tally::parse(line), Some(Tally { passed, failed }), "{line}");
        }
        assert_eq!(Tally::parse("test config::tests::reads ... ok"), None);
    }

    #[test]
    fn results_add_up_and_a_broken_build_counts() {
        let counter = Counter::new(&Progress::new());
        for line in [
            "running 2 tests",
            "test result: ok. 2 passed; 0 failed;",
            "noise",
            "test result: FAILED. 1 passed; 1 failed;",
        ] {
            counter.see(line);
        }
        assert_eq!(counter.tally(), Tally { passed: 3, failed: 1 });
        assert_eq!(counter.failed(anyhow::anyhow!("x")).tally.at_least_failed(), Tally { passed: 3, failed: 1 });
        assert_eq!(Tally::default().at_least_failed().failed, 1);
        assert_eq!(Tally::default().at_least_passed().to_string(), "1 passed");
        assert_eq!(Tally { passed: 1, failed: 2 }.to_string(), "1 passed, 2 failed");
    }
}
