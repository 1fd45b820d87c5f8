//! One moment, one place and one key for the tests of a whole verdict.

use chrono::{DateTime, Utc};
use valera_events::{Arrival, ContentKey, Event, Headers, Verdict, check};

pub(crate) fn received_at() -> DateTime<Utc> {
    "2025-11-01T12:00:00.123456789Z".parse().unwrap()
}

pub(crate) fn arrival() -> Arrival<'static> {
    Arrival { stream: "ANALYTICS", sequence: 7, received_at: received_at() }
}

pub(crate) fn content_key() -> ContentKey {
    ContentKey::from_bytes([7; 32])
}

/// The verdict on a live message.
pub(crate) fn verdict<'a>(subject: &'a str, body: &'a [u8]) -> Verdict<'a> {
    check(subject, &Headers::default(), body, received_at())
}

pub(crate) fn accept<'a>(subject: &'a str, body: &'a [u8]) -> Event<'a> {
    match verdict(subject, body) {
        Verdict::Accepted(event) => event,
        Verdict::Rejected(rejection) => {
            panic!("{:?}: {}", rejection.reasons, String::from_utf8_lossy(body))
        }
    }
}
