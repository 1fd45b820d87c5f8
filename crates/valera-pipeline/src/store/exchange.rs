//! Puts other tables in the place of those behind the rollups, in one transaction.
//!
//! Tables move between schemas, and what binds tables by their number is bound anew: views, and functions with a parsed
//! body. Locks on what people read are asked for briefly and as often as needed, so that a long query delays the exchange
//! and never the other way round. It does not know how the other tables came about.

use super::{
    Failure,
    shadow::{PREVIOUS, names, run},
};
use anyhow::{Context, bail, ensure};
use sqlx::PgConnection;
use std::collections::BTreeSet;

/// Puts the tables of `incoming` in the place of the live ones, which go to [`PREVIOUS`], inside the transaction of the
/// caller, who holds the folds' lock. The zone goes with the tables.
///
/// # Errors
/// [`Failure::LockTimeout`] when somebody reads for longer than one may wait; [`Failure::Ours`] when there are no such
/// tables or something is in the way, which is named.
pub async fn exchange(
    connection: &mut PgConnection,
    tables: &BTreeSet<String>,
    incoming: &str,
) -> Result<(), Failure> {
    sqlx::raw_sql("SET LOCAL lock_timeout = '400ms'; SET LOCAL search_path = pg_catalog")
        .execute(&mut *connection)
        .await?;
    let outgoing_parts = parts(connection, tables, "rollups").await?;
    let incoming_parts = parts(connection, tables, incoming).await?;
    let (readers, rebind) = dependents(connection, tables).await?;
    let wanted: Vec<&str> = readers.iter().chain(&outgoing_parts).map(String::as_str).collect();
    lock(connection, &wanted).await?;
    let mut script = vec!["CREATE SCHEMA rollups_outgoing".to_owned()];
    script.extend(outgoing_parts.iter().map(|table| format!("ALTER TABLE {table} SET SCHEMA rollups_outgoing")));
    script.extend(incoming_parts.iter().map(|table| format!("ALTER TABLE {table} SET SCHEMA rollups")));
    script.extend(rebind);
    script.push("CREATE TABLE rollups_outgoing.cut_in AS SELECT time_zone FROM public.settings".to_owned());
    script.push(format!("UPDATE public.settings SET time_zone = cut_in.time_zone FROM {incoming}.cut_in"));
    script.push(format!("DROP SCHEMA {incoming} CASCADE"));
    script.push(format!("DROP SCHEMA IF EXISTS {PREVIOUS} CASCADE"));
    script.push(format!("ALTER SCHEMA rollups_outgoing RENAME TO {PREVIOUS}"));
    run(connection, &script).await?;
    Ok(())
}

/// Names what will be in the way of an exchange, before a rebuild has built anything for it.
///
/// # Errors
/// When something is, or Postgres does not answer.
pub async fn require_exchangeable(connection: &mut PgConnection, tables: &BTreeSet<String>) -> anyhow::Result<()> {
    dependents(connection, tables).await.map(drop)
}

/// Locks all of it, or gives up within a time for all together. That is below deadlock_timeout, so that a reader who holds
/// what we want and waits for what we hold is never the victim; with a limit to each wait only, he could wait through
/// several.
async fn lock(connection: &mut PgConnection, wanted: &[&str]) -> Result<(), Failure> {
    let limit = |limit: &str| vec![format!("SET LOCAL statement_timeout = '{limit}'")];
    run(connection, &limit("400ms")).await?;
    match run(connection, &[format!("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", wanted.join(", "))]).await {
        Err(cause) if is_over_time(&cause) => Err(Failure::LockTimeout),
        locked => Ok(locked?),
    }?;
    // As it is in the session of a rebuild.
    Ok(run(connection, &limit("0")).await?)
}

/// 57014: the server has ended the statement.
fn is_over_time(cause: &sqlx::Error) -> bool {
    let Some(refusal) = cause.as_database_error() else { return false };
    refusal.code().is_some_and(|sqlstate| sqlstate == "57014")
}

/// The tables and their partitions, qualified.
async fn parts(
    connection: &mut PgConnection,
    tables: &BTreeSet<String>,
    schema: &str,
) -> anyhow::Result<Vec<String>> {
    let parts: Vec<(String, bool)> = sqlx::query_as(
        "WITH tables AS (
            SELECT c.oid
            FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = $2
                AND c.relkind IN ('r', 'p')
                AND c.relname = ANY ($1)
         )
         SELECT oid::regclass::text, true FROM tables
         UNION ALL
         SELECT inhrelid::regclass::text, false FROM pg_inherits WHERE inhparent IN (SELECT oid FROM tables)",
    )
    .bind(names(tables))
    .bind(schema)
    .fetch_all(connection)
    .await
    .with_context(|| format!("asking for the tables of {schema}"))?;
    let found = parts.iter().filter(|(_, is_table)| *is_table).count();
    ensure!(
        found == tables.len(),
        "the schema {schema} has {found} of the {} tables behind the rollups: there is nothing in it to swap in",
        tables.len()
    );
    Ok(parts.into_iter().map(|(name, _)| name).collect())
}

/// Views over the tables, and what binds those and functions to the tables of the same names anew.
async fn dependents(
    connection: &mut PgConnection,
    tables: &BTreeSet<String>,
) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let views: Vec<(String, bool, String)> = sqlx::query_as(
        "SELECT DISTINCT v.oid::regclass::text, v.relkind = 'm',
            format('CREATE OR REPLACE VIEW %s%s AS %s', v.oid::regclass,
                ' WITH (' || array_to_string(v.reloptions, ', ') || ')', pg_get_viewdef(v.oid))
         FROM pg_class t
         JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
         JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
         JOIN pg_class v ON v.oid = r.ev_class
         WHERE t.relnamespace = 'rollups'::regnamespace
            AND t.relkind IN ('r', 'p')
            AND t.relname = ANY ($1)
            AND v.relkind IN ('v', 'm')",
    )
    .bind(names(tables))
    .fetch_all(&mut *connection)
    .await?;
    if let Some((name, ..)) = views.iter().find(|(_, is_materialised, _)| *is_materialised) {
        bail!(
            "the materialised view {name} reads the tables behind the rollups and cannot be bound anew: drop it first"
        );
    }
    let functions: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT pg_get_functiondef(p.oid)
         FROM pg_class t
         JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid
         JOIN pg_proc p ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
         WHERE t.relnamespace = 'rollups'::regnamespace
            AND t.relname = ANY ($1)",
    )
    .bind(names(tables))
    .fetch_all(connection)
    .await?;
    let readers = views.iter().map(|(name, ..)| name.clone()).collect();
    Ok((readers, views.into_iter().map(|(.., text)| text).chain(functions).collect()))
}
