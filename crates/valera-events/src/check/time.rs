//! When an event occurred: reading RFC 3339, the window around its arrival, and the id's time.
//!
//! The window hangs on the moment JetStream received the message, never on the moment of processing. Times are cut,
//! not rounded, to microseconds, which is what Postgres keeps.
//!
//! It does not know a time zone.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use uuid::Uuid;

use super::envelope::{Envelope, Field};
use crate::headers::Origin;
use crate::id;
use crate::json::Path;
use crate::reason::{ReasonCode, Reasons};

/// How far a clock may run ahead.
const AHEAD: TimeDelta = TimeDelta::minutes(10);
/// How late an event may come.
const BEHIND: TimeDelta = TimeDelta::hours(366 * 24);
/// How far the id's time may be off `occurred_at`.
pub(crate) const ID_DRIFT: TimeDelta = TimeDelta::hours(24);
/// 2015-01-01T00:00:00Z, in seconds since 1970: how far back an import reaches.
const IMPORT_FROM: i64 = 1_420_070_400;

/// The times an event may have occurred at, both ends included.
pub(super) struct Window {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
    import: bool,
}

impl Window {
    pub(super) fn new(received_at: DateTime<Utc>, origin: Origin) -> Self {
        let import = origin == Origin::Import;
        let back =
            if import { DateTime::from_timestamp(IMPORT_FROM, 0) } else { received_at.checked_sub_signed(BEHIND) };
        Self {
            from: back.unwrap_or(DateTime::<Utc>::MIN_UTC),
            until: received_at.checked_add_signed(AHEAD).unwrap_or(DateTime::<Utc>::MAX_UTC),
            import,
        }
    }

    fn holds(&self, time: DateTime<Utc>) -> bool {
        (self.from..=self.until).contains(&time)
    }

    fn expected(&self) -> String {
        let back = if self.import { "on or after 2015-01-01" } else { "at most 366 days before" };
        let (from, until) = (self.from.format("%FT%TZ"), self.until.format("%FT%TZ"));
        format!("a time {back} and at most 10 minutes after the event was received, here {from} to {until}")
    }
}

/// What the envelope says of identity and time.
pub(super) struct When {
    /// Usable, with its time in range.
    pub(super) sent_id: Option<Uuid>,
    /// In range: as sent, else the id's.
    pub(super) sent_at: Option<DateTime<Utc>>,
    /// As above, else when the message was received.
    pub(super) occurred_at: Option<DateTime<Utc>>,
}

/// Relates the id's time and `occurred_at` to each other and to the window.
pub(super) fn resolve(
    envelope: &Envelope<'_>,
    received_at: DateTime<Utc>,
    window: &Window,
    faults: &mut Reasons,
) -> When {
    let (id_path, time_path) = (Path::ROOT.key("event_id"), Path::ROOT.key("occurred_at"));
    let mut in_window = |time: DateTime<Utc>, path: &Path<'_>| {
        let inside = window.holds(time);
        if !inside {
            faults.push(ReasonCode::OccurredAtOutOfRange, path, || window.expected());
        }
        inside.then_some(time)
    };
    let sent = match envelope.event_id {
        Field::Value(id) => id::time(id).map(|time| (id, time)),
        Field::Absent | Field::Bad => None,
    };
    match (sent, envelope.occurred_at) {
        (Some((id, id_time)), Field::Value(time)) => {
            let at = in_window(time, &time_path);
            let near = (id_time - time).abs() <= ID_DRIFT;
            if !near {
                faults.push(ReasonCode::BadEventId, &id_path, || {
                    "a UUIDv7 minted within a day of occurred_at: its time says which partition holds it".into()
                });
            }
            // With a time that cannot be used, the id is judged as if it stood alone.
            let usable = if at.is_some() { near } else { window.holds(id_time) };
            When { sent_id: usable.then_some(id), sent_at: at, occurred_at: at }
        }
        (Some((id, id_time)), Field::Absent) => {
            let at = in_window(id_time, &id_path);
            When { sent_id: at.map(|_| id), sent_at: at, occurred_at: at }
        }
        (Some((id, id_time)), Field::Bad) => {
            When { sent_id: window.holds(id_time).then_some(id), sent_at: None, occurred_at: None }
        }
        (None, Field::Value(time)) => {
            let at = in_window(time, &time_path);
            When { sent_id: None, sent_at: at, occurred_at: at }
        }
        (None, Field::Absent) => When { sent_id: None, sent_at: None, occurred_at: Some(cut(received_at)) },
        (None, Field::Bad) => When { sent_id: None, sent_at: None, occurred_at: None },
    }
}

