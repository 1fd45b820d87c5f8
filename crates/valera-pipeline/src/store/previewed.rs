//! What a dry run has come by, in a temporary table of its session.
//!
//! It writes nothing that another session could see.

use anyhow::Context;
use sqlx::{AssertSqlSafe, PgConnection};
use std::collections::HashMap;
use uuid::Uuid;

/// To be run once a connection of a dry run: the ids it has come by, which would be known the second time.
pub const SESSION: &str = "CREATE TEMPORARY TABLE previewed (event_id uuid PRIMARY KEY, content_hash bytea NOT NULL)";

/// Which of these ids `table` holds, or a dry run has come by in this session, and with what content.
///
/// # Errors
/// When Postgres does not answer.
pub async fn known(
    connection: &mut PgConnection,
    table: &'static str,
    ids: &[Uuid],
) -> anyhow::Result<HashMap<Uuid, Vec<u8>>> {
    let query = format!(
        "SELECT event_id, content_hash
         FROM unnest($1::uuid[]) AS asked (event_id)
         JOIN previewed USING (event_id)
         UNION ALL
         SELECT event_id, content_hash
         FROM unnest($1::uuid[]) AS asked (event_id)
         JOIN {table} USING (event_id)"
    );
    let known: Vec<(Uuid, Vec<u8>)> = sqlx::query_as(AssertSqlSafe(query))
        .bind(ids)
        .fetch_all(connection)
        .await
        .context("asking which events are known")?;
    Ok(known.into_iter().collect())
}

/// Remembers what a dry run has come by.
///
/// # Errors
/// When Postgres refuses.
pub async fn remember(connection: &mut PgConnection, ids: &[Uuid], contents: &[Vec<u8>]) -> anyhow::Result<()> {
    sqlx::query("INSERT INTO previewed SELECT * FROM unnest($1::uuid[], $2::bytea[]) ON CONFLICT DO NOTHING")
        .bind(ids)
        .bind(contents)
        .execute(connection)
        .await
        .context("remembering what a dry run has come by")?;
    Ok(())
}
