//! Shadows of the rollups' tables in a schema of their own, and what has to come into them yet.
//!
//! A shadow is made like its table, with the storage parameters, comments and grants that LIKE leaves out. A trigger on the
//! live inbox notes what is folded meanwhile: what a shadow lacks is then known without comparing all of both. It does
//! not fold, and does not touch what people read.

use super::{Failure, comparison};
use crate::rollups::{ALL, Rollup, moved};
use anyhow::{Context, bail};
use sqlx::{AssertSqlSafe, PgConnection};
use std::{collections::BTreeSet, time::Duration};
use uuid::Uuid;

/// Where a rebuild is made.
pub const NEXT: &str = "rollups_next";
/// Where the tables are kept that a rebuild has replaced.
pub const PREVIOUS: &str = "rollups_previous";

/// To be run once a connection: sets of all history take their time, and names are printed with their schema. Who clears
/// up rolls back whether or not something stands open, and need not be warned.
pub const SESSION: &str = "
    SET statement_timeout = 0;
    SET search_path = public;
    SET client_min_messages = error";

/// Takes the lock of rebuilds for this session, which may have it already. Waits for it briefly: Postgres takes a moment
/// to notice that a rebuild which ended or was killed has gone.
///
/// # Errors
/// When another rebuild has it.
pub async fn lock(connection: &mut PgConnection) -> anyhow::Result<()> {
    let script = ["SET LOCAL lock_timeout = '3s'", "SELECT pg_advisory_lock(20261, 3)"].map(str::to_owned);
    match run(connection, &script).await.map_err(Failure::from) {
        Err(Failure::LockTimeout) => bail!("another rebuild is at work on this database"),
        locked => locked.context("asking for the lock of rebuilds"),
    }
}

/// The schema in which a rebuild or swap back that was killed left something, to which live folds add as long as its
/// trigger stands; null where there is none, or one is at work. A subquery.
pub(super) const LEFT_BEHIND: &str = "(
    SELECT coalesce(
        (
            SELECT f.pronamespace::regnamespace::text
            FROM pg_trigger t
            JOIN pg_proc f ON f.oid = t.tgfoid
            WHERE t.tgrelid = 'rollups.inbox'::regclass
                AND t.tgname = 'note_arrivals'
        ),
        (SELECT nspname::text FROM pg_namespace WHERE nspname = 'rollups_next')
    )
    WHERE NOT EXISTS (
        SELECT
        FROM pg_locks
        WHERE locktype = 'advisory'
            AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND classid = 20261
            AND objid = 3
            AND granted
    )
 )";

/// The tables behind the rollups, among the names given; with the calendar, by which they are cut.
///
/// # Errors
/// When Postgres does not answer.
pub async fn tables(connection: &mut PgConnection, named: &BTreeSet<String>) -> anyhow::Result<BTreeSet<String>> {
    let named: Vec<&str> = named.iter().map(String::as_str).chain(["calendar"]).collect();
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT relname::text
         FROM pg_class
         WHERE relnamespace = 'rollups'::regnamespace
            AND relkind IN ('r', 'p')
            AND relname = ANY ($1)",
    )
    .bind(named)
    .fetch_all(connection)
    .await
    .context("asking for the rollups' tables")?;
    Ok(tables.into_iter().collect())
}

