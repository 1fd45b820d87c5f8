//! A step of each kind of rule, and days, to try templates on, and to show people what they would get.
//!
//! Beside the kinds' own tests, since they have to hold every fact that a kind puts into an alert.

use crate::{
    alerts::{Alert, Phase, Severity},
    store::reports::{DayFunnel, Digest, Leaving, Responses, Step, Tally, Usual},
};
use chrono::{DateTime, NaiveDate, TimeDelta};
use serde_json::{Value, json};

/// Each kind, firing and resolved where it can be.
pub(super) fn all() -> Vec<Alert> {
    let kinds = [
        (
            "booking",
            "event",
            json!({}),
            json!({"booking_id": 4711, "services_count": 2, "estimated_total": "15000.50"}),
        ),
        (
            "error",
            "burst",
            json!({"error_class": "Faraday::TimeoutError"}),
            json!({"context": "webhook_processing", "window_seconds": 600}),
        ),
        (
            "slow_responses",
            "slow",
            json!({"model_used": "deepseek-chat"}),
            json!({"responses": 120, "slow_responses": 30, "slow_percent": 25, "slowest_ms": 8700, "over_ms": 3000, "window_seconds": 900}),
        ),
        (
            "bookings_stopped",
            "conversion",
            json!({}),
            json!({"from_events": 60, "to_events": 0, "percent": 0, "below_percent": 2, "window_seconds": 21600}),
        ),
        (
            "dead_letters",
            "dead_letters",
            json!({"event": "booking_request_created"}),
            json!({"reason": "missing_property", "in_a_row": 20}),
        ),
        ("lag", "lag", json!({"consumer": "persister"}), json!({"oldest_seconds": 400, "unsettled": 1200})),
        (
            "stream_full",
            "full",
            json!({"stream": "ANALYTICS"}),
            json!({"percent": 81, "bytes": 6_957_847_019_u64, "max_bytes": 8_589_934_592_u64}),
        ),
    ];
    let phases = [Phase::Firing, Phase::Updated, Phase::Resolved];
    let samples = kinds.iter().flat_map(|kind| phases.map(|phase| sample(kind, phase)));
    samples.collect()
}

fn sample((rule, kind, group, facts): &(&str, &str, Value, Value), phase: Phase) -> Alert {
    let group = group.as_object().into_iter().flatten();
    let opened_at = DateTime::UNIX_EPOCH;
    Alert {
        incident: "0".repeat(32),
        rule: (*rule).to_owned(),
        kind: (*kind).to_owned(),
        phase,
        revision: 1,
        severity: Severity::Warning,
        group: group.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect(),
        opened_at,
        at: opened_at + TimeDelta::minutes(41),
        count: 1_200,
        facts: facts.as_object().cloned().unwrap_or_default(),
        withheld: None,
    }
}

/// A day with everything, one with the least that is not nothing, and one with nothing.
pub(super) fn digests() -> [Digest; 3] {
    let day = NaiveDate::default();
    let (funnel, errors) = (DayFunnel::default(), Tally::default());
    let (responses, letters) = (Responses::default(), Tally::default());
    let nothing = Digest { day, funnel, usual: None, leaving: None, responses, errors, letters };
    let least = Digest { funnel: DayFunnel { chats: 1, ..DayFunnel::default() }, ..nothing.clone() };
    let top = "<Faraday::TimeoutError & others>".to_owned();
    let tally = Tally { total: 12_345, kinds: 2, top, top_total: 12_000 };
    let rate = Some("33.33".to_owned());
    let everything = Digest {
        funnel: DayFunnel {
            chats: 60,
            dialogs: 50,
            bookings: 12,
            conversion_rate: rate.clone(),
            ..DayFunnel::default()
        },
        usual: Some(Usual { weekdays: 8, bookings: "10.5".to_owned(), conversion_rate: rate }),
        leaving: Some(Leaving { from: Step::Dialog, to: Step::Suggestion, came: 50, went_on: 30 }),
        responses: Responses { responses: 400, slow_responses: 7, p50_ms: Some(900), p95_ms: Some(2_450) },
        errors: tally.clone(),
        letters: tally,
        ..nothing.clone()
    };
    [everything, least, nothing]
}
