//! What the rollups need to know of one event: the buckets it falls into and what it adds to them.
//!
//! Times are cut here, by the calendar that Postgres filled. Text keys are cut to 200 characters, in fold and recount
//! alike, because an index refuses a model name of 9 kB. Nothing passes through a float between wire and sum. The step
//! of the funnel is the only thing a chat's row learns of an event's name.

use crate::store::Calendar;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use std::str::FromStr;
use valera_events::Event;

/// A response slower than this counts as slow, in milliseconds.
const SLOW_MS: i32 = 3_000;

/// The longest text key, in characters.
const LONGEST_KEY: usize = 200;

/// A bucket of everything that is not per chat: no person in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Dimensions {
    pub(super) hour: DateTime<Utc>,
    pub(super) day: NaiveDate,
    pub(super) event_name: String,
    pub(super) platform: String,
    pub(super) model_used: Option<String>,
    pub(super) bin: Option<i16>,
    pub(super) service_name: Option<String>,
    pub(super) error_class: Option<String>,
    pub(super) context: Option<String>,
}

/// A step of the funnel, in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Dialog,
    Suggestion,
    ServiceAdded,
    CartConfirmed,
    Booking,
}

/// One event, as the rollups see it.
#[derive(Debug)]
pub(super) struct Fact {
    pub(super) dimensions: Dimensions,
    pub(super) week: NaiveDate,
    pub(super) chat_id: i64,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) step: Option<Step>,
    pub(super) is_error: bool,
    pub(super) duration_ms: Option<i32>,
    pub(super) confidence: Option<BigDecimal>,
}

impl Fact {
    /// `event` has been pseudonymised: a rollup shows what the raw table shows.
    pub(super) fn of(event: &Event<'_>, calendar: &Calendar) -> Self {
        let calendar_day = calendar.day(event.occurred_at);
        let key = |applies: bool, property: &str| applies.then(|| text_key(event.text(property)));
        let is_response = event.name == "ai_response_time";
        let is_error = event.name == "error_occurred";
        let names_service = matches!(event.name, "service_suggested" | "ai_suggestion_accepted" | "service_added");
        let duration_ms =
            event.integer("duration_ms").filter(|_| is_response).and_then(|duration| i32::try_from(duration).ok());
        let confidence = event.number("confidence_score").filter(|_| event.name == "service_suggested");
        Self {
            dimensions: Dimensions {
                hour: hour(event.occurred_at),
                day: calendar_day.day,
                event_name: event.name.to_owned(),
                platform: event.platform.clone().into_owned(),
                model_used: key(is_response, "model_used"),
                bin: duration_ms.map(response_bin),
                service_name: key(names_service, "service_name"),
                error_class: key(is_error, "error_class"),
                context: key(is_error, "context"),
            },
            week: calendar_day.week,
            chat_id: event.chat_id,
            occurred_at: event.occurred_at,
            step: step(event.name),
            is_error,
            duration_ms,
            confidence: confidence.and_then(|spelling| BigDecimal::from_str(spelling).ok()),
        }
    }

    pub(super) fn is_slow(&self) -> bool {
        self.duration_ms.is_some_and(|duration| duration > SLOW_MS)
    }
}

fn step(event_name: &str) -> Option<Step> {
    match event_name {
        "ai_dialog_started" => Some(Step::Dialog),
        "service_suggested" => Some(Step::Suggestion),
        "service_added" => Some(Step::ServiceAdded),
        "cart_confirmed" => Some(Step::CartConfirmed),
        "booking_request_created" => Some(Step::Booking),
        _ => None,
    }
}

fn text_key(text: Option<&str>) -> String {
    text.unwrap_or_default().chars().take(LONGEST_KEY).collect()
}

/// The UTC hour.
fn hour(at: DateTime<Utc>) -> DateTime<Utc> {
    let into_hour = at.timestamp_micros().rem_euclid(3_600_000_000);
    at - TimeDelta::microseconds(into_hour)
}

/// The bin of a duration in milliseconds, at least 0: exact below 128 ms, then 64 an octave, so that a bin's middle is
/// within 0.8 % of what is in it. `rollups.response_bin` computes the same.
fn response_bin(duration_ms: i32) -> i16 {
    let duration = duration_ms.max(0);
    let shift = (25 - duration.leading_zeros().cast_signed()).max(0);
    i16::try_from(shift * 64 + (duration >> shift)).unwrap_or(i16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_exact_below_128_ms_and_then_64_an_octave() {
        let bins = [0, 1, 127, 128, 129, 130, 255, 256, 3_000, i32::MAX].map(response_bin);
        assert_eq!(bins, [0, 1, 127, 128, 128, 129, 191, 192, 413, 1663]);
    }

    #[test]
    fn an_hour_is_cut_in_utc_also_before_1970() {
        let at = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
        assert_eq!(hour(at("2026-03-29T01:59:59.999999Z")), at("2026-03-29T01:00:00Z"));
        assert_eq!(hour(at("1969-12-31T23:59:59Z")), at("1969-12-31T23:00:00Z"));
    }

    #[test]
    fn a_text_key_is_cut_by_characters() {
        assert_eq!(text_key(Some(&"ж".repeat(10_000))), "ж".repeat(200));
        assert_eq!(text_key(None), "");
    }
}
