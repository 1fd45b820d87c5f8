//! The questions that commands ask of rollups and of what is stored.
//!
//! All of them read small tables whose cost does not grow with history; none reads the raw table. A row type of the
//! caller's decides which columns it wants.

mod chat;
mod digest;
mod funnel;
mod latency;

pub use chat::{Chat, chat};
pub use digest::{DayFunnel, Digest, Leaving, Responses, Step, Tally, Usual, digest, end_of_day};
pub use funnel::{funnel_daily, funnel_period, funnel_weekly, weekly_cohorts};
pub use latency::{Grain, hours_of_days, response_times};

use super::shadow::LEFT_BEHIND;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{AssertSqlSafe, FromRow, PgConnection, postgres::PgRow};

/// A row of the caller's.
pub trait Row: for<'r> FromRow<'r, PgRow> + Send + Unpin {}
impl<T: for<'r> FromRow<'r, PgRow> + Send + Unpin> Row for T {}

/// The local day that an instant belongs to.
///
/// # Errors
/// When Postgres does not answer.
pub async fn local_day(connection: &mut PgConnection, at: DateTime<Utc>) -> anyhow::Result<NaiveDate> {
    sqlx::query_scalar("SELECT day FROM rollups.calendar WHERE starts_at <= $1 ORDER BY starts_at DESC LIMIT 1")
        .bind(at)
        .fetch_one(connection)
        .await
        .context("asking the calendar; has `valera-analytics migrate` been run on this database?")
}

/// What the store holds, for people.
#[derive(Debug, Clone, FromRow)]
pub struct Holdings {
    pub time_zone: String,
    /// Events that the rollups have counted.
    pub events: i64,
    /// The newest event's hour that the rollups have counted.
    pub last_hour: Option<DateTime<Utc>>,
    pub open_letters: i64,
    /// The schema in which a rebuild that was killed left something; folds may still write into it.
    pub left_behind: Option<String>,
}

/// What the store holds.
///
/// # Errors
/// When Postgres does not answer.
pub async fn holdings(connection: &mut PgConnection) -> anyhow::Result<Holdings> {
    let query = format!(
        "SELECT time_zone,
            (SELECT coalesce(sum(events), 0)::bigint FROM rollups.event_counts_hourly) AS events,
            (SELECT max(hour) FROM rollups.event_counts_hourly) AS last_hour,
            (SELECT count(*) FROM dead_letters WHERE status = 'open') AS open_letters,
            {LEFT_BEHIND} AS left_behind
         FROM settings",
    );
    sqlx::query_as(AssertSqlSafe(query)).fetch_one(connection).await.context("reading what is stored")
}
