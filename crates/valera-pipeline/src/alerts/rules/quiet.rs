//! Quiet hours: a stretch of every local day in which only what is critical is told.
//!
//! Local, because a night is. The stretch may go over midnight. It does not decide what is critical.

use chrono::{DateTime, NaiveTime, Utc};
use chrono_tz::Tz;

/// From a local time, inclusive, to another, exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QuietHours {
    from: NaiveTime,
    to: NaiveTime,
}

impl QuietHours {
    /// Reads `22:00-08:00`; `None` for everything else, and for a stretch of no length.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (from, to) = text.split_once('-')?;
        let (from, to) = (local_time(from)?, local_time(to)?);
        (from != to).then_some(Self { from, to })
    }

    pub(crate) fn hold(&self, at: DateTime<Utc>, zone: Tz) -> bool {
        let local = at.with_timezone(&zone).time();
        let Self { from, to } = *self;
        if from < to { (from..to).contains(&local) } else { local >= from || local < to }
    }
}

/// Reads `09:00`; `None` for everything else.
pub(crate) fn local_time(text: &str) -> Option<NaiveTime> {
    (text.len() == 5).then(|| NaiveTime::parse_from_str(text, "%H:%M").ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_night_goes_over_midnight_in_local_time() {
        let night = QuietHours::parse("22:00-08:00").unwrap();
        let holds =
            |time: &str| night.hold(DateTime::parse_from_rfc3339(time).unwrap().to_utc(), chrono_tz::Europe::Moscow);
        assert!(!holds("2026-03-10T18:59:59Z"));
        assert!(holds("2026-03-10T19:00:00Z"));
        assert!(holds("2026-03-11T04:59:59Z"));
        assert!(!holds("2026-03-11T05:00:00Z"));
        for text in ["", "22-08", "22:00", "22:00-22:00", "24:00-08:00", "9:00-10:00", "22:00-08:00-"] {
            assert_eq!(QuietHours::parse(text), None, "{text}");
        }
    }
}
