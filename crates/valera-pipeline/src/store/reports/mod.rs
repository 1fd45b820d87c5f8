//! The questions that commands ask of rollups and of what is stored.
//!
//! All of them read small tables whose cost does not grow with history; none reads the raw table. A row type of the
//! caller's decides which columns it wants.

use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{FromRow, PgConnection, postgres::PgRow};

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

/// `rollups.funnel_daily` from one day to another, both included; only days with events.
///
/// # Errors
/// When Postgres does not answer.
pub async fn funnel_daily<T: Row>(
    connection: &mut PgConnection,
    from: NaiveDate,
    to: NaiveDate,
) -> anyhow::Result<Vec<T>> {
    sqlx::query_as(
        "SELECT day, chats, dialogs, suggestions, services_added, carts_confirmed, bookings, dialogs_with_suggestion,
            dialogs_with_booking, conversion_rate::text
         FROM rollups.funnel_daily
         WHERE day BETWEEN $1 AND $2
         ORDER BY day",
    )
    .bind(from)
    .bind(to)
    .fetch_all(connection)
    .await
    .context("reading rollups.funnel_daily")
}

/// How response times are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grain {
    /// By UTC hour, shown in the zone of the settings.
    Hour,
    /// By local day.
    Day,
    /// Over the whole period.
    Whole,
}

/// Response times by model between two instants, from the hour that holds the first up to the second.
///
/// # Errors
/// When Postgres does not answer.
pub async fn response_times<T: Row>(
    connection: &mut PgConnection,
    grain: Grain,
    from: DateTime<Utc>,
    to: DateTime<Utc>,
) -> anyhow::Result<Vec<T>> {
    let query = match grain {
        Grain::Hour => {
            "SELECT to_char(hour AT TIME ZONE (SELECT time_zone FROM settings), 'YYYY-MM-DD HH24:MI') AS period,
                model_used AS model, responses, slow_responses, avg_ms::text, p50_ms::bigint, p95_ms::bigint,
                p99_ms::bigint, max_ms::bigint
             FROM rollups.response_times_hourly
             WHERE hour >= date_trunc('hour', $1, 'UTC')
                AND hour < $2
             ORDER BY hour, model_used"
        }
        Grain::Day => {
            "SELECT day::text AS period, model_used AS model, responses, slow_responses, avg_ms::text, p50_ms::bigint,
                p95_ms::bigint, p99_ms::bigint, max_ms::bigint
             FROM rollups.response_times_daily
             WHERE day BETWEEN ($1 AT TIME ZONE (SELECT time_zone FROM settings))::date
                AND ($2 AT TIME ZONE (SELECT time_zone FROM settings))::date
             ORDER BY day, model_used"
        }
        Grain::Whole => {
            "SELECT 'all' AS period, model_used AS model, responses, slow_responses, avg_ms::text, p50_ms::bigint,
                p95_ms::bigint, p99_ms::bigint, max_ms::bigint
             FROM rollups.response_times($1, $2)
             ORDER BY model_used"
        }
    };
    sqlx::query_as(query).bind(from).bind(to).fetch_all(connection).await.context("reading response times")
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
}

/// What the store holds.
///
/// # Errors
/// When Postgres does not answer.
pub async fn holdings(connection: &mut PgConnection) -> anyhow::Result<Holdings> {
    sqlx::query_as(
        "SELECT time_zone,
            (SELECT coalesce(sum(events), 0)::bigint FROM rollups.event_counts_hourly) AS events,
            (SELECT max(hour) FROM rollups.event_counts_hourly) AS last_hour,
            (SELECT count(*) FROM dead_letters WHERE status = 'open') AS open_letters
         FROM settings",
    )
    .fetch_one(connection)
    .await
    .context("reading what is stored")
}
