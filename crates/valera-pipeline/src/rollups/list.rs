//! The list of rollups. One is one SQL file: the statements that fold a batch into it, and an independent recount.
//!
//! A new rollup is a file and its line here, and the migration that makes its table. The folds run in this order:
//! `chat_days` leaves the change of the funnels behind that the funnels then add up. It does not run anything.

/// To be run once a connection: the temporary tables of a batch, and plans that look rows up by key. The plans that
/// Postgres prefers scan each target table whole and grow with history, or make a bitmap for each single row.
pub const SESSION: &str = concat!(
    include_str!("sql/batch.sql"),
    "SET enable_hashjoin = off;
    SET enable_mergejoin = off;
    SET enable_seqscan = off;
    SET enable_bitmapscan = off;"
);

pub(super) const COPY_BATCH: &str = "
    COPY batch (hour, day, event_name, platform, model_used, bin, service_name, error_class, context, events, slow,
        total_ms, min_ms, max_ms, confidence_sum, first_at, last_at)
    FROM STDIN (FORMAT binary)";

pub(super) const COPY_BATCH_CHATS: &str = "
    COPY batch_chats (day, week, chat_id, events, errors, bookings, first_at, last_at, first_dialog_at,
        first_suggestion_at, first_service_added_at, first_cart_confirmed_at, first_booking_at)
    FROM STDIN (FORMAT binary)";

/// One rollup.
#[derive(Debug, Clone, Copy)]
pub struct Rollup {
    /// Its table or view in the schema `rollups`.
    pub name: &'static str,
    text: &'static str,
}

macro_rules! rollups {
    ($($name:literal),* $(,)?) => {
        &[$(Rollup { name: $name, text: include_str!(concat!("sql/", $name, ".sql")) }),*]
    };
}

/// Every rollup, in the order in which they are folded.
pub static ALL: &[Rollup] = rollups![
    "chat_days",
    "chat_weeks",
    "funnel_daily",
    "funnel_weekly",
    "event_counts_hourly",
    "response_histograms_hourly",
    "response_time_bins_hourly",
    "service_suggestions_daily",
    "errors_hourly",
    "chats",
];

impl Rollup {
    /// The statements that fold a batch into it; none for a view.
    pub fn folds(&self) -> impl Iterator<Item = &'static str> {
        self.sections("fold")
    }

    /// Whether it is a table; a view shows what another rollup folds.
    #[must_use]
    pub fn is_table(&self) -> bool {
        self.folds().next().is_some()
    }

    /// The query that counts it anew, over a relation `recounted` of raw events.
    #[must_use]
    pub fn recount(&self) -> &'static str {
        self.sections("recount").next().unwrap_or_default()
    }

    /// The columns that name a bucket.
    pub fn key(&self) -> impl Iterator<Item = &'static str> {
        self.names("-- key:")
    }

    /// The columns beside the key that a recount is compared in.
    pub fn columns(&self) -> impl Iterator<Item = &'static str> {
        self.names("-- columns:")
    }

    /// The texts behind `-- fold` or `-- recount` lines, each up to the next such line.
    fn sections(&self, wanted: &'static str) -> impl Iterator<Item = &'static str> {
        let sections = self.text.split("\n-- ").skip(1);
        sections.filter_map(move |section| {
            let (title, body) = section.split_once('\n')?;
            (title.split_whitespace().next() == Some(wanted)).then_some(body)
        })
    }

    fn names(&self, title: &'static str) -> impl Iterator<Item = &'static str> {
        let line = self.text.lines().find_map(|line| line.strip_prefix(title)).unwrap_or_default();
        line.split(',').map(str::trim).filter(|name| !name.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_has_a_key_columns_and_a_recount() {
        for rollup in ALL {
            assert!(rollup.key().next().is_some(), "{}: no key", rollup.name);
            assert!(rollup.columns().next().is_some(), "{}: no columns", rollup.name);
            assert!(rollup.recount().contains("recounted"), "{}: no recount", rollup.name);
        }
    }
}
