//! Replays: how far each is, what became of its messages, and what one would do.
//!
//! It does not know what a replay is for.

use super::{
    Row,
    table::{self, Column, NONE, alarming, figure, number, text, two_lines},
};
use crate::terminal::Style;
use comfy_table::Cell;
use valera_pipeline::{replay::PreviewRow, store::replays::ReplayRow};

impl Row for ReplayRow {
    const COLUMNS: &'static [&'static str] = &[
        "name",
        "consumer",
        "subject",
        "asked_from",
        "asked_to",
        "first_seq",
        "last_seq",
        "position",
        "status",
        "at_work",
        "stored",
        "duplicate",
        "conflicting",
        "rejected",
        "expired",
        "erased",
        "updated_at",
        "files",
        "read_bytes",
    ];
}

impl Row for PreviewRow {
    const COLUMNS: &'static [&'static str] =
        &["day", "event_name", "messages", "new", "duplicate", "conflicting", "rejected", "expired"];
}

/// The row with the state that the table shows.
#[must_use]
pub fn with_state(row: ReplayRow) -> ReplayRow {
    ReplayRow { status: row.state().to_owned(), ..row }
}

const REPLAYS: &[Column] = &[
    Column::Named("Replay, into"),
    Column::Name("State"),
    Column::Number("From"),
    Column::Number("To"),
    Column::Number("Done %"),
    Column::Number("New"),
    Column::Number("Known"),
    Column::Number("Refused"),
];

/// The replays as a table, in the order given.
#[must_use]
pub fn replays(replays: &[ReplayRow], style: Style) -> String {
    if replays.is_empty() {
        return "no replays\n".to_owned();
    }
    table::table(REPLAYS, replays.iter().map(cells).collect(), None, style)
}

fn cells(replay: &ReplayRow) -> Vec<Cell> {
    vec![
        two_lines(&replay.name, &replay.consumer),
        match replay.state() {
            interrupted @ "interrupted" => alarming(text(interrupted)),
            state => text(state),
        },
        number(replay.first_seq),
        number(replay.last_seq),
        figure(done(replay)),
        number(replay.stored),
        number(replay.duplicate),
        number(replay.conflicting + replay.rejected + replay.expired + replay.erased),
    ]
}

fn done(replay: &ReplayRow) -> String {
    let (part, whole) = match &replay.files {
        Some(_) => (replay.read_bytes, i64::try_from(replay.bytes()).unwrap_or(i64::MAX)),
        None => (replay.position + 1 - replay.first_seq, replay.last_seq + 1 - replay.first_seq),
    };
    super::percent(part, whole).unwrap_or_else(|| NONE.to_owned())
}

/// One line on how far a replay came.
#[must_use]
pub fn replayed(replay: &ReplayRow) -> String {
    let ended = [
        (replay.stored, "new"),
        (replay.duplicate, "known"),
        (replay.conflicting, "conflicting"),
        (replay.rejected, "rejected"),
        (replay.expired, "expired"),
        (replay.erased, "erased"),
    ];
    let all: i64 = ended.iter().map(|(count, _)| count).sum();
    let parts: Vec<_> = ended.iter().filter(|(count, _)| *count > 0).map(|(n, what)| format!("{n} {what}")).collect();
    let parts = if parts.is_empty() { "nothing".to_owned() } else { parts.join(" + ") };
    let ReplayRow { name, consumer, position, last_seq, .. } = replay;
    let state = replay.state();
    let upto = match &replay.files {
        Some(_) => format!("up to line {position}"),
        None => format!("up to {position} of {last_seq}"),
    };
    format!("{name}: {state} at {} % ({upto}); {all} messages into {consumer} = {parts}\n", done(replay))
}

const PREVIEW: &[Column] = &[
    Column::Text("Day, event"),
    Column::Number("Messages"),
    Column::Number("New"),
    Column::Number("Known"),
    Column::Number("Conflicting"),
    Column::Number("Rejected"),
    Column::Number("Expired"),
];

/// What a replay would do, with totals.
#[must_use]
pub fn preview(rows: &[PreviewRow], style: Style) -> String {
    let counts =
        |row: &PreviewRow| [row.messages, row.new, row.duplicate, row.conflicting, row.rejected, row.expired];
    let cells =
        |label: Cell, counts: [u64; 6]| -> Vec<Cell> { [label].into_iter().chain(counts.map(number)).collect() };
    let mut totals = [0; 6];
    for row in rows {
        for (total, count) in totals.iter_mut().zip(counts(row)) {
            *total += count;
        }
    }
    let lines = rows.iter().map(|row| cells(two_lines(&row.day.to_string(), &row.event_name), counts(row)));
    table::table(PREVIEW, lines.collect(), Some(cells(text("Total"), totals)), style)
}
