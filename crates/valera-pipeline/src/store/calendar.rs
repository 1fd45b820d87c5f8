//! Where a day begins: read once from `rollups.calendar`, which is the only authority.
//!
//! Postgres fills that table in the configured zone. Cutting days here by a second time zone database would disagree
//! with it one day. It does not know any zone.

use anyhow::{Context, ensure};
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::PgConnection;

/// Days and ISO weeks by the instant they begin.
#[derive(Debug, Clone)]
pub struct Calendar {
    days: Vec<CalendarDay>,
}

/// A local day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct CalendarDay {
    /// The date.
    pub day: NaiveDate,
    /// The Monday of its week.
    pub week: NaiveDate,
    /// Its first instant.
    pub starts_at: DateTime<Utc>,
}

impl Calendar {
    /// Reads the whole table, some 13,000 rows.
    ///
    /// # Errors
    /// When Postgres does not answer or the calendar is empty.
    pub async fn load(connection: &mut PgConnection) -> anyhow::Result<Self> {
        let days: Vec<CalendarDay> =
            sqlx::query_as("SELECT day, week, starts_at FROM rollups.calendar ORDER BY starts_at")
                .fetch_all(connection)
                .await
                .context("reading rollups.calendar")?;
        ensure!(!days.is_empty(), "rollups.calendar is empty: run `valera-analytics migrate`");
        Ok(Self { days })
    }

    /// The day an instant belongs to. Instants beyond either end belong to the first or last day; the contract lets
    /// none of them in.
    #[must_use]
    pub fn day(&self, at: DateTime<Utc>) -> CalendarDay {
        let after = self.days.partition_point(|day| day.starts_at <= at);
        self.days[after.saturating_sub(1)]
    }
}
