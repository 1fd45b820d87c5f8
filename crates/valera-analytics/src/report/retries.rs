//! What would become of retried letters, and what became of them.
//!
//! It does not show payloads.

use serde::Serialize;
use std::collections::BTreeMap;
use uuid::Uuid;

use super::table::{self, Column, number, text, two_lines};
use crate::terminal::Style;

/// The contract accepts it.
pub const ACCEPTED: &str = "accepted";
/// The contract refuses it, or it cannot be retried, or not as this event yet.
pub const NOT_PUBLISHED: &str = "not published";
/// There is no letter of this id among those that are meant.
pub const NOT_FOUND: &str = "not found";
/// It was closed or discarded before.
pub const FINISHED: &str = "finished";
/// The persister refused it.
pub const REJECTED_AGAIN: &str = "rejected again";
/// It ended as another retry said, with other content.
pub const OVERTAKEN: &str = "overtaken";
/// It is published, and not judged yet.
pub const WAITING: &str = "waiting";

/// What the contract says of one letter's retry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Outlook {
    /// The letter's id.
    pub id: Uuid,
    /// The event name; empty where the subject held no legal one.
    pub event_name: String,
    /// [`ACCEPTED`], [`NOT_PUBLISHED`], [`NOT_FOUND`] or [`FINISHED`].
    pub verdict: &'static str,
    /// Why.
    pub detail: String,
}

/// Letters of one event with one end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RetryCount {
    /// The event name; empty where the subject held no legal one.
    pub event_name: String,
    /// What became of them: an outcome of the persister, or one of the words above.
    pub result: String,
    /// Letters.
    pub count: u64,
    /// Why, where there is something to say.
    pub detail: String,
}

/// Retried letters, counted.
#[derive(Debug, Default)]
pub struct RetryTally(BTreeMap<(String, String, String), u64>);

impl RetryTally {
    /// Counts a letter of an event with an end.
    pub fn add(&mut self, event_name: &str, result: &str, detail: &str) {
        *self.0.entry((event_name.to_owned(), result.to_owned(), detail.to_owned())).or_default() += 1;
    }

    /// How many ended so.
    #[must_use]
    pub fn of(&self, result: &str) -> u64 {
        self.0.iter().filter(|((_, other, _), _)| other == result).map(|(_, count)| count).sum()
    }

    /// The counts, by event and end.
    #[must_use]
    pub fn rows(&self) -> Vec<RetryCount> {
        let rows = self.0.iter().map(|((event_name, result, detail), count)| RetryCount {
            event_name: event_name.clone(),
            result: result.clone(),
            count: *count,
            detail: detail.clone(),
        });
        rows.collect()
    }
}

/// Each letter with its verdict, as a table.
#[must_use]
pub fn outlooks(outlooks: &[Outlook], style: Style) -> String {
    const COLUMNS: &[Column] = &[Column::Name("Letter, event"), Column::Name("Verdict"), Column::Text("Because")];
    if outlooks.is_empty() {
        return NONE_MEANT.to_owned();
    }
    let rows = outlooks.iter().map(|outlook| {
        vec![two_lines(&outlook.id.to_string(), &outlook.event_name), text(outlook.verdict), text(&outlook.detail)]
    });
    table::table(COLUMNS, rows.collect(), None, style)
}

/// What became of retried letters, as a table.
#[must_use]
pub fn retries(counts: &[RetryCount], style: Style) -> String {
    const COLUMNS: &[Column] =
        &[Column::Name("Event"), Column::Name("Result"), Column::Number("Letters"), Column::Text("Because")];
    if counts.is_empty() {
        return NONE_MEANT.to_owned();
    }
    let rows = counts
        .iter()
        .map(|count| vec![text(&count.event_name), text(&count.result), number(count.count), text(&count.detail)]);
    table::table(COLUMNS, rows.collect(), None, style)
}

const NONE_MEANT: &str = "no letters of this kind wait for a retry\n";
