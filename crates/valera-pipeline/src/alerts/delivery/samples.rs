//! A step of each kind of rule, to try templates on, and to show people what they would get.
//!
//! Beside the kinds' own tests, since they have to hold every fact that a kind puts into an alert.

use crate::alerts::{Alert, Phase, Severity};
use chrono::{DateTime, TimeDelta};
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
