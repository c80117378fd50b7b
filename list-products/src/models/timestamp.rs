//! A moment, to the millisecond, in the only format that the catalogue writes: `2026-01-31T12:00:00.000Z`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{OffsetDateTime, UtcOffset};

/// RFC 3339 in UTC, always with three fractional digits, so that strings sort as moments do.
const FORMAT: &[time::format_description::BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A moment in UTC, truncated to the millisecond.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Timestamp(OffsetDateTime);

/// A string that isn't an RFC 3339 date and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an RFC 3339 date and time")]
pub struct InvalidTimestamp;

impl Timestamp {
    /// The system clock's time.
    pub fn now() -> Self {
        Self::truncated(OffsetDateTime::now_utc())
    }

    /// `millis` since the Unix epoch. A time after the year 9999, which 48 bits can hold, becomes the end of 9999.
    pub fn from_unix_millis(millis: u64) -> Self {
        let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
            .unwrap_or(time::macros::datetime!(9999-12-31 23:59:59.999 UTC));
        Self(moment)
    }

    /// Milliseconds since the Unix epoch; 0 for a moment before it.
    pub fn unix_millis(self) -> u64 {
        u64::try_from(self.0.unix_timestamp_nanos() / 1_000_000).unwrap_or_default()
    }

    /// Seconds since the Unix epoch, the unit of DynamoDB's time to live.
    pub fn unix_seconds(self) -> i64 {
        self.0.unix_timestamp()
    }

    /// Year, month (1–12) and day (1–31) in UTC.
    pub fn date(self) -> (i32, u8, u8) {
        let (year, month, day) = self.0.to_calendar_date();
        (year, u8::from(month), day)
    }

    fn truncated(moment: OffsetDateTime) -> Self {
        let millis = moment.millisecond();
        Self(moment.replace_millisecond(millis).unwrap_or(moment))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.format(FORMAT).map_err(|_| fmt::Error)?)
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = InvalidTimestamp;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let moment = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| InvalidTimestamp)?;
        let utc = moment.checked_to_offset(UtcOffset::UTC).ok_or(InvalidTimestamp)?;
        Ok(Self::truncated(utc))
    }
}

impl From<Timestamp> for String {
    fn from(timestamp: Timestamp) -> String {
        timestamp.to_string()
    }
}

impl TryFrom<String> for Timestamp {
    type Error = InvalidTimestamp;

    /// In data a moment has one form, since strings are compared there.
    fn try_from(text: String) -> Result<Self, Self::Error> {
        let moment: Self = text.parse()?;
        if moment.to_string() == text { Ok(moment) } else { Err(InvalidTimestamp) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_utc_with_three_fractional_digits() {
        for (given, written) in [
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000Z"),
            ("2026-01-31T12:00:00.5+02:00", "2026-01-31T10:00:00.500Z"),
            ("2026-01-31T12:00:00.123456789Z", "2026-01-31T12:00:00.123Z"),
        ] {
            assert_eq!(given.parse::<Timestamp>().unwrap().to_string(), written, "{given}");
        }
    }

    #[test]
    fn rejects_invalid_date_and_time() {
        for given in ["", "2026-01-31", "2026-02-30T00:00:00Z", "yesterday"] {
            assert_eq!(given.parse::<Timestamp>(), Err(InvalidTimestamp), "{given}");
        }
    }

    #[test]
    fn accepts_own_format_only_in_data() {
        assert!(Timestamp::try_from("2026-01-31T12:00:00.000Z".to_owned()).is_ok());
        for other in ["2026-01-31T12:00:00Z", "2026-01-31t12:00:00.000z", "2026-01-31T12:00:00.000+00:00"] {
            assert_eq!(Timestamp::try_from(other.to_owned()), Err(InvalidTimestamp), "{other}");
        }
    }

    #[test]
    fn converts_from_and_to_unix_time() {
        let moment = Timestamp::from_unix_millis(1_767_225_600_123);
        assert_eq!(moment.to_string(), "2026-01-01T00:00:00.123Z");
        assert_eq!(format!("{moment:?}"), "2026-01-01T00:00:00.123Z", "in logs and in failed assertions");
        assert_eq!(moment.unix_millis(), 1_767_225_600_123);
        assert_eq!(moment.unix_seconds(), 1_767_225_600);
        assert_eq!(moment.date(), (2026, 1, 1));
        assert_eq!(Timestamp::from_unix_millis(u64::MAX).date(), (9999, 12, 31));
    }

    #[test]
    fn reads_what_it_writes() {
        let now = Timestamp::now();
        assert_eq!(now.to_string().parse(), Ok(now));
    }
}
