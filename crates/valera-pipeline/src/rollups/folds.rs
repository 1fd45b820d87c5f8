//! The statements of a fold, on the tables of the schema `rollups` or on their shadows in another.
//!
//! The SQL files name the tables that people read. A rebuild folds into tables of the same names in a schema of its own,
//! so the schema is put in place here, for tables only: functions stay where they are. It does not run anything.

use super::list::{ALL, Rollup};
use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};
use std::{collections::BTreeSet, ops::Range};

const SCHEMA: &str = "rollups.";

const COPY_INBOX: &str = "COPY rollups.inbox (event_id, content_hash) FROM STDIN (FORMAT binary)";

/// What one fold runs, in order.
pub(crate) struct Folds {
    pub(super) copy_inbox: String,
    pub(super) statements: Vec<SqlStr>,
}

impl Folds {
    /// On what people read.
    pub(crate) fn live() -> Self {
        Self::of(str::to_owned)
    }

    /// On the shadows of `tables` in `schema`.
    pub(crate) fn shadow(tables: &BTreeSet<String>, schema: &str) -> Self {
        Self::of(|text| moved(text, tables, schema))
    }

    fn of(place: impl Fn(&str) -> String) -> Self {
        let statements = ALL.iter().flat_map(Rollup::folds);
        let statements = statements.map(|statement| AssertSqlSafe(place(statement)).into_sql_str());
        Self { copy_inbox: place(COPY_INBOX), statements: statements.collect() }
    }
}

/// Everything in the schema that the folds name.
pub(crate) fn named_by_folds() -> BTreeSet<String> {
    let texts = ALL.iter().flat_map(Rollup::folds).chain([COPY_INBOX]);
    texts.flat_map(|text| qualified(text).into_iter().map(|name| text[name].to_owned())).collect()
}

/// `text` with `schema` before each of `names` where it had `rollups`.
pub(crate) fn moved(text: &str, names: &BTreeSet<String>, schema: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut done = 0;
    for name in qualified(text).into_iter().filter(|name| names.contains(&text[name.clone()])) {
        out.push_str(&text[done..name.start - SCHEMA.len()]);
        out.push_str(schema);
        out.push('.');
        done = name.start;
    }
    out.push_str(&text[done..]);
    out
}

/// Where names stand that are qualified by the schema.
fn qualified(text: &str) -> Vec<Range<usize>> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let places = text.match_indices(SCHEMA).filter(|(at, _)| !text[..*at].ends_with(is_name));
    let name = |(at, _): (usize, &str)| {
        let start = at + SCHEMA.len();
        let length = text[start..].find(|c| !is_name(c)).unwrap_or(text.len() - start);
        start..start + length
    };
    places.map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_names_given_are_moved_and_only_whole_ones() {
        let names = BTreeSet::from(["chats".to_owned()]);
        let text = "SELECT rollups.bin_middle(1) FROM rollups.chats JOIN rollups.chats_old JOIN my_rollups.chats";
        let expected = "SELECT rollups.bin_middle(1) FROM s.chats JOIN rollups.chats_old JOIN my_rollups.chats";
        assert_eq!(moved(text, &names, "s"), expected);
        assert_eq!(moved("rollups.chats", &names, "s"), "s.chats");
    }

    #[test]
    fn the_folds_name_their_tables() {
        let named = named_by_folds();
        for table in ["inbox", "chat_days", "funnel_weekly", "response_histograms_hourly", "chats"] {
            assert!(named.contains(table), "{table} is not in {named:?}");
        }
    }
}
