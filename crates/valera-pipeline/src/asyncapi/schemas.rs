//! The parts of the AsyncAPI document that no schema of `schemas/` says: headers, the broker's answer, alerts.
//!
//! The example of an alert is a real one, so that the official parser, which holds examples against schemas, finds a schema that
//! the type has left behind. It does not describe events.

use crate::alerts::{Alert, Phase, Severity, Withheld};
use chrono::DateTime;
use serde_json::{Map, Value, json};
use valera_events::headers::{MSG_ID, ORIGIN};

/// A step of an incident.
pub(super) fn alert_message(summary: &str) -> Value {
    json!({
        "name": "alert",
        "summary": summary,
        "contentType": "application/json",
        "headers": { "type": "object", "required": [MSG_ID], "properties": {
            MSG_ID: { "type": "string", "description": "rule/incident/phase/revision: each step stands once." }
        }},
        "payload": { "$ref": "#/components/schemas/alert" },
        "examples": [{ "payload": alert_example() }]
    })
}

/// Of an event.
pub(super) fn headers() -> Value {
    json!({
        "type": "object",
        "properties": {
            MSG_ID: {
                "type": "string",
                "description": "The event's id, or a key of the publisher's own that is unique over all events (then with \
                    occurred_at in the body). The broker takes the same one once in ten minutes."
            },
            ORIGIN: {
                "enum": ["live", "import", "retry", "demo"], "default": "live",
                "description": "How it came to be published."
            },
            "traceparent": { "type": "string", "description": "W3C Trace Context." }
        }
    })
}

pub(super) fn acknowledgement_message() -> Value {
    json!({
        "name": "PubAck",
        "summary": "The broker's answer: the message stands on the disk of the stream, or was there already.",
        "contentType": "application/json",
        "payload": { "$ref": "#/components/schemas/acknowledgement" },
        "examples": [
            { "name": "stored", "payload": { "stream": "ANALYTICS", "seq": 1042 } },
            { "name": "known", "payload": { "stream": "ANALYTICS", "seq": 1042, "duplicate": true } }
        ]
    })
}

pub(super) fn acknowledgement() -> Value {
    json!({
        "type": "object",
        "properties": {
            "stream": { "type": "string" },
            "seq": { "type": "integer", "description": "Its place in the stream; no identity." },
            "duplicate": { "type": "boolean", "description": "Known by its Nats-Msg-Id; nothing was stored." },
            "error": { "type": "object", "description": "It was not stored: send it again, or not at all." }
        }
    })
}

/// As [`Alert`] is written.
pub(super) fn alert() -> Value {
    let time = json!({ "type": "string", "format": "date-time" });
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": [
            "incident", "rule", "kind", "phase", "revision", "severity", "group", "opened_at", "at", "count", "facts"
        ],
        "properties": {
            "incident": { "type": "string", "pattern": "^[0-9a-f]{32}$", "description": "The same after a restart." },
            "rule": { "type": "string", "description": "The rule's name, or digest; also the subject's second token." },
            "kind": { "type": "string", "description": "event, burst, slow, conversion, dead_letters, lag or full; digest is a morning message." },
            "phase": { "enum": ["firing", "updated", "resolved"] },
            "revision": { "type": "integer", "minimum": 1, "description": "Counts the incident's steps." },
            "severity": { "enum": ["info", "warning", "critical"] },
            "group": { "type": "object", "additionalProperties": { "type": "string" }, "description": "What the rule groups by." },
            "opened_at": time,
            "at": time,
            "count": { "type": "integer", "minimum": 0, "description": "Events of the incident so far." },
            "facts": { "type": "object", "description": "What the kind measured, by name." },
            "withheld": {
                "enum": ["cooldown", "quiet_hours", "muted"],
                "description": "Why it is not meant for a person; absent when it is."
            }
        }
    })
}

/// One that is told nobody, so that every field is there.
fn alert_example() -> Alert {
    let at = DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(1_764_000_000);
    Alert {
        incident: "0123456789abcdef0123456789abcdef".to_owned(),
        rule: "booking".to_owned(),
        kind: "event".to_owned(),
        phase: Phase::Firing,
        revision: 1,
        severity: Severity::Info,
        group: [].into(),
        opened_at: at,
        at,
        count: 1,
        facts: Map::from_iter([("services_count".to_owned(), json!(2))]),
        withheld: Some(Withheld::Muted),
    }
}
