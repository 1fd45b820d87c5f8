//! A long history for the dashboard queries: raw events by SQL, and their rollups by the folds' own statements.
//!
//! Ten million events through the stream would take minutes that say nothing about reading. So Postgres makes the rows
//! itself, and each day is grouped by SQL into the temporary tables from which the service folds.
//!
//! It does not fill the inbox: nothing is folded here twice.

use crate::{corpus::CHATS, ground::Ground};
use anyhow::{Context, ensure};
use chrono::{DateTime, Days, NaiveDate, Utc};
use sqlx::{Connection, PgConnection};
use valera_analytics::output;
use valera_pipeline::rollups;

/// How far the history reaches back.
pub(crate) const DAYS: u64 = 90;

/// Fills an empty database.
pub(crate) async fn fill(ground: &Ground, events: u32) -> anyhow::Result<()> {
    ground.fresh_database().await?;
    output::print(&format!("{events} raw events of {DAYS} days and {CHATS} chats, by SQL\n"))?;
    let mut connection = ground.postgres().await?;
    let today = Utc::now().date_naive();
    let days: Vec<NaiveDate> = (0..=DAYS).rev().filter_map(|ago| today.checked_sub_days(Days::new(ago))).collect();
    for day in &days {
        sqlx::query("SELECT valera_attach_month('analytics_events', $1)").bind(day).execute(&mut connection).await?;
    }
    sqlx::query("SELECT setseed(0.15)").execute(&mut connection).await?;
    sqlx::query(include_str!("history.sql")).bind(i64::from(events)).execute(&mut connection).await?;
    vacuum(&mut connection).await?;
    fold(&mut connection, &days).await?;
    vacuum(&mut connection).await?;
    let folded: i64 = sqlx::query_scalar("SELECT sum(events)::bigint FROM rollups.event_counts_hourly")
        .fetch_one(&mut connection)
        .await?;
    ensure!(folded == i64::from(events), "{folded} events folded of {events}");
    Ok(())
}

async fn fold(connection: &mut PgConnection, days: &[NaiveDate]) -> anyhow::Result<()> {
    sqlx::raw_sql(rollups::SESSION).execute(&mut *connection).await?;
    sqlx::query("SET jit = off").execute(&mut *connection).await?;
    for day in days {
        let mut transaction = connection.begin().await?;
        let starts_at: DateTime<Utc> = day.and_time(chrono::NaiveTime::MIN).and_utc();
        for grouped in [include_str!("history_batch.sql"), include_str!("history_batch_chats.sql")] {
            sqlx::query(grouped).bind(starts_at).execute(&mut *transaction).await?;
        }
        for rollup in rollups::ALL {
            for statement in rollup.folds() {
                sqlx::query(statement).execute(&mut *transaction).await.context(rollup.name)?;
            }
        }
        transaction.commit().await?;
    }
    Ok(())
}

/// As autovacuum would have by then; it also summarises the BRIN.
async fn vacuum(connection: &mut PgConnection) -> anyhow::Result<()> {
    sqlx::query("VACUUM ANALYZE").execute(connection).await?;
    Ok(())
}
