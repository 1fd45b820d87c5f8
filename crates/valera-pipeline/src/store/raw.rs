//! The raw table: straight in, or around what is there already.
//!
//! A binary COPY straight into the table costs half of what staging does, but one id that is stored already refuses all
//! of it. So the caller tries it first and stages the batch, and the next few, when that happened. Rows come sorted by
//! id: two batches of shared ids in opposite order would deadlock. It does not judge what a duplicate means.

use super::copy::{self, Json, Rows};
use anyhow::Context;
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, FromRow, PgConnection};
use std::collections::HashMap;
use tracing::warn;
use uuid::Uuid;
use valera_events::ContentHash;

/// The table whose key is the persister's inbox.
pub const TABLE: &str = "analytics_events";

/// To be run once a connection: where batches with known ids are staged.
pub const SESSION: &str = "
    CREATE TEMPORARY TABLE staged_events (LIKE analytics_events INCLUDING DEFAULTS) ON COMMIT DELETE ROWS";

/// One row.
pub struct RawEvent<'a> {
    pub event_id: Uuid,
    pub event_name: &'a str,
    pub chat_id: i64,
    pub session_id: &'a str,
    /// JSON text.
    pub properties: &'a [u8],
    pub occurred_at: DateTime<Utc>,
    pub platform: &'a str,
    pub content_hash: &'a ContentHash,
    pub stream_seq: i64,
}

macro_rules! columns {
    () => {
        "event_id, event_name, chat_id, session_id, properties, occurred_at, platform, content_hash, stream_seq"
    };
}

impl RawEvent<'_> {
    /// Appends the row.
    pub fn encode(&self, rows: &mut Rows) {
        rows.push(9, |row| {
            row.put(self.event_id)
                .put(self.event_name)
                .put(self.chat_id)
                .put(self.session_id)
                .put(Json(self.properties))
                .put(self.occurred_at)
                .put(self.platform)
                .put(self.content_hash.as_slice())
                .put(self.stream_seq);
        });
    }
}

/// Copies a finished buffer straight in.
///
/// # Errors
/// A unique violation when any of its ids is stored already.
pub async fn insert(connection: &mut PgConnection, buffer: &[u8]) -> sqlx::Result<()> {
    copy::send(connection, concat!("COPY analytics_events (", columns!(), ") FROM STDIN (FORMAT binary)"), buffer)
        .await
        .map(drop)
}

/// Inserts those whose ids are new; returns the others with the content they are stored with.
///
/// # Errors
/// Whatever Postgres refuses.
pub async fn insert_new(connection: &mut PgConnection, buffer: &[u8]) -> sqlx::Result<HashMap<Uuid, Vec<u8>>> {
    copy::send(connection, concat!("COPY staged_events (", columns!(), ") FROM STDIN (FORMAT binary)"), buffer)
        .await?;
    let inserted: Vec<Uuid> = sqlx::query_scalar(concat!(
        "INSERT INTO analytics_events (",
        columns!(),
        ") SELECT ",
        columns!(),
        " FROM staged_events ORDER BY event_id ON CONFLICT (event_id) DO NOTHING RETURNING event_id"
    ))
    .fetch_all(&mut *connection)
    .await?;
    let known: Vec<(Uuid, Vec<u8>)> = sqlx::query_as(
        "SELECT e.event_id, e.content_hash
         FROM staged_events s
         JOIN analytics_events e USING (event_id)
         WHERE NOT s.event_id = ANY ($1)",
    )
    .bind(inserted)
    .fetch_all(connection)
    .await?;
    Ok(known.into_iter().collect())
}

/// What `pg_stat_activity` calls the sessions of persisters.
pub const WRITING: &str = "valera persister";

/// Ends persisters' backends that have waited for their client inside a COPY longer than anyone needs for one. No
/// deadline of the server ends such a wait, and the ids of that transaction keep everybody out who brings them again.
///
/// # Errors
/// Whatever Postgres refuses.
pub async fn end_frozen(connection: &mut PgConnection) -> sqlx::Result<()> {
    let ended: Vec<i32> = sqlx::query_scalar(
        "SELECT pid
         FROM pg_stat_activity
         WHERE datname = current_database()
           AND application_name = $1
           AND state = 'active'
           AND wait_event = 'ClientRead'
           AND query_start < clock_timestamp() - interval '25 s'
           AND pg_terminate_backend(pid)",
    )
    .bind(WRITING)
    .fetch_all(connection)
    .await?;
    for pid in ended {
        warn!(postgres.pid = pid, "ended a persister's session that was frozen inside a COPY");
    }
    Ok(())
}

/// A row as it is read back.
#[derive(Debug, Clone, FromRow)]
pub struct RawRow {
    pub event_id: Uuid,
    pub event_name: String,
    pub chat_id: i64,
    /// JSON text.
    pub properties: String,
    pub occurred_at: DateTime<Utc>,
    pub platform: String,
    pub content_hash: Vec<u8>,
}

/// How much is read at once.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    pub rows: i64,
    /// Of properties; the row that reaches it is the last.
    pub bytes: i64,
}

/// The next rows above an id, in the order of ids, a page at most.
///
/// # Errors
/// When Postgres does not answer.
pub async fn after(connection: &mut PgConnection, id: Uuid, page: Page) -> anyhow::Result<Vec<RawRow>> {
    sqlx::query_as(AssertSqlSafe(read("event_id > $3")))
        .bind(page.rows)
        .bind(page.bytes)
        .bind(id)
        .fetch_all(connection)
        .await
        .context("reading raw events")
}

/// Rows whose ids have been noted in `schema`, in the order of ids, a page at most.
///
/// # Errors
/// When Postgres does not answer.
pub async fn arrived(connection: &mut PgConnection, schema: &str, page: Page) -> anyhow::Result<Vec<RawRow>> {
    let query = read(&format!("event_id IN (SELECT event_id FROM {schema}.arrived)"));
    let query = sqlx::query_as(AssertSqlSafe(query)).bind(page.rows).bind(page.bytes);
    query.fetch_all(connection).await.context("reading raw events")
}

fn read(which: &str) -> String {
    format!(
        "SELECT event_id, event_name, chat_id, properties, occurred_at, platform, content_hash
         FROM (
            SELECT *, sum(octet_length(properties)) OVER (ORDER BY event_id) - octet_length(properties) AS bytes_before
            FROM (
                SELECT event_id, event_name, chat_id, properties::text AS properties, occurred_at, platform, content_hash
                FROM analytics_events
                WHERE {which}
                ORDER BY event_id
                LIMIT $1
            ) AS rows
         ) AS page
         WHERE bytes_before < $2
         ORDER BY event_id"
    )
}
