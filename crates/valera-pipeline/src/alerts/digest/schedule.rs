//! When the morning message is due: from a local hour on, until the local day ends.
//!
//! Pure: the time is an argument. A morning that was missed is therefore due when somebody looks on the same day, and an
//! older one never is. Where the clock jumps over the hour, it is due right after; where it strikes it twice, from the
//! first time on. Where the day of which is told begins and ends is said by the calendar, not here.

use crate::alerts::rules::local_time;
use chrono::{DateTime, NaiveDate, NaiveTime, Utc};
use chrono_tz::Tz;
use std::str::FromStr;

/// The local hour of the morning message, or that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DigestAt(Option<NaiveTime>);

impl Default for DigestAt {
    fn default() -> Self {
        Self(NaiveTime::from_hms_opt(9, 0, 0))
    }
}

impl FromStr for DigestAt {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "off" => Ok(Self(None)),
            _ => local_time(text).map(|at| Self(Some(at))).ok_or("expected a local time, for example 09:00, or off"),
        }
    }
}

impl DigestAt {
    /// Whether there is a morning message at all.
    #[must_use]
    pub fn is_on(self) -> bool {
        self.0.is_some()
    }

    /// The local day that is to be told of at `now`; `None` before the hour.
    #[must_use]
    pub fn due(self, now: DateTime<Utc>, zone: Tz) -> Option<NaiveDate> {
        let local = now.with_timezone(&zone);
        self.0.filter(|at| local.time() >= *at).and_then(|_| local.date_naive().pred_opt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(at: &str, now: &str, zone: Tz) -> Option<String> {
        let now = DateTime::parse_from_rfc3339(now).unwrap().to_utc();
        at.parse::<DigestAt>().unwrap().due(now, zone).map(|day| day.to_string())
    }

    #[test]
    fn yesterday_is_due_from_the_hour_on_until_midnight() {
        let moscow = Tz::Europe__Moscow;
        assert_eq!(due("09:00", "2026-03-11T08:59:59+03:00", moscow), None);
        assert_eq!(due("09:00", "2026-03-11T09:00:00+03:00", moscow).as_deref(), Some("2026-03-10"));
        assert_eq!(due("09:00", "2026-03-11T23:59:59+03:00", moscow).as_deref(), Some("2026-03-10"));
        assert_eq!(due("09:00", "2026-03-12T00:00:00+03:00", moscow), None);
        assert_eq!(due("00:00", "2026-03-12T00:00:00+03:00", moscow).as_deref(), Some("2026-03-11"));
        assert_eq!(due("off", "2026-03-11T12:00:00+03:00", moscow), None);
    }

    #[test]
    fn an_hour_that_is_missing_comes_after_the_gap_and_one_that_comes_twice_the_first_time() {
        let berlin = Tz::Europe__Berlin;
        assert_eq!(due("02:30", "2026-03-29T01:59:59+01:00", berlin), None);
        assert_eq!(due("02:30", "2026-03-29T03:00:00+02:00", berlin).as_deref(), Some("2026-03-28"));
        assert_eq!(due("02:30", "2026-10-25T02:29:59+02:00", berlin), None);
        assert_eq!(due("02:30", "2026-10-25T02:30:00+02:00", berlin).as_deref(), Some("2026-10-24"));
        // Whoever has told of it by then knows from the claim.
        assert_eq!(due("02:30", "2026-10-25T02:30:00+01:00", berlin).as_deref(), Some("2026-10-24"));
    }

    #[test]
    fn what_is_no_hour_is_refused() {
        for text in ["", "9", "9:00", "24:00", "09:00:00", "on", "09-00"] {
            assert!(text.parse::<DigestAt>().is_err(), "{text}");
        }
    }
}
