//! How far each consumer is.
//!
//! It does not judge health: a consumer with work waiting may be busy, restarting or stuck, and `doctor` knows more.

use comfy_table::Cell;
use serde::Serialize;

use super::{
    Row,
    table::{self, Column, alarming, number, optional, text},
};
use crate::terminal::Style;

/// A consumer as JetStream sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ConsumerStatus {
    /// The durable's name.
    pub name: String,
    /// Messages not yet delivered.
    pub pending: u64,
    /// Messages delivered and not yet acknowledged.
    pub ack_pending: u64,
    /// Messages delivered more than once and not yet acknowledged.
    pub redelivered: u64,
    /// Age of the oldest message that is not settled, in seconds; `None` when all are, or when it is not known.
    pub oldest_seconds: Option<u64>,
}

impl Row for ConsumerStatus {
    const COLUMNS: &'static [&'static str] = &["name", "pending", "ack_pending", "redelivered", "oldest_seconds"];
}

const COLUMNS: &[Column] = &[
    Column::Name("Consumer"),
    Column::Name("State"),
    Column::Number("Pending"),
    Column::Number("In flight"),
    Column::Number("Redelivered"),
    Column::Number("Oldest, s"),
];

/// The consumers as a table, in the order given. No totals: every consumer sees the same messages.
#[must_use]
pub fn status(consumers: &[ConsumerStatus], style: Style) -> String {
    if consumers.is_empty() {
        return "no consumers; create them with: valera-analytics topology apply\n".to_owned();
    }
    table::table(COLUMNS, consumers.iter().map(cells).collect(), None, style)
}

fn cells(consumer: &ConsumerStatus) -> Vec<Cell> {
    vec![
        text(&consumer.name),
        state(consumer),
        number(consumer.pending),
        number(consumer.ack_pending),
        number(consumer.redelivered),
        optional(consumer.oldest_seconds),
    ]
}

fn state(consumer: &ConsumerStatus) -> Cell {
    match (consumer.pending, consumer.ack_pending) {
        (0, 0) => text("drained"),
        (_, 0) => alarming(text("waiting")),
        _ => text("working"),
    }
}
