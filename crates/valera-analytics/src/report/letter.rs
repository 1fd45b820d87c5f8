//! Single dead letters: a line each, or one whole.
//!
//! One whole letter holds the bytes as they were sent; whoever prints it says who may read it.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use uuid::Uuid;
use valera_pipeline::store::letters::Kept;

use super::table::{self, Column, harmless, number, two_lines};
use crate::terminal::Style;

/// A letter without its payload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct LetterLine {
    /// What `show` and `retry` take.
    pub id: Uuid,
    /// The event's id: as sent, or derived.
    pub event_id: Uuid,
    /// The event name; empty where the subject held no legal one.
    pub event_name: String,
    /// When JetStream received the message.
    pub received_at: DateTime<Utc>,
    /// open, retried, closed or discarded.
    pub status: String,
    /// Why it is closed or discarded.
    pub status_reason: Option<String>,
    /// Retries so far.
    pub attempts: i32,
    /// Whether the payload is gone, and the letter can no longer be retried.
    pub payload_cleared: bool,
    /// The codes of its reasons.
    pub reasons: Vec<String>,
}

const COLUMNS: &[Column] = &[
    Column::Name("Letter, received (UTC)"),
    Column::Text("Event, reasons"),
    Column::Text("Status"),
    Column::Number("Retries"),
];

/// Letters as a table, in the order given.
#[must_use]
pub fn letter_lines(letters: &[LetterLine], style: Style) -> String {
    let rows = letters.iter().map(|letter| {
        let event_name = if letter.event_name.is_empty() { table::NONE } else { &letter.event_name };
        let cleared = if letter.payload_cleared { "payload cleared" } else { "" };
        vec![
            two_lines(&letter.id.to_string(), &letter.received_at.format("%F %T").to_string()),
            two_lines(event_name, &letter.reasons.join(", ")),
            two_lines(&letter.status, letter.status_reason.as_deref().unwrap_or(cleared)),
            number(letter.attempts),
        ]
    });
    table::table(COLUMNS, rows.collect(), None, style)
}

/// One letter for people: every field, and the payload as text, or escaped where it is none.
#[must_use]
pub fn letter(letter: &Kept) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| out.push_str(&format!("{name:<10}{}\n", harmless(value)));
    line("letter", &letter.id.to_string());
    line("event", letter.event_name.as_deref().unwrap_or(table::NONE));
    line("event id", &letter.event_id.to_string());
    line("subject", &letter.subject);
    line("received", &letter.received_at.to_rfc3339_opts(SecondsFormat::Micros, true));
    line("sequence", &letter.stream_seq.to_string());
    let why = letter.status_reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    line("status", &format!("{}{why}", letter.status));
    let retried_as = letter.retried_as.map(|id| format!(", the last as event {id}")).unwrap_or_default();
    line("retries", &format!("{}{retried_as}", letter.attempts));
    for reason in letter.reasons.iter() {
        let at = if reason.path.is_empty() { String::new() } else { format!(" at {}", reason.path) };
        line("reason", &format!("{}{at}: expected {}", reason.reason, reason.expected));
    }
    for (name, values) in letter.headers.iter() {
        values.iter().for_each(|value| line("header", &format!("{name}: {value}")));
    }
    match &letter.payload_cleared_at {
        Some(at) => line("payload", &format!("cleared at {}", at.to_rfc3339_opts(SecondsFormat::Secs, true))),
        None => line("payload", &payload(&letter.payload)),
    }
    out
}

/// One letter for programs. The payload is text where it is UTF-8, and escaped as Rust escapes bytes where it is not.
#[must_use]
pub fn letter_json(letter: &Kept) -> Value {
    json!({
        "id": letter.id,
        "event_id": letter.event_id,
        "event_name": letter.event_name,
        "subject": letter.subject,
        "reasons": letter.reasons.0,
        "headers": letter.headers.0,
        "stream_seq": letter.stream_seq,
        "received_at": letter.received_at,
        "status": letter.status,
        "status_reason": letter.status_reason,
        "attempts": letter.attempts,
        "retried_as": letter.retried_as,
        "updated_at": letter.updated_at,
        "payload_cleared_at": letter.payload_cleared_at,
        "payload": payload(&letter.payload),
        "payload_is_text": str::from_utf8(&letter.payload).is_ok(),
    })
}

fn payload(bytes: &[u8]) -> String {
    match str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}
