//! Where a day begins: read once from `rollups.calendar`, which is the only authority.
//!
//! Postgres fills that table in the configured zone. Cutting days here by a second time zone database would disagree
//! with it one day. It does not know any zone: the name it carries is only held against the settings.

use super::Settings;
use anyhow::{Context, ensure};
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, PgConnection};

/// Days and ISO weeks by the instant they begin.
#[derive(Debug, Clone)]
pub struct Calendar {
    time_zone: String,
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

/// Days are cut in another zone now than this process has read.
#[derive(Debug, thiserror::Error)]
#[error(
    "days are cut in {now} since a rebuild, and this process cuts them in {read}: start it again, with {now} where \
     VALERA_TIMEZONE or --timezone names the zone"
)]
pub struct OtherZone {
    now: String,
    read: String,
}

impl Calendar {
    /// Reads the whole table, some 13,000 rows.
    ///
    /// # Errors
    /// When Postgres does not answer or the calendar is empty.
    pub async fn load(connection: &mut PgConnection) -> anyhow::Result<Self> {
        let time_zone = Settings::load(connection).await?.time_zone;
        Self::load_from(connection, "rollups", &time_zone).await
    }

    /// Reads the calendar of another schema, which was filled for `time_zone`.
    ///
    /// # Errors
    /// As [`Calendar::load`].
    pub async fn load_from(connection: &mut PgConnection, schema: &str, time_zone: &str) -> anyhow::Result<Self> {
        let query = format!("SELECT day, week, starts_at FROM {schema}.calendar ORDER BY starts_at");
        let days: Vec<CalendarDay> = sqlx::query_as(AssertSqlSafe(query))
            .fetch_all(connection)
            .await
            .with_context(|| format!("reading {schema}.calendar"))?;
        ensure!(!days.is_empty(), "{schema}.calendar is empty: run `valera-analytics migrate`");
        Ok(Self { time_zone: time_zone.to_owned(), days })
    }

    /// Refuses to cut days for rollups that a rebuild has meanwhile cut in another zone. Call it under the folds' lock.
    ///
    /// # Errors
    /// [`OtherZone`], which names both; or Postgres does not answer.
    pub async fn require_still(&self, connection: &mut PgConnection) -> anyhow::Result<()> {
        let now: String = sqlx::query_scalar("SELECT time_zone FROM settings").fetch_one(connection).await?;
        if now != self.time_zone {
            return Err(OtherZone { now, read: self.time_zone.clone() }.into());
        }
        Ok(())
    }

    /// The day an instant belongs to. Instants beyond either end belong to the first or last day; the contract lets
    /// none of them in.
    #[must_use]
    pub fn day(&self, at: DateTime<Utc>) -> CalendarDay {
        let after = self.days.partition_point(|day| day.starts_at <= at);
        self.days[after.saturating_sub(1)]
    }
}
