//! Points in time as people and programs read them.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Milliseconds since 1970 as RFC 3339, in UTC.
pub fn of_millis(millis: i64) -> String {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(millis) * 1_000_000)
        .ok()
        .and_then(|moment| moment.format(&Rfc3339).ok())
        .unwrap_or_else(|| "at an unknown time".to_owned())
}

/// Seconds since 1970 as RFC 3339, in UTC.
pub fn of_seconds(seconds: i64) -> String {
    of_millis(seconds.saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_as_rfc_3339() {
        assert_eq!(of_seconds(1_769_860_800), "2026-01-31T12:00:00Z");
        assert_eq!(of_millis(1_769_860_800_001), "2026-01-31T12:00:00.001Z");
        assert_eq!(of_seconds(i64::MAX), "at an unknown time");
    }
}