/// Cuts to whole microseconds.
pub(crate) fn cut(time: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(time.timestamp_micros()).unwrap_or(time)
}

/// Reads an RFC 3339 time (section 5.6), cut to microseconds. `t` and `z` may be lower case; any number of fractional
/// digits is allowed. `None` for second 60, which Postgres would roll over into the next minute, and for everything
/// else.
pub fn parse_rfc3339(text: &str) -> Option<DateTime<Utc>> {
    let (head, tail) = text.as_bytes().split_at_checked(19)?;
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if separators.iter().any(|(at, byte)| head[*at] != *byte) || !matches!(head[10], b'T' | b't') {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(digits(&head[..4])? as i32, digits(&head[5..7])?, digits(&head[8..10])?)?;
    let (micros, offset) = fraction(tail)?;
    // Chrono takes a leap second only as 59 and a fraction beyond a second, so 60 is refused here.
    let (hour, minute, second) = (digits(&head[11..13])?, digits(&head[14..16])?, digits(&head[17..])?);
    let local = date.and_hms_micro_opt(hour, minute, second, micros)?;
    Some(local.checked_sub_signed(offset_of(offset)?)?.and_utc())
}

/// The microseconds in `.123456…`, 0 where there is no fraction, and what follows.
fn fraction(tail: &[u8]) -> Option<(u32, &[u8])> {
    let Some(rest) = tail.strip_prefix(b".") else {
        return Some((0, tail));
    };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let kept = &rest[..length.min(6)];
    let micros = digits(kept)? * 10_u32.pow(6 - kept.len() as u32);
    Some((micros, &rest[length..]))
}

fn offset_of(text: &[u8]) -> Option<TimeDelta> {
    let (sign, hours, minutes) = match text {
        b"Z" | b"z" => return Some(TimeDelta::zero()),
        [sign @ (b'+' | b'-'), hours @ .., b':', m1, m2] if hours.len() == 2 => {
            (sign, digits(hours)?, digits(&[*m1, *m2])?)
        }
        _ => return None,
    };
    if hours > 23 || minutes > 59 {
        return None;
    }
    let minutes = i64::from(hours * 60 + minutes);
    Some(TimeDelta::minutes(if *sign == b'+' { minutes } else { -minutes }))
}

/// A run of ASCII digits, at least one, at most nine.
fn digits(text: &[u8]) -> Option<u32> {
    let plain = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    plain.then(|| text.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_rfc_3339_allows_and_cut_to_microseconds() {
        for (text, micros) in [
            ("2025-11-01T12:00:00Z", 1_761_998_400_000_000),
            ("2025-11-01t12:00:00z", 1_761_998_400_000_000),
            ("2025-11-01T15:00:00+03:00", 1_761_998_400_000_000),
            ("2025-11-01T11:30:00-00:30", 1_761_998_400_000_000),
            ("2025-11-01T12:00:00-00:00", 1_761_998_400_000_000),
            ("2025-11-01T12:00:00.5Z", 1_761_998_400_500_000),
            ("2025-11-01T12:00:00.1234569999999999999999Z", 1_761_998_400_123_456),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000_000),
        ] {
            assert_eq!(parse_rfc3339(text).map(|time| time.timestamp_micros()), Some(micros), "{text}");
        }
        assert!(parse_rfc3339("0000-01-01T00:00:00+23:59").is_some());
        assert!(parse_rfc3339("9999-12-31T23:59:59.999999-23:59").is_some());
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "2025-11-01",
            "2025-11-01 12:00:00Z",
            "2025-11-01T12:00:00",
            "2025-11-01T12:00Z",
            "2025-11-01T12:00:60Z",
            "2025-11-01T23:59:60Z",
            "2025-11-01T24:00:00Z",
            "2025-11-01T12:60:00Z",
            "2025-02-29T12:00:00Z",
            "2025-13-01T12:00:00Z",
            "2025-11-01T12:00:00.Z",
            "2025-11-01T12:00:00,5Z",
            "2025-11-01T12:00:00+3:00",
            "2025-11-01T12:00:00+0300",
            "2025-11-01T12:00:00+24:00",
            "2025-11-01T12:00:00+03:60",
            "2025-11-01T12:00:00Z ",
            " 2025-11-01T12:00:00Z",
            "+2025-11-01T12:00:00Z",
            "12025-11-01T12:00:00Z",
            "-001-11-01T12:00:00Z",
            "2025-11-01T12:00:00ZZ",
            "1761998400",
            "2025-11-0١T12:00:00Z",
            "2025-11-01T12:00:00.5+03:00:00",
        ] {
            assert_eq!(parse_rfc3339(text), None, "{text}");
        }
    }
}