/// Makes empty shadows of the tables in [`NEXT`], whatever was there before, with a calendar for `zone`.
///
/// # Errors
/// When Postgres refuses, or does not know the zone.
pub async fn create(connection: &mut PgConnection, tables: &BTreeSet<String>, zone: &str) -> anyhow::Result<()> {
    let ddl: Vec<String> = sqlx::query_scalar(
        "SELECT format('CREATE TABLE %I.%I (LIKE %s INCLUDING ALL)', $2::text, relname, oid::regclass)
            || coalesce(' PARTITION BY ' || pg_get_partkeydef(oid), '')
            || coalesce(' WITH (' || array_to_string(reloptions, ', ') || ')', '')
            || coalesce(format(E';\nCOMMENT ON TABLE %I.%I IS %L', $2::text, relname, obj_description(oid, 'pg_class')), '')
            || format(E';\nALTER TABLE %I.%I OWNER TO %I', $2::text, relname, pg_get_userbyid(relowner))
            || coalesce((
                SELECT string_agg(
                    format(E';\nGRANT %s ON %I.%I TO %s', privilege_type, $2::text, relname,
                        CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END),
                    '')
                FROM aclexplode(relacl)
            ), '')
         FROM pg_class
         WHERE relnamespace = 'rollups'::regnamespace
            AND relname = ANY ($1)",
    )
    .bind(names(tables))
    .bind(NEXT)
    .fetch_all(&mut *connection)
    .await?;
    let fill: String = sqlx::query_scalar("SELECT pg_get_functiondef('rollups.fill_calendar(text)'::regprocedure)")
        .fetch_one(&mut *connection)
        .await?;
    let fill = moved(&fill, &BTreeSet::from(["calendar", "fill_calendar"].map(str::to_owned)), NEXT);
    let mut script = vec![format!("CREATE SCHEMA {NEXT}")];
    script.extend(ddl);
    script.push(fill);
    script.push(format!("CREATE TABLE {NEXT}.cut_in (time_zone text NOT NULL)"));
    script.extend(views(connection, tables).await?);
    drop_next(connection).await?;
    run(connection, &script).await.context("making shadows of the rollups")?;
    for statement in [
        format!("INSERT INTO {NEXT}.cut_in VALUES ($1)"),
        format!("SELECT {NEXT}.fill_calendar(time_zone) FROM {NEXT}.cut_in WHERE time_zone = $1"),
    ] {
        let query = sqlx::query(AssertSqlSafe(statement)).bind(zone);
        query.execute(&mut *connection).await.with_context(|| format!("cutting days in the zone {zone}"))?;
    }
    Ok(())
}

/// The rollups that are views, over the shadows, for the comparison.
async fn views(connection: &mut PgConnection, tables: &BTreeSet<String>) -> anyhow::Result<Vec<String>> {
    let rollups: BTreeSet<String> = ALL.iter().map(|rollup| rollup.name.to_owned()).collect();
    let views: Vec<(String, String)> = sqlx::query_as(
        "SELECT relname::text, pg_get_viewdef(oid)
         FROM pg_class
         WHERE relnamespace = 'rollups'::regnamespace
            AND relkind = 'v'
            AND relname = ANY ($1)",
    )
    .bind(names(&rollups))
    .fetch_all(connection)
    .await?;
    let shadowed = tables.union(&rollups).cloned().collect();
    let view =
        |(name, text): (String, String)| format!("CREATE VIEW {NEXT}.{name} AS {}", moved(&text, &shadowed, NEXT));
    Ok(views.into_iter().map(view).collect())
}

/// Removes what a rebuild has made, its trigger included.
///
/// # Errors
/// When Postgres refuses.
pub async fn drop_next(connection: &mut PgConnection) -> anyhow::Result<()> {
    let script = [format!("DROP SCHEMA IF EXISTS {NEXT} CASCADE")];
    run_briefly(connection, &script).await.with_context(|| format!("removing the schema {NEXT}"))
}

/// From now on notes in `schema` what the live inbox takes in, and when; [`note_lacking`] notes what it took in before.
///
/// # Errors
/// When Postgres refuses.
pub async fn note_arrivals(connection: &mut PgConnection, schema: &str) -> anyhow::Result<()> {
    let script = [
        format!("DROP TABLE IF EXISTS {schema}.arrived"),
        format!(
            "CREATE TABLE {schema}.arrived (
                event_id uuid NOT NULL,
                noted_at timestamptz NOT NULL DEFAULT clock_timestamp()
             )"
        ),
        // The services may run under another role, which need not know this schema.
        format!(
            "CREATE OR REPLACE FUNCTION {schema}.note_arrivals()
             RETURNS trigger
             LANGUAGE plpgsql
             SECURITY DEFINER
             SET search_path = pg_catalog, pg_temp
             AS $$
             BEGIN
                INSERT INTO {schema}.arrived (event_id) SELECT event_id FROM fresh;
                RETURN NULL;
             END
             $$"
        ),
        format!(
            "CREATE OR REPLACE TRIGGER note_arrivals
             AFTER INSERT ON rollups.inbox
             REFERENCING NEW TABLE AS fresh
             FOR EACH STATEMENT EXECUTE FUNCTION {schema}.note_arrivals()"
        ),
    ];
    run_briefly(connection, &script).await.context("noting what the rollups take in")
}

