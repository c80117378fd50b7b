//! An object's lock: whether S3 Object Lock keeps it as its environment requires.
//!
//! What is required is here and not read from the bucket: whoever weakens the bucket's settings would also weaken what is
//! verified.

use std::fmt;

use serde::Serialize;

use crate::finding::{Fault, Finding};

const DAY_SECONDS: i64 = 24 * 60 * 60;
/// S3 takes the time of an object and the end of its lock at two moments, and gives one of them in whole seconds.
const CLOCK_TOLERANCE_SECONDS: i64 = 60;

/// Whether a lock keeps an object from being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// It has the required retention; an expired one is none the worse.
    Locked,
    /// It has a retention, but a weaker one than required.
    Weak {
        retention: Retention,
        required: RequiredRetention,
    },
    Unlocked,
    /// Not read, or the permission to read it is missing.
    Unknown,
}

/// Who may shorten a retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Mode {
    /// Whoever has the permission.
    Governance,
    /// Nobody.
    Compliance,
}

/// How long an object is locked from the moment it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Retention {
    pub mode: Mode,
    /// Whole days.
    pub days: i64,
}

/// The least that an environment requires of a retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RequiredRetention {
    /// `None`: any.
    pub mode: Option<Mode>,
    pub days: i64,
}

impl Retention {
    /// The retention of an object, from when it was written and when its lock ends, both in seconds since 1970.
    pub fn between(mode: Mode, written: i64, until: i64) -> Self {
        let seconds = until.saturating_sub(written).saturating_add(CLOCK_TOLERANCE_SECONDS);
        Self { mode, days: seconds.div_euclid(DAY_SECONDS).max(0) }
    }
}

impl RequiredRetention {
    /// What `terraform/variables.tf` and `terraform/audit_bucket.tf` demand of an environment.
    pub fn in_environment(environment: &str) -> Self {
        match environment {
            "prod" => Self { mode: Some(Mode::Compliance), days: 2_557 },
            _ => Self { mode: None, days: 1 },
        }
    }

    /// Whether the retention is at least this.
    pub fn lock(self, retention: Retention) -> Lock {
        let is_met = self.mode.is_none_or(|mode| mode == retention.mode) && retention.days >= self.days;
        if is_met { Lock::Locked } else { Lock::Weak { retention, required: self } }
    }
}

impl Lock {
    /// What is wrong with the lock of this object, if anything is.
    pub fn finding(self, object: &str) -> Option<Finding> {
        match self {
            Self::Locked | Self::Unknown => None,
            Self::Unlocked => Some(Finding::new(object, Fault::Unlocked, "the object has no retention")),
            Self::Weak { retention, required } => {
                let why = format!("the retention is too weak: {retention} (required: {required})");
                Some(Finding::new(object, Fault::WeakLock, why))
            }
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        })
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} for {}", self.mode, days(self.days))
    }
}

impl fmt::Display for RequiredRetention {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mode {
            Some(mode) => write!(formatter, "{mode} for at least {}", days(self.days)),
            None => write!(formatter, "any mode for at least {}", days(self.days)),
        }
    }
}

fn days(days: i64) -> String {
    format!("{days} {}", if days == 1 { "day" } else { "days" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requires_what_terraform_sets() {
        let (variables, bucket) =
            (include_str!("../../terraform/variables.tf"), include_str!("../../terraform/audit_bucket.tf"));
        let prod = RequiredRetention::in_environment("prod");
        let minimum = format!("var.environment != \"prod\" || var.audit_retention_days >= {}\n", prod.days);
        assert!(variables.contains(&minimum), "{minimum}");
        assert_eq!(prod.mode, Some(Mode::Compliance));
        assert!(bucket.contains("mode = var.environment == \"prod\" ? \"COMPLIANCE\" : \"GOVERNANCE\"\n"));
        for environment in ["dev", "sit"] {
            let other = RequiredRetention::in_environment(environment);
            assert_eq!(other.mode, None, "governance is enough");
            assert!(variables.contains(&format!("var.audit_retention_days >= {} &&", other.days)));
        }
    }

    #[test]
    fn compares_mode_and_end_with_the_required_ones() {
        let prod = RequiredRetention::in_environment("prod");
        let written = 1_769_860_800;
        let end = written + 2_557 * DAY_SECONDS;
        let lock = |mode, until| prod.lock(Retention::between(mode, written, until));
        for until in [end, end - CLOCK_TOLERANCE_SECONDS, end + 1, i64::MAX] {
            assert_eq!(lock(Mode::Compliance, until), Lock::Locked, "{until}");
        }
        for (mode, until) in [
            (Mode::Governance, end),
            (Mode::Compliance, end - CLOCK_TOLERANCE_SECONDS - 1),
            (Mode::Compliance, written),
            (Mode::Compliance, i64::MIN),
        ] {
            assert!(matches!(lock(mode, until), Lock::Weak { .. }), "{mode} {until}");
        }
        let dev = RequiredRetention::in_environment("dev");
        assert_eq!(dev.lock(Retention { mode: Mode::Governance, days: 1 }), Lock::Locked);
        assert_eq!(dev.lock(Retention { mode: Mode::Compliance, days: 2 }), Lock::Locked);
    }

    #[test]
    fn finding_names_retention_and_requirement() {
        let why = |environment, retention| {
            let lock = RequiredRetention::in_environment(environment).lock(retention);
            lock.finding("events/a.json").map(|finding| (finding.fault, finding.why))
        };
        let short = Retention { mode: Mode::Governance, days: 30 };
        let expected =
            "the retention is too weak: GOVERNANCE for 30 days (required: COMPLIANCE for at least 2557 days)";
        assert_eq!(why("prod", short), Some((Fault::WeakLock, expected.to_owned())));
        assert_eq!(why("sit", short), None);
        let expected = "the retention is too weak: GOVERNANCE for 0 days (required: any mode for at least 1 day)";
        assert_eq!(why("sit", Retention { days: 0, ..short }), Some((Fault::WeakLock, expected.to_owned())));
        assert_eq!(Lock::Unlocked.finding("a").map(|finding| finding.fault), Some(Fault::Unlocked));
        assert_eq!((Lock::Locked.finding("a"), Lock::Unknown.finding("a")), (None, None));
    }
}
