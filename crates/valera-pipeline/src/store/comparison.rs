//! What `verify` asks of the database, all of it in one snapshot.
//!
//! Raw and rollups are acknowledged apart, so at any moment each may be ahead of the other. In one REPEATABLE READ
//! snapshot every rollup is the fold of exactly the inbox's ids; so the recount reads the raw rows with those ids, and
//! rows that raw got only after the snapshot are added from the side. It holds up no writer and no fold, only the swap of
//! a rebuild, and judges nothing.

use crate::rollups::Rollup;
use anyhow::Context;
use sqlx::{AssertSqlSafe, FromRow, PgConnection, Postgres, Transaction};
use uuid::Uuid;
use valera_events::ReasonCode;

/// To be run once a connection. A recount of all history takes its time.
pub const SESSION: &str = "
    SET statement_timeout = 0;
    SET idle_in_transaction_session_timeout = '5min';
    SET enable_partitionwise_join = on;
    CREATE TEMPORARY TABLE left_out (event_id uuid PRIMARY KEY);
    CREATE TEMPORARY TABLE late_events (LIKE analytics_events INCLUDING DEFAULTS)";

/// An id that raw and inbox do not hold alike.
#[derive(Debug, Clone, FromRow)]
pub struct Apart {
    pub event_id: Uuid,
    /// `None` when raw lacks it.
    pub stream_seq: Option<i64>,
    pub in_raw: bool,
    pub in_inbox: bool,
}

/// A bucket that a rollup and its recount do not hold alike: the rows as JSON objects, `None` where there is none.
#[derive(Debug, Clone, FromRow)]
pub struct Differing {
    pub kept: Option<serde_json::Value>,
    pub recounted: Option<serde_json::Value>,
    /// How many such buckets there are in all.
    pub of: i64,
}

/// Opens the snapshot; it is taken by the first query. For as long as this session lives no rebuild is swapped in: tables
/// exchanged under a snapshot would look empty in it.
///
/// # Errors
/// When Postgres refuses.
pub async fn snapshot(connection: &mut PgConnection) -> anyhow::Result<Transaction<'_, Postgres>> {
    sqlx::query("SELECT pg_advisory_lock_shared(20261, 4)").execute(&mut *connection).await?;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ";
    sqlx::Connection::begin_with(connection, begin).await.context("opening a snapshot")
}

/// Events in raw.
///
/// # Errors
/// When Postgres refuses.
pub async fn raw_events(connection: &mut PgConnection) -> anyhow::Result<i64> {
    sqlx::query_scalar("SELECT count(*) FROM analytics_events").fetch_one(connection).await.context("counting raw")
}

/// Ids that are in one of raw and inbox only, or in both with different content.
///
/// # Errors
/// When Postgres refuses.
pub async fn apart(connection: &mut PgConnection) -> anyhow::Result<Vec<Apart>> {
    sqlx::query_as(
        "SELECT event_id, raw.stream_seq, raw.content_hash IS NOT NULL AS in_raw,
            inbox.content_hash IS NOT NULL AS in_inbox
         FROM analytics_events AS raw
         FULL JOIN rollups.inbox AS inbox USING (event_id)
         WHERE raw.content_hash IS DISTINCT FROM inbox.content_hash
         ORDER BY event_id",
    )
    .fetch_all(connection)
    .await
    .context("comparing raw with the inbox")
}

/// Which of these ids raw holds by now. On a connection of its own, outside the snapshot.
///
/// # Errors
/// When Postgres refuses.
pub async fn arrived(connection: &mut PgConnection, ids: &[Uuid]) -> anyhow::Result<Vec<Uuid>> {
    sqlx::query_scalar("SELECT event_id FROM analytics_events WHERE event_id = ANY ($1)")
        .bind(ids)
        .fetch_all(connection)
        .await
        .context("waiting for late events")
}

/// Which of these ids, an event's own or that of its last retry, have a letter that says Postgres refused them; not while a
/// retry is under way, after which raw may have the event. On a connection of its own, outside the snapshot.
///
/// # Errors
/// When Postgres refuses.
pub async fn refused(connection: &mut PgConnection, ids: &[Uuid]) -> anyhow::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "WITH refused AS (
            SELECT event_id, retried_as
            FROM dead_letters
            WHERE (event_id = ANY ($1) OR retried_as = ANY ($1))
                AND status <> 'retried'
                AND reasons @> jsonb_build_array(jsonb_build_object('reason', $2::text))
         )
         SELECT event_id FROM refused WHERE event_id = ANY ($1)
         UNION
         SELECT retried_as FROM refused WHERE retried_as = ANY ($1)",
    )
    .bind(ids)
    .bind(ReasonCode::RefusedByDatabase.as_str())
    .fetch_all(connection)
    .await
    .context("reading the letters of refused events")
}

