//! Moments as people give them: so long ago, or a time.
//!
//! It does not know a zone: a day without a time would mean another moment in each, so it is not taken.

use chrono::{DateTime, TimeDelta, Utc};
use std::str::FromStr;

/// A moment, given as `30d`, `12h`, `90m`, `2w` before now, or in RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Since(pub DateTime<Utc>);

impl FromStr for Since {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self(at.to_utc()));
        }
        let ago = span(text).ok_or("expected a span before now, as 30d, 12h or 90m, or a time in RFC 3339")?;
        Utc::now().checked_sub_signed(ago).map(Self).ok_or("too long ago")
    }
}

fn span(text: &str) -> Option<TimeDelta> {
    let unit = text.chars().next_back()?;
    let count: i64 = text.strip_suffix(unit)?.parse().ok().filter(|count| *count >= 0)?;
    match unit {
        'm' => TimeDelta::try_minutes(count),
        'h' => TimeDelta::try_hours(count),
        'd' => TimeDelta::try_days(count),
        'w' => TimeDelta::try_weeks(count),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_times_are_taken_and_all_else_is_not() {
        assert_eq!(span("30d"), Some(TimeDelta::days(30)));
        assert_eq!(span("2w"), Some(TimeDelta::days(14)));
        let time: Since = "2026-11-01T00:00:00+03:00".parse().unwrap();
        assert_eq!(time.0.to_rfc3339(), "2026-10-31T21:00:00+00:00");
        for bad in ["", "d", "30", "-3d", "3y", "2026-11-01", "9999999999999999d", "99999999999d", "дня"] {
            assert!(bad.parse::<Since>().is_err(), "{bad}");
        }
    }
}
