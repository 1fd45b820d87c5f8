//! How far each consumer is, and how each channel stands.
//!
//! It does not judge health: a consumer with work waiting may be busy, restarting or stuck, and its log knows more.

use chrono::{DateTime, Utc};
use comfy_table::Cell;
use serde::Serialize;
use valera_pipeline::progress::Progress;

use super::{
    Row,
    table::{self, Column, NONE, alarming, number, optional, text},
};
use crate::terminal::Style;

/// The stream whose consumers are channels.
pub const CHANNELS: &str = "ALERTS";

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
    /// Of which stream.
    pub stream: String,
    /// When it last settled something.
    pub last_ack_at: Option<DateTime<Utc>>,
    /// The instance that serves it, where only one does at a time; `None` also where nobody does.
    pub holder: Option<String>,
    /// When the channel last showed something.
    pub last_shown_at: Option<DateTime<Utc>>,
    /// Of the rollups: the schema in which a rebuild that was killed left something, into which their folds may still write.
    pub left_behind: Option<String>,
}

impl Row for ConsumerStatus {
    const COLUMNS: &'static [&'static str] = &[
        "name",
        "pending",
        "ack_pending",
        "redelivered",
        "oldest_seconds",
        "stream",
        "last_ack_at",
        "holder",
        "last_shown_at",
        "left_behind",
    ];
}

impl ConsumerStatus {
    /// What JetStream says of it; who serves it and what was shown, others know.
    #[must_use]
    pub fn of(stream: &str, progress: Progress) -> Self {
        Self {
            name: progress.consumer,
            pending: progress.pending,
            ack_pending: progress.ack_pending,
            redelivered: progress.redelivered,
            oldest_seconds: progress.oldest_seconds,
            stream: stream.to_owned(),
            last_ack_at: progress.last_ack_at,
            holder: None,
            last_shown_at: None,
            left_behind: None,
        }
    }
}

const COLUMNS: &[Column] = &[
    Column::Name("Consumer"),
    Column::Name("State"),
    Column::Number("Pending"),
    Column::Number("In flight"),
    Column::Number("Redelivered"),
    Column::Number("Oldest, s"),
];

const CHANNEL_COLUMNS: &[Column] = &[
    Column::Name("Channel"),
    Column::Name("State"),
    Column::Number("Pending"),
    Column::Number("In flight"),
    Column::Name("Acked, UTC"),
    Column::Name("Shown, UTC"),
    Column::Name("Served by"),
];

/// The consumers as a table, and the channels as another, each in the order given. No totals: every consumer sees the same
/// messages.
#[must_use]
pub fn status(consumers: &[ConsumerStatus], style: Style) -> String {
    if consumers.is_empty() {
        return "no consumers; create them with: valera-analytics topology apply\n".to_owned();
    }
    let (channels, others): (Vec<_>, Vec<_>) = consumers.iter().partition(|consumer| consumer.stream == CHANNELS);
    let tables = [(COLUMNS, others, cells as fn(&_) -> _), (CHANNEL_COLUMNS, channels, channel_cells)];
    let tables = tables.into_iter().filter(|(_, rows, _)| !rows.is_empty());
    let tables = tables
        .map(|(columns, rows, cells)| table::table(columns, rows.into_iter().map(cells).collect(), None, style));
    tables.collect::<Vec<_>>().join("\n")
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

fn channel_cells(channel: &ConsumerStatus) -> Vec<Cell> {
    let time =
        |at: Option<DateTime<Utc>>| at.map_or_else(|| NONE.to_owned(), |at| at.format("%m-%d %H:%M").to_string());
    vec![
        text(channel.name.trim_start_matches("notify_")),
        // One that is not configured is served by nobody, and is nothing to worry about.
        if channel.holder.is_some() { state(channel) } else { text("unserved") },
        number(channel.pending),
        number(channel.ack_pending),
        text(&time(channel.last_ack_at)),
        text(&time(channel.last_shown_at)),
        text(&channel.holder.as_deref().map_or_else(|| NONE.to_owned(), short)),
    ]
}

/// The end of an instance's id, which is what tells one from another that started with it.
fn short(holder: &str) -> String {
    let from = holder.char_indices().rev().nth(7).map_or(0, |(index, _)| index);
    holder[from..].to_owned()
}

fn state(consumer: &ConsumerStatus) -> Cell {
    match (consumer.pending, consumer.ack_pending) {
        (0, 0) => text("drained"),
        (_, 0) => alarming(text("waiting")),
        _ => text("working"),
    }
}
