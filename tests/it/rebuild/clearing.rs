//! What a rebuild leaves behind: nothing of its own, and everything of another's.

use super::built;
use crate::support::{A_MINUTE, System, event, eventually};
use anyhow::Context;
use chrono::Utc;
use serde_json::{Value, json};
use sqlx::PgConnection;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use valera_pipeline::{
    rebuild::{Rebuild, Stage, swap_back},
    store::shadow::{PREVIOUS, note_arrivals},
};

pub(super) const TRIGGERS: &str = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal";
pub(super) const SHADOWS: &str = "SELECT count(*) FROM pg_namespace WHERE nspname = 'rollups_next'";

/// Reads the live inbox like a recount until it is dropped; who would drop the trigger there has to wait.
async fn recount(system: &System) -> PgConnection {
    let mut recount = system.postgres().await;
    sqlx::raw_sql("BEGIN; SELECT FROM rollups.inbox").execute(&mut recount).await.unwrap();
    recount
}

/// Why the next rebuild does not begin.
async fn turned_away(system: &System) -> anyhow::Result<String> {
    let shutdown = CancellationToken::new();
    let next = Rebuild::build(system.environment(), Duration::from_secs(1), |_| {}, &shutdown);
    let next = tokio::time::timeout(A_MINUTE, next).await.context("the next one gets in and is held up")?;
    Ok(next.err().context("the next one goes through")?.to_string())
}

/// What another one builds meanwhile would have the same name, and be thrown away with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_thrown_away_keeps_the_next_one_out_until_it_is_gone() {
    let system = System::start().await;
    let rebuilt = built(&system).await;
    let recount = recount(&system).await;
    let beside = async {
        let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'";
        eventually("it waits for the recount", async || system.count(waits).await > 0).await;
        let cause = turned_away(&system).await;
        drop(recount);
        cause
    };
    let (discarded, cause) = futures::join!(rebuilt.discard(), beside);
    let cause = cause.unwrap();
    assert!(cause.contains("another rebuild"), "{cause}");
    discarded.unwrap();
    assert_eq!((system.count(SHADOWS).await, system.count(TRIGGERS).await), (0, 0));
    built(&system).await.discard().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_back_that_is_stopped_keeps_the_next_one_out_until_its_trigger_is_gone() {
    let system = System::start().await;
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    built(&system).await.swap(|_| {}).await.unwrap();
    let recount = recount(&system).await;
    let stop = CancellationToken::new();
    let watch = |stage| {
        if stage == Stage::AwaitingReaders {
            stop.cancel();
        }
    };
    let beside = async {
        stop.cancelled().await;
        let cause = turned_away(&system).await;
        drop(recount);
        cause
    };
    let swapping = swap_back(system.environment(), Duration::from_secs(1), watch, &stop);
    let (swapped, cause) = futures::join!(swapping, beside);
    let cause = cause.unwrap();
    assert!(cause.contains("another rebuild"), "{cause}");
    assert_eq!(swapped.unwrap_err().to_string(), "interrupted");
    assert_eq!(system.count(TRIGGERS).await, 0);
}

/// Ends the session of a rebuild that holds its lock.
async fn end_session(system: &System) {
    let end =
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = 'valera rebuild'";
    assert_eq!(system.count(end).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_lost_its_lock_clears_up_only_where_no_other_is_at_work() {
    let system = System::start().await;
    let first = built(&system).await;
    end_session(&system).await;
    let second = built(&system).await;
    let cause = first.discard().await.unwrap_err().to_string();
    assert!(cause.contains("another rebuild"), "{cause}");
    second.swap(|_| {}).await.unwrap();

    let third = built(&system).await;
    end_session(&system).await;
    third.discard().await.unwrap();
    assert_eq!((system.count(SHADOWS).await, system.count(TRIGGERS).await), (0, 0));
}

/// The schema that `status` names, as JSON; the text names it too, and what removes it.
fn left_behind(system: &System) -> Option<String> {
    let json = system.says(&["status", "--json"]).well();
    let rows: Vec<Value> = serde_json::from_str(&json).unwrap();
    let named = rows.iter().find(|row| row["name"] == "rollups").unwrap()["left_behind"].as_str().map(str::to_owned);
    let text = system.says(&["status"]).well();
    let schema = named.as_deref().unwrap_or("rollups_");
    assert_eq!(text.contains(schema) && text.contains("`valera-analytics rebuild`"), named.is_some(), "{text}");
    named
}

#[tokio::test(flavor = "multi_thread")]
async fn status_names_what_a_killed_rebuild_left_behind_until_the_next_one_is_at_work() {
    let system = System::start().await;
    assert_eq!(left_behind(&system), None);
    // As one that was killed leaves it. Postgres takes a moment to notice.
    drop(built(&system).await);
    eventually("its lock is gone", async || {
        system.count("SELECT count(*) FROM pg_locks WHERE classid = 20261 AND objid = 3").await == 0
    })
    .await;
    assert_eq!(left_behind(&system).as_deref(), Some("rollups_next"));

    let next = built(&system).await;
    assert_eq!(left_behind(&system), None);
    next.swap(|_| {}).await.unwrap();
    assert_eq!(left_behind(&system), None);

    // A swap back that is killed.
    note_arrivals(&mut system.postgres().await, PREVIOUS).await.unwrap();
    assert_eq!(left_behind(&system).as_deref(), Some("rollups_previous"));
    built(&system).await.discard().await.unwrap();
    assert_eq!(left_behind(&system), None);
}
