//! What `verify --repair` writes: rollup rows as their recount has them, and the inbox as raw has it.
//!
//! All of it in the snapshot of a comparison, under the folds' lock, in one transaction. Rows are replaced whole, so a
//! recount has to give every column that a table does not generate. It does not decide what is wrong.

use super::comparison::differing_query;
use crate::rollups::Rollup;
use anyhow::Context;
use sqlx::{AssertSqlSafe, PgConnection};
use uuid::Uuid;

/// To be run once a connection, beside a comparison's own.
pub const SESSION: &str = "CREATE TEMPORARY TABLE differing (kept jsonb, recounted jsonb)";

/// Gives ids the content that raw stored, late rows included.
///
/// # Errors
/// When Postgres refuses.
pub async fn adopt_contents(connection: &mut PgConnection, ids: &[Uuid]) -> anyhow::Result<()> {
    sqlx::query(
        "UPDATE rollups.inbox AS inbox
         SET content_hash = stored.content_hash
         FROM (
            SELECT event_id, content_hash
            FROM analytics_events
            UNION ALL
            SELECT event_id, content_hash
            FROM late_events
         ) AS stored
         WHERE stored.event_id = inbox.event_id
            AND inbox.event_id = ANY ($1)",
    )
    .bind(ids)
    .execute(connection)
    .await
    .context("correcting the inbox")?;
    Ok(())
}

/// Forgets ids, as if they had never been folded.
///
/// # Errors
/// When Postgres refuses.
pub async fn forget(connection: &mut PgConnection, ids: &[Uuid]) -> anyhow::Result<()> {
    sqlx::query("DELETE FROM rollups.inbox WHERE event_id = ANY ($1)")
        .bind(ids)
        .execute(connection)
        .await
        .context("forgetting refused events")?;
    Ok(())
}

/// Replaces the rows of a rollup's table that their recount does not agree with; returns how many.
///
/// # Errors
/// When Postgres refuses.
pub async fn write_over(connection: &mut PgConnection, rollup: &Rollup) -> anyhow::Result<u64> {
    let table = rollup.name;
    let columns = written_columns(connection, table).await?;
    let same_bucket: Vec<_> = rollup.key().map(|column| format!("kept.{column} = wrong.{column}")).collect();
    // In the database throughout: a number that is read on our side would become a float.
    let collect = format!("INSERT INTO differing {}", differing_query(rollup));
    let delete = format!(
        "DELETE FROM rollups.{table} AS kept
         USING differing
         CROSS JOIN LATERAL jsonb_populate_record(NULL::rollups.{table}, differing.kept) AS wrong
         WHERE {}",
        same_bucket.join(" AND "),
    );
    let insert = format!(
        "INSERT INTO rollups.{table} ({columns})
         SELECT {columns}
         FROM (SELECT recounted FROM differing WHERE recounted IS NOT NULL) AS right_rows
         CROSS JOIN LATERAL jsonb_populate_record(NULL::rollups.{table}, recounted)"
    );
    let mut rows = 0;
    for statement in [collect, delete, insert, "DELETE FROM differing".to_owned()] {
        let done = sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await;
        rows = done.with_context(|| format!("writing over {table}"))?.rows_affected();
    }
    Ok(rows)
}

/// The columns of a table that Postgres does not generate.
async fn written_columns(connection: &mut PgConnection, table: &str) -> anyhow::Result<String> {
    sqlx::query_scalar(
        "SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum)
         FROM pg_attribute
         WHERE attrelid = ('rollups.' || $1)::regclass
            AND attnum > 0
            AND NOT attisdropped
            AND attgenerated = ''",
    )
    .bind(table)
    .fetch_one(connection)
    .await
    .with_context(|| format!("asking for the columns of {table}"))
}
