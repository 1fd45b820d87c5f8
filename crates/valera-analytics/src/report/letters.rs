//! The dead letters, grouped by what is wrong with them.
//!
//! It does not show payloads: they may hold what only operators may read.

use serde::Serialize;

use super::table::{self, Column, number, two_lines};
use crate::terminal::Style;

/// Dead letters of one event with one reason, and an example of where and what was expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct LetterGroup {
    /// The event name; empty where the subject held no legal one.
    pub event_name: String,
    /// The reason, as the contract writes it.
    pub reason: String,
    /// Letters. One with several reasons stands in several groups.
    pub count: i64,
    /// Where in one of these bodies the fault is.
    pub path: String,
    /// What was expected there.
    pub expected: String,
}

const COLUMNS: &[Column] =
    &[Column::Name("Event, reason"), Column::Number("Letters"), Column::Text("For example at, expected")];

/// The groups as a table, in the order given. They do not add up: a letter may have several reasons.
#[must_use]
pub fn letters(groups: &[LetterGroup], style: Style) -> String {
    if groups.is_empty() {
        return "no dead letters: every event in this period was accepted\n".to_owned();
    }
    let rows = groups.iter().map(|group| {
        let name = if group.event_name.is_empty() { table::NONE } else { &group.event_name };
        let path = if group.path.is_empty() { table::NONE } else { &group.path };
        vec![two_lines(name, &group.reason), number(group.count), two_lines(path, &group.expected)]
    });
    table::table(COLUMNS, rows.collect(), None, style)
}