/// Notes what the live inbox has and the shadow lacks; below the horizon nothing is wanted any more.
///
/// # Errors
/// When Postgres refuses.
pub async fn note_lacking(connection: &mut PgConnection, schema: &str) -> anyhow::Result<()> {
    let statement = format!(
        "INSERT INTO {schema}.arrived (event_id)
         SELECT event_id
         FROM rollups.inbox AS kept
         WHERE event_id >= valera_first_id((SELECT horizon FROM settings))
            AND NOT EXISTS (SELECT FROM {schema}.inbox AS rebuilt WHERE rebuilt.event_id = kept.event_id)
            AND NOT EXISTS (SELECT FROM {schema}.arrived WHERE arrived.event_id = kept.event_id)"
    );
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await.context("comparing the inboxes")?;
    Ok(())
}

/// Forgets what the shadow has by now, and what has expired, which it will never have; returns how many it still lacks.
///
/// # Errors
/// When Postgres refuses.
pub async fn lacking(connection: &mut PgConnection, schema: &str) -> anyhow::Result<i64> {
    let forget = [
        format!("DELETE FROM {schema}.arrived USING {schema}.inbox WHERE arrived.event_id = inbox.event_id"),
        format!("DELETE FROM {schema}.arrived WHERE event_id < valera_first_id((SELECT horizon FROM settings))"),
    ];
    run(connection, &forget).await.context("catching up")?;
    let count = format!("SELECT count(DISTINCT event_id) FROM {schema}.arrived");
    sqlx::query_scalar(AssertSqlSafe(count)).fetch_one(connection).await.context("catching up")
}

/// Ids that were noted longer than `patience` ago and that raw does not have.
///
/// # Errors
/// When Postgres refuses.
pub async fn overdue(connection: &mut PgConnection, schema: &str, patience: Duration) -> anyhow::Result<Vec<Uuid>> {
    let query = format!(
        "SELECT DISTINCT event_id
         FROM {schema}.arrived
         WHERE noted_at < clock_timestamp() - make_interval(secs => $1)
            AND NOT EXISTS (SELECT FROM analytics_events AS raw WHERE raw.event_id = arrived.event_id)"
    );
    let overdue = sqlx::query_scalar(AssertSqlSafe(query)).bind(patience.as_secs_f64()).fetch_all(connection).await;
    overdue.context("asking for what raw does not get")
}

/// Forgets those of `ids` that raw lacks because Postgres refused to store them: they stand in the dead letters. Returns
/// them, and then some of those that raw lacks for no such reason.
///
/// # Errors
/// When Postgres refuses.
pub async fn excuse_refused(
    connection: &mut PgConnection,
    schema: &str,
    ids: &[Uuid],
) -> anyhow::Result<(Vec<Uuid>, Vec<Uuid>)> {
    let refused = comparison::refused(connection, ids).await?;
    // A retry may just have been stored.
    let lacks = "AND NOT EXISTS (SELECT FROM analytics_events AS raw WHERE raw.event_id = arrived.event_id)";
    let forget = format!(
        "WITH gone AS (DELETE FROM {schema}.arrived WHERE event_id = ANY ($1) {lacks} RETURNING event_id)
         SELECT DISTINCT event_id FROM gone"
    );
    let refused = sqlx::query_scalar(AssertSqlSafe(forget)).bind(refused).fetch_all(&mut *connection).await?;
    let left = format!("SELECT DISTINCT event_id FROM {schema}.arrived WHERE event_id = ANY ($1) {lacks} LIMIT 5");
    let left = sqlx::query_scalar(AssertSqlSafe(left)).bind(ids).fetch_all(connection).await?;
    Ok((refused, left))
}

