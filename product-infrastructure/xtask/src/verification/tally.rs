//! How many tests passed and failed.

use std::fmt;
use std::ops::Add;
use std::sync::{Arc, Mutex};

/// Tests counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
}

impl Tally {
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

/// Adds up what the parts of a check counted, so that a failure of a later part still reports them.
#[derive(Clone, Default)]
pub struct Counter(Arc<Mutex<Tally>>);

impl Counter {
    pub fn add(&self, tally: Tally) {
        let mut sum = self.0.lock().expect("no panic while counting");
        *sum = *sum + tally;
    }

    pub fn tally(&self) -> Tally {
        *self.0.lock().expect("no panic while counting")
    }

    pub fn failed(&self, error: impl Into<anyhow::Error>) -> Failed {
        Failed { tally: self.tally(), error: error.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_add_up_and_a_broken_build_counts() {
        let counter = Counter::default();
        counter.add(Tally { passed: 2, failed: 0 });
        counter.add(Tally { passed: 1, failed: 1 });
        assert_eq!(counter.tally(), Tally { passed: 3, failed: 1 });
        assert_eq!(counter.failed(anyhow::anyhow!("x")).tally.at_least_failed(), Tally { passed: 3, failed: 1 });
        assert_eq!(Tally::default().at_least_failed().failed, 1);
        assert_eq!(Tally::default().at_least_passed().to_string(), "1 passed");
        assert_eq!(Tally { passed: 1, failed: 2 }.to_string(), "1 passed, 2 failed");
    }
}
