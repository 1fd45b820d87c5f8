//! Raw events in the order of their ids, page by page out of one snapshot.
//!
//! A page is bounded in rows and in bytes: ten thousand of the longest events would not fit into memory. The next one begins
//! behind the last id of the one before, which costs the same at the end of a long history as at its beginning. It does
//! not know in which form events leave.

use super::raw;
use anyhow::Context;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, FromRow, PgConnection, Postgres, Transaction};
use uuid::Uuid;

/// To be run once a connection. Whoever reads the export may take his time; and a page that were sorted instead of read by
/// the key would read all of history each time.
pub const SESSION: &str = "
    SET statement_timeout = 0;
    SET idle_in_transaction_session_timeout = '1h';
    SET enable_bitmapscan = off;
    SET enable_sort = off";

/// At most so many rows a page.
const ROWS: i64 = 4_000;

/// A page ends with the row that goes beyond so many bytes of properties.
const BYTES: i64 = 4 * 1024 * 1024;

/// Which events are wanted.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// When they occurred: from this moment on.
    pub from: Option<DateTime<Utc>>,
    /// And before this one.
    pub to: Option<DateTime<Utc>>,
    /// Their names; all when empty.
    pub names: Vec<String>,
}

/// A row as it is exported.
#[derive(Debug, Clone, FromRow)]
pub struct ExportRow {
    pub event_id: Uuid,
    pub event_name: String,
    pub chat_id: i64,
    pub session_id: String,
    /// JSON text.
    pub properties: String,
    pub occurred_at: DateTime<Utc>,
    pub platform: String,
    pub content_hash: Vec<u8>,
    pub stream_seq: i64,
}

/// Opens the snapshot that all pages are read from.
///
/// # Errors
/// When Postgres refuses.
pub async fn snapshot(connection: &mut PgConnection) -> anyhow::Result<Transaction<'_, Postgres>> {
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    sqlx::Connection::begin_with(connection, begin).await.context("opening a snapshot")
}

/// The first and the last id, below and above which nothing is wanted: an id's time is up to a day off `occurred_at`.
///
/// # Errors
/// When Postgres does not answer.
pub async fn span(connection: &mut PgConnection, wanted: &Wanted) -> anyhow::Result<Option<(Uuid, Uuid)>> {
    let lowest = wanted.from.map_or(Uuid::nil(), |from| first_id(from - TimeDelta::days(1)));
    let highest = wanted.to.map_or(Uuid::max(), |to| first_id(to + TimeDelta::days(1)));
    let end = async |connection: &mut PgConnection, order: &str| {
        let query = format!(
            "SELECT event_id FROM {} WHERE event_id BETWEEN $1 AND $2 ORDER BY event_id {order} LIMIT 1",
            raw::TABLE
        );
        let id: Option<Uuid> = sqlx::query_scalar(AssertSqlSafe(query))
            .bind(lowest)
            .bind(highest)
            .fetch_optional(connection)
            .await
            .context("reading the first and the last event")?;
        anyhow::Ok(id)
    };
    let first = end(connection, "ASC").await?;
    let last = end(connection, "DESC").await?;
    Ok(first.zip(last))
}

/// No id of this moment or later lies below.
fn first_id(at: DateTime<Utc>) -> Uuid {
    Uuid::from_u128(u128::from(u64::try_from(at.timestamp_millis()).unwrap_or(0)) << 80)
}

/// The next rows from `first` on, or behind it where `is_read`, up to `last`; empty when there are none.
///
/// # Errors
/// When Postgres does not answer.
pub async fn page(
    connection: &mut PgConnection,
    wanted: &Wanted,
    (first, is_read): (Uuid, bool),
    last: Uuid,
) -> anyhow::Result<Vec<ExportRow>> {
    sqlx::query_as(
        "SELECT event_id, event_name, chat_id, session_id, properties, occurred_at, platform, content_hash, stream_seq
         FROM (
            SELECT *, sum(octet_length(properties)) OVER (ORDER BY event_id) - octet_length(properties) AS bytes_before
            FROM (
                SELECT event_id, event_name, chat_id, session_id, properties::text AS properties, occurred_at, platform,
                    content_hash, stream_seq
                FROM analytics_events
                WHERE event_id >= $1
                    AND (event_id > $1 OR NOT $2)
                    AND event_id <= $3
                    AND ($4::timestamptz IS NULL OR occurred_at >= $4)
                    AND ($5::timestamptz IS NULL OR occurred_at < $5)
                    AND (cardinality($6::text[]) = 0 OR event_name = ANY ($6))
                ORDER BY event_id
                LIMIT $7
            ) AS rows
         ) AS page
         WHERE bytes_before < $8
         ORDER BY event_id",
    )
    .bind(first)
    .bind(is_read)
    .bind(last)
    .bind(wanted.from)
    .bind(wanted.to)
    .bind(&wanted.names)
    .bind(ROWS)
    .bind(BYTES)
    .fetch_all(connection)
    .await
    .context("reading raw events")
}

/// The moment a local day begins.
///
/// # Errors
/// When Postgres does not answer, or the calendar does not reach there.
pub async fn starts_at(connection: &mut PgConnection, day: NaiveDate) -> anyhow::Result<DateTime<Utc>> {
    let known: Option<DateTime<Utc>> = sqlx::query_scalar("SELECT starts_at FROM rollups.calendar WHERE day = $1")
        .bind(day)
        .fetch_optional(connection)
        .await
        .context("asking the calendar; has `valera-analytics migrate` been run on this database?")?;
    known.with_context(|| format!("the calendar does not reach {day}: no event can lie there"))
}