/// How many buckets a rollup and its shadow have.
///
/// # Errors
/// When Postgres refuses.
pub async fn buckets(snapshot: &mut PgConnection, rollup: &Rollup) -> anyhow::Result<(i64, i64)> {
    let name = rollup.name;
    let query = format!("SELECT (SELECT count(*) FROM rollups.{name}), (SELECT count(*) FROM {NEXT}.{name})");
    sqlx::query_as(AssertSqlSafe(query)).fetch_one(snapshot).await.context("counting buckets")
}

/// Events that a rebuild has, since it has all of raw, and that the live rollups have not.
///
/// # Errors
/// When Postgres refuses.
pub async fn not_taken_in(snapshot: &mut PgConnection) -> anyhow::Result<i64> {
    let query = format!(
        "SELECT count(*)
         FROM {NEXT}.inbox AS rebuilt
         WHERE NOT EXISTS (SELECT FROM rollups.inbox AS kept WHERE kept.event_id = rebuilt.event_id)"
    );
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(snapshot).await.context("comparing the inboxes")
}

/// In which zone the tables of this schema are cut; `None` where there are none.
///
/// # Errors
/// When Postgres does not answer.
pub async fn zone_of(connection: &mut PgConnection, schema: &str) -> anyhow::Result<Option<String>> {
    let table = format!("{schema}.cut_in");
    let exists: bool =
        sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL").bind(&table).fetch_one(&mut *connection).await?;
    if !exists {
        return Ok(None);
    }
    let query = format!("SELECT time_zone FROM {table}");
    Ok(sqlx::query_scalar(AssertSqlSafe(query)).fetch_optional(connection).await?)
}

/// Ends what [`note_arrivals`] began.
///
/// # Errors
/// When Postgres refuses.
pub async fn stop_noting(connection: &mut PgConnection, schema: &str) -> anyhow::Result<()> {
    let script = [
        format!("DROP FUNCTION IF EXISTS {schema}.note_arrivals() CASCADE"),
        format!("DROP TABLE IF EXISTS {schema}.arrived"),
    ];
    run_briefly(connection, &script).await.context("no longer noting what the rollups take in")
}

/// Keeps recounts from beginning until the end of the transaction; `false` while one is at work. An exchange under its
/// snapshot would deceive it.
///
/// # Errors
/// When Postgres does not answer.
pub async fn forbid_recounts(connection: &mut PgConnection) -> anyhow::Result<bool> {
    Ok(sqlx::query_scalar("SELECT pg_try_advisory_xact_lock(20261, 4)").fetch_one(connection).await?)
}

/// Lets the planner know what is in the shadows.
///
/// # Errors
/// When Postgres refuses.
pub async fn analyze(connection: &mut PgConnection, schema: &str, tables: &BTreeSet<String>) -> anyhow::Result<()> {
    let script: Vec<String> = tables.iter().map(|table| format!("ANALYZE {schema}.{table}")).collect();
    run(connection, &script).await.context("analyzing the shadows")
}

pub(super) fn names(tables: &BTreeSet<String>) -> Vec<&str> {
    tables.iter().map(String::as_str).collect()
}

pub(super) async fn run(connection: &mut PgConnection, script: &[String]) -> sqlx::Result<()> {
    let script = script.iter().map(|statement| format!("{};\n", statement.trim_end().trim_end_matches(';')));
    sqlx::raw_sql(AssertSqlSafe(script.collect::<String>())).execute(connection).await.map(drop)
}

/// Runs what needs a lock on the live inbox. Whoever queues for one keeps the folds waiting behind it, so it is asked for
/// briefly, and as often as needed: a recount reads the inbox for minutes.
async fn run_briefly(connection: &mut PgConnection, script: &[String]) -> Result<(), Failure> {
    let brief: Vec<String> = ["SET LOCAL lock_timeout = '400ms'".to_owned()].iter().chain(script).cloned().collect();
    loop {
        // One string of statements is one transaction.
        match run(connection, &brief).await.map_err(Failure::from) {
            Err(Failure::LockTimeout) => tokio::time::sleep(Duration::from_millis(500)).await,
            ran => return ran,
        }
    }
}
