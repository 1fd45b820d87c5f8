//! What a receiver's answer means for the message, and how long to leave the receiver alone after it.
//!
//! An answer that only the operator can mend (a redirect, a wrong path, a wrong credential) is asked for again, slowly and
//! for ever, because then nothing of an evening is lost to a typing error. One that says that this message will never be
//! taken ends it, but not at the first time: receivers say 400 also while they are being deployed. It does not send and
//! does not wait.

use chrono::{DateTime, Utc};
use reqwest::StatusCode;
use std::time::Duration;

/// The shortest and the longest time that a receiver may ask to be left alone.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(600);
/// For one that asks without saying how long.
const UNSAID: Duration = Duration::from_secs(5);

/// What an answer means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Taken,
    /// Not now, but after so long.
    Later(Duration),
    /// The receiver is out of order; again soon.
    Broken,
    /// Until somebody mends it, here or there; again slowly.
    Misplaced,
    /// Not this message; given up when it is said often enough.
    Unwanted,
    /// The receiver wants no more, for good.
    Gone,
}

impl Answer {
    /// `retry_after` is the header of that name, `now` what a date in it is compared with.
    pub(super) fn of(status: StatusCode, retry_after: Option<&str>, now: DateTime<Utc>) -> Self {
        match status.as_u16() {
            200..300 => Self::Taken,
            410 => Self::Gone,
            429 => Self::Later(asked_for(retry_after, now).unwrap_or(UNSAID)),
            503 => asked_for(retry_after, now).map_or(Self::Broken, Self::Later),
            400 | 413 | 415 | 422 => Self::Unwanted,
            408 | 425 | 500.. => Self::Broken,
            _ => Self::Misplaced,
        }
    }
}

/// Seconds or a date (RFC 9110, 10.2.3), within bounds; nothing when it is neither.
fn asked_for(retry_after: Option<&str>, now: DateTime<Utc>) -> Option<Duration> {
    let text = retry_after?.trim();
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let asked = if is_number {
        text.parse().map_or(LONGEST, Duration::from_secs)
    } else {
        let date = DateTime::parse_from_rfc2822(text).ok()?;
        (date.to_utc() - now).to_std().unwrap_or(SHORTEST)
    };
    Some(asked.clamp(SHORTEST, LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<&str>) -> Answer {
        let now = "2026-03-10T12:00:00Z".parse().unwrap();
        Answer::of(StatusCode::from_u16(status).unwrap(), retry_after, now)
    }

    #[test]
    fn only_2xx_means_that_a_message_was_taken() {
        for status in 100..1000 {
            assert_eq!(answer(status, None) == Answer::Taken, (200..300).contains(&status), "{status}");
        }
        for status in [301, 302, 303, 304, 307, 308, 401, 403, 404, 405] {
            assert_eq!(answer(status, None), Answer::Misplaced, "{status}");
        }
        assert_eq!(answer(410, None), Answer::Gone);
        assert_eq!(answer(400, None), Answer::Unwanted);
        assert_eq!(answer(500, Some("7")), Answer::Broken);
    }

    #[test]
    fn a_receiver_is_left_alone_for_as_long_as_it_asks_within_bounds() {
        let seconds = |seconds| Answer::Later(Duration::from_secs(seconds));
        for (asked, after) in [
            (Some("7"), 7),
            (Some(" 7 "), 7),
            (Some("0"), 1),
            (Some("1000000000"), 600),
            (Some("99999999999999999999999"), 600),
            (Some("Tue, 10 Mar 2026 12:00:30 GMT"), 30),
            (Some("Tue, 10 Mar 2026 11:00:00 GMT"), 1),
            (Some("Sun, 10 Mar 2126 11:00:00 GMT"), 600),
            (Some("-3"), 5),
            (Some("soon"), 5),
            (Some(""), 5),
            (None, 5),
        ] {
            assert_eq!(answer(429, asked), seconds(after), "{asked:?}");
        }
        assert_eq!(answer(503, Some("20")), seconds(20));
        assert_eq!(answer(503, Some("soon")), Answer::Broken);
    }
}