/// Copies rows that raw got after the snapshot into it.
///
/// # Errors
/// When Postgres refuses.
pub async fn add_late(outside: &mut PgConnection, snapshot: &mut PgConnection, ids: &[Uuid]) -> anyhow::Result<()> {
    // A jsonb array holds 256 MB, and one event may be 64 KiB.
    for ids in ids.chunks(1_000) {
        // As text all the way: a number that is read on our side would become a float.
        let rows: String = sqlx::query_scalar(
            "SELECT coalesce(jsonb_agg(to_jsonb(e)), '[]')::text FROM analytics_events e WHERE event_id = ANY ($1)",
        )
        .bind(ids)
        .fetch_one(&mut *outside)
        .await
        .context("reading late events")?;
        sqlx::query("INSERT INTO late_events SELECT * FROM jsonb_populate_recordset(NULL::late_events, $1::jsonb)")
            .bind(rows)
            .execute(&mut *snapshot)
            .await
            .context("adding late events")?;
    }
    Ok(())
}

/// Ids of late rows whose content is not what the inbox holds.
///
/// # Errors
/// When Postgres refuses.
pub async fn late_disagreeing(snapshot: &mut PgConnection) -> anyhow::Result<Vec<Uuid>> {
    sqlx::query_scalar(
        "SELECT event_id
         FROM late_events AS late
         JOIN rollups.inbox AS inbox USING (event_id)
         WHERE late.content_hash <> inbox.content_hash
         ORDER BY event_id",
    )
    .fetch_all(snapshot)
    .await
    .context("comparing late events with the inbox")
}

/// Leaves raw rows that the inbox lacks out of every recount.
///
/// # Errors
/// When Postgres refuses.
pub async fn leave_out(snapshot: &mut PgConnection, ids: &[Uuid]) -> anyhow::Result<()> {
    sqlx::query("INSERT INTO left_out SELECT unnest($1::uuid[])")
        .bind(ids)
        .execute(snapshot)
        .await
        .context("leaving pending events out")?;
    Ok(())
}

/// How many buckets a rollup has.
///
/// # Errors
/// When Postgres refuses.
pub async fn buckets(snapshot: &mut PgConnection, rollup: &Rollup) -> anyhow::Result<i64> {
    let query = format!("SELECT count(*) FROM rollups.{}", rollup.name);
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(snapshot).await.context("counting buckets")
}

/// The buckets of a rollup that its recount does not agree with, at most `limit`.
///
/// # Errors
/// When Postgres refuses.
pub async fn differing(snapshot: &mut PgConnection, rollup: &Rollup, limit: i64) -> anyhow::Result<Vec<Differing>> {
    first_of(snapshot, rollup, &recount(rollup), "recount", limit).await
}

/// The same, held against the table of another schema instead of a recount.
///
/// # Errors
/// When Postgres refuses.
pub async fn differing_from(
    snapshot: &mut PgConnection,
    rollup: &Rollup,
    schema: &str,
    limit: i64,
) -> anyhow::Result<Vec<Differing>> {
    first_of(snapshot, rollup, "", &rows_in(schema, rollup), limit).await
}

async fn first_of(
    snapshot: &mut PgConnection,
    rollup: &Rollup,
    with: &str,
    other: &str,
    limit: i64,
) -> anyhow::Result<Vec<Differing>> {
    let query = format!(
        "{with}
         SELECT to_jsonb(kept) AS kept, to_jsonb(other) AS recounted, count(*) OVER () AS of
         {differing}
         ORDER BY {key}
         LIMIT $1",
        differing = joined(rollup, other),
        key = names(rollup.key()),
    );
    let found = sqlx::query_as(AssertSqlSafe(query)).bind(limit).fetch_all(snapshot).await;
    found.with_context(|| format!("comparing {}", rollup.name))
}

/// The query behind [`differing`]: two columns of JSON objects, the row as it is kept and as it is recounted.
pub(super) fn differing_query(rollup: &Rollup) -> String {
    let (with, differing) = (recount(rollup), joined(rollup, "recount"));
    format!("{with} SELECT to_jsonb(kept) AS kept, to_jsonb(other) AS recounted {differing}")
}

/// The recount as a relation.
fn recount(rollup: &Rollup) -> String {
    format!(
        "WITH recounted AS (
            SELECT *
            FROM analytics_events
            WHERE NOT EXISTS (SELECT FROM left_out WHERE left_out.event_id = analytics_events.event_id)
            UNION ALL
            SELECT *
            FROM late_events
         ),
         recount AS ({})",
        rollup.recount(),
    )
}

/// Where the kept rows of a rollup and those of `other` are not alike.
fn joined(rollup: &Rollup, other: &str) -> String {
    let differs: Vec<_> = rollup.columns().map(|c| format!("kept.{c} IS DISTINCT FROM other.{c}")).collect();
    format!(
        "FROM {kept} AS kept
         FULL JOIN {other} AS other USING ({key})
         WHERE {differs}",
        kept = rows_in("rollups", rollup),
        key = names(rollup.key()),
        differs = differs.join(" OR "),
    )
}

/// The rows of a rollup's table in a schema, with the columns that are compared.
fn rows_in(schema: &str, rollup: &Rollup) -> String {
    format!("(SELECT {} FROM {schema}.{})", names(rollup.key().chain(rollup.columns())), rollup.name)
}

fn names<'a>(columns: impl Iterator<Item = &'a str>) -> String {
    columns.collect::<Vec<_>>().join(", ")
}
