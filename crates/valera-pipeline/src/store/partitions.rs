//! Month partitions of the tables whose key is an event's id.
//!
//! A UUIDv7 orders by time, so a month is a range of ids and the id alone can be the key. Partitions are made ahead, and
//! on demand for late events, down to the horizon; below it an event has expired and no partition is ever made anew.
//! Only retention moves the horizon or drops a partition: this never does.

use super::Failure;
use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
use sqlx::PgConnection;
use std::collections::BTreeSet;
use uuid::Uuid;
use valera_events::id;

/// How many months are kept ready beyond the current one.
pub const MONTHS_AHEAD: u32 = 3;

/// What is known of one table's partitions.
#[derive(Debug)]
pub struct Partitions {
    table: &'static str,
    known: BTreeSet<NaiveDate>,
    /// Milliseconds since 1970, as last read.
    horizon: Option<i64>,
}

impl Partitions {
    /// Of `table`, which is partitioned by ranges of ids.
    #[must_use]
    pub fn of(table: &'static str) -> Self {
        Self { table, known: BTreeSet::new(), horizon: None }
    }

    /// Whether an id lies below the horizon. Call [`Self::refresh`] first.
    #[must_use]
    pub fn expired(&self, event_id: Uuid) -> bool {
        self.horizon.is_some_and(|horizon| id::millis(event_id) < horizon)
    }

    /// Reads the horizon, and makes the months ahead. Once a batch: a worker that went by an older horizon than another
    /// would store what the other lets expire.
    ///
    /// # Errors
    /// [`Failure::Ours`].
    pub async fn refresh(&mut self, connection: &mut PgConnection) -> Result<(), Failure> {
        let horizon: DateTime<Utc> =
            sqlx::query_scalar("SELECT horizon FROM settings").fetch_one(&mut *connection).await?;
        self.horizon = Some(horizon.timestamp_millis());
        let this_month = month_of(Utc::now());
        let ahead = (0..=MONTHS_AHEAD).filter_map(|months| this_month.checked_add_months(Months::new(months)));
        let wanted = ahead.filter(|month| !self.known.contains(month)).collect();
        self.attach(connection, wanted).await
    }

    /// Makes the months of these ids that are not there yet. Outside a transaction.
    ///
    /// # Errors
    /// [`Failure::Ours`].
    pub async fn ensure(
        &mut self,
        connection: &mut PgConnection,
        ids: impl Iterator<Item = Uuid>,
    ) -> Result<(), Failure> {
        let mut wanted = BTreeSet::new();
        let mut last = None;
        for month in ids.map(month) {
            if last.replace(month) != Some(month) && !self.known.contains(&month) {
                wanted.insert(month);
            }
        }
        self.attach(connection, wanted).await
    }

    /// Forgets everything: a partition turned out to be gone.
    pub fn forget(&mut self) {
        *self = Self::of(self.table);
    }

    async fn attach(&mut self, connection: &mut PgConnection, months: BTreeSet<NaiveDate>) -> Result<(), Failure> {
        for month in months {
            sqlx::query("SELECT valera_attach_month($1::regclass, $2)")
                .bind(self.table)
                .bind(month)
                .execute(&mut *connection)
                .await?;
            self.known.insert(month);
        }
        Ok(())
    }
}

/// The first day of the UTC month in an id.
fn month(event_id: Uuid) -> NaiveDate {
    month_of(DateTime::from_timestamp_millis(id::millis(event_id)).unwrap_or_default())
}

fn month_of(at: DateTime<Utc>) -> NaiveDate {
    let day = at.date_naive();
    day.with_day(1).unwrap_or(day)
}
