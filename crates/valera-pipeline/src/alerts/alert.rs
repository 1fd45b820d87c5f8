//! What stands on `alerts.<rule>`: one step in the life of an incident.
//!
//! Detection writes it, every channel reads it, and operators read it with `nats stream view ALERTS`; so it is a
//! contract and says all that a message to a person needs, without a look at any table. It carries counts, ids, model
//! names and error classes. It does not carry a chat, a text or another personal value.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Where an incident stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Firing,
    Updated,
    Resolved,
}

impl Phase {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Updated => "updated",
            Self::Resolved => "resolved",
        }
    }
}

/// How much it matters, and so whether quiet hours hold it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    Info,
    Warning,
    Critical,
}

/// Why an alert that is on the stream was not meant for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Withheld {
    Cooldown,
    QuietHours,
    Muted,
}

/// One step of one incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Hash of rule, group and what opened it: 32 hexadecimal digits, the same after a restart.
    pub incident: String,
    /// The rule's name in the rule file, or `digest`; also the subject's second token.
    pub rule: String,
    /// The rule's kind: `event`, `burst`, `slow`, `conversion`, `dead_letters`, `lag` or `full`; and `digest`, which no rule has.
    pub kind: String,
    pub phase: Phase,
    /// Counts the steps of the incident, from 1.
    pub revision: u32,
    pub severity: Severity,
    /// What the rule groups by, such as `error_class`; empty when it does not.
    pub group: BTreeMap<String, String>,
    pub opened_at: DateTime<Utc>,
    /// When this step happened: the time of receipt of the event that led to it, the full minute at which it was judged,
    /// or when the consumer was asked.
    pub at: DateTime<Utc>,
    /// Events that the incident is made of so far; of a `lag`, the most that were unsettled when it was asked, of `full` those
    /// in the stream.
    pub count: u64,
    /// What the kind measured: numbers and identifiers, by name.
    pub facts: serde_json::Map<String, serde_json::Value>,
    /// Absent when a person is to be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withheld: Option<Withheld>,
}

impl Alert {
    /// The `Nats-Msg-Id` under which the broker takes this step once.
    #[must_use]
    pub fn msg_id(&self) -> String {
        format!("{}/{}/{}/{}", self.rule, self.incident, self.phase.as_str(), self.revision)
    }
}
