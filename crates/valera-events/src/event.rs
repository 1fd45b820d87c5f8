//! An accepted event, and what is still known of a rejected one.
use std::borrow::Cow;
use chrono::{DateTime, Utc};
use uuid::Uuid;
use crate::{catalogue::EventSpec, headers::Origin, json::Node, keys::{ContentHash, ContentKey, PseudonymKeys}, reason::Reason};

/// Where and when JetStream received the message: what a derived id hangs on when the message names no id of its own.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> { pub stream: &'a str, pub sequence: u64, pub received_at: DateTime<Utc> }

/// An event that `check` accepted. Borrows the body where it can.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// As sent in the body; [`Event::event_id`] derives one where it is absent.
    pub sent_id: Option<Uuid>,
    pub name: &'a str,
    /// `None` for a name outside the catalogue.
    pub spec: Option<&'static EventSpec>,
    pub chat_id: i64,
    /// Whole microseconds.
    pub occurred_at: DateTime<Utc>,
    pub session_id: Option<Cow<'a, str>>,
    pub platform: Cow<'a, str>,
    /// Top-level members as sent, in order; decimals that came as strings are still strings here.
    pub properties: Vec<(Cow<'a, str>, Node<'a>)>,
    pub msg_id: Option<&'a str>,
    pub origin: Origin,
}

impl<'a> Event<'a> {
    pub fn event_id(&self, arrival: &Arrival<'_>) -> Uuid { let _ = arrival; self.sent_id.unwrap_or_default() }
    pub fn content_hash(&self, key: &ContentKey) -> ContentHash { let _ = key; [0; 16] }
    /// Replaces personal values by pseudonyms and scrubs free text, in place. Idempotent.
    pub fn pseudonymise(&mut self, keys: &PseudonymKeys) { let _ = keys; }
    /// The properties as the JSON text that is stored: decimals as numbers.
    pub fn write_properties(&self, out: &mut Vec<u8>) { out.extend_from_slice(b"{}") }
    /// A declared text property as rollups key it; `None` when absent or null.
    pub fn text(&self, property: &str) -> Option<&str> { let _ = property; None }
    /// A declared integer property.
    pub fn integer(&self, property: &str) -> Option<i64> { let _ = property; None }
    /// A declared number or decimal property, in the spelling it was sent in (a JSON number).
    pub fn number(&self, property: &str) -> Option<&str> { let _ = property; None }
}

/// What is known of an event that `check` rejected.
#[derive(Debug, Clone)]
pub struct Rejection {
    /// At least one.
    pub reasons: Vec<Reason>,
    /// From the subject, when it is a legal name.
    pub event_name: Option<String>,
    /// The id in the body when it is a UUIDv7 and, with its time in range, usable.
    pub sent_id: Option<Uuid>,
    /// When it parsed and is in range.
    pub occurred_at: Option<DateTime<Utc>>,
}

impl Rejection {
    /// The id of its dead letter's event: as sent, else derived from `occurred_at` if known, else from when it was received.
    pub fn event_id(&self, msg_id: Option<&str>, arrival: &Arrival<'_>) -> Uuid { let _ = (msg_id, arrival); self.sent_id.unwrap_or_default() }
}
