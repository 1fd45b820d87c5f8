//! Steps and messages, made by hand.

use serde_json::json;
use valera_pipeline::alerts::{Alert, Phase, delivery::channel::Message};

/// A step of the incident of that number.
pub(crate) fn step(incident: u32, phase: Phase, revision: u32) -> Alert {
    let step = json!({
        "incident": format!("{incident:032x}"), "rule": "error", "kind": "burst", "phase": phase, "revision": revision,
        "severity": "critical", "group": {"error_class": "Faraday::TimeoutError"},
        "opened_at": "2026-03-10T12:00:00.000004Z", "at": "2026-03-10T12:00:41.120881Z",
        "count": revision, "facts": {"window_seconds": 600},
    });
    serde_json::from_value(step).unwrap()
}

/// A message that tells of it.
pub(crate) fn message(alert: Alert) -> Message {
    let title = format!("{}: {}", alert.rule, alert.phase.as_str());
    Message {
        key: alert.msg_id(),
        text: format!("{title}\nДля людей: {} раз", alert.count),
        html: format!("<b>{title}</b>"),
        title,
        alert: Some(alert),
        missed: Vec::new(),
    }
}
