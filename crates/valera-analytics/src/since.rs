//! Moments as people give them: so long ago, or a time.
//!
//! A span is written as in the rules of alerts. It does not know a zone: a day without a time would mean another moment in
//! each, so it is not taken.

use chrono::{DateTime, TimeDelta, Utc};
use std::str::FromStr;
use valera_pipeline::alerts::rules::parse_duration;

/// A moment, given as `30d`, `12h`, `90m`, `2w` before now (at most 366 days), or in RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since(pub DateTime<Utc>);

impl FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self(at.to_utc()));
        }
        let ago = parse_duration(text).filter(|ago| *ago > TimeDelta::zero());
        let ago = ago.ok_or(
            "expected a span of time, for example 30d, 12h or 90m, of at most 366 days, or a time in RFC 3339",
        )?;
        Ok(Self(Utc::now() - ago))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_times_are_taken_and_all_else_is_not() {
        for (span, ago) in [("30d", TimeDelta::days(30)), ("2w", TimeDelta::days(14))] {
            let since: Since = span.parse().unwrap();
            let off = Utc::now() - ago - since.0;
            assert!((TimeDelta::zero()..TimeDelta::minutes(1)).contains(&off), "{span}: {off}");
        }
        let time: Since = "2026-11-01T00:00:00+03:00".parse().unwrap();
        assert_eq!(time.0.to_rfc3339(), "2026-10-31T21:00:00+00:00");
        for bad in ["", "d", "30", "0d", "-3d", "+3d", "3y", "2026-11-01", "9999999999999999d", "99999999999d", "дня"]
        {
            assert!(bad.parse::<Since>().is_err(), "{bad}");
        }
    }
}
