//! A rebuild beside those who write and read the rollups, and beside what holds it up.

use super::built;
use crate::support::{A_MINUTE, Load, System, assert_rollups_agree, contents, event, eventually};
use chrono::{TimeDelta, Utc};
use serde_json::json;
use sqlx::Connection;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use valera_pipeline::{
    rebuild::Rebuild,
    service::Service,
    store::shadow::{PREVIOUS, note_arrivals},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_long_query_delays_the_swap_and_is_not_delayed_by_it() {
    let system = System::start().await;
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    let mut reader = system.postgres().await;
    let mut query = reader.begin().await.unwrap();
    sqlx::query("SELECT * FROM rollups.chat_weeks").fetch_all(&mut *query).await.unwrap();
    let mut swapping = system.start_program(&["rebuild", "--yes"]);
    // What it waits for is what we hold.
    let waits = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'";
    eventually("the swap waits", async || system.count(waits).await > 0).await;
    // Others go on reading and folding meanwhile: whoever queues behind it is let by.
    let read = "SET statement_timeout = '10s'; SELECT FROM rollups.chat_weeks";
    sqlx::raw_sql(read).execute(&mut system.postgres().await).await.expect("readers wait for the swap");
    event("cart_confirmed", 2, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM rollups.chats").await, 2);
    assert!(swapping.has_ended().is_none());
    query.rollback().await.unwrap();
    assert!(swapping.ended("the swap goes through").await.success());
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_is_thrown_away_under_a_recount_keeps_no_fold_waiting() {
    let system = System::start().await;
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    let mut recount = system.postgres().await;
    let mut snapshot = recount.begin().await.unwrap();
    sqlx::query("SELECT * FROM rollups.inbox").fetch_all(&mut *snapshot).await.unwrap();
    let mut rebuilding = system.start_program(&["rebuild"]);
    let asks = "SELECT count(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'";
    eventually("its trigger is to be removed", async || system.count(asks).await > 0).await;
    // A fold queues behind it, and is let by.
    let fold = "SET statement_timeout = '10s'; LOCK TABLE rollups.inbox IN ROW EXCLUSIVE MODE";
    sqlx::raw_sql(fold).execute(&mut system.postgres().await).await.expect("folds wait for the rebuild");
    event("cart_confirmed", 2, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM rollups.chats").await, 2);
    snapshot.rollback().await.unwrap();
    // Not swapped in for want of a terminal, and nothing of it left.
    assert_eq!(rebuilding.ended("the rebuild clears up").await.code(), Some(1));
    assert_eq!(system.count("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal").await, 0);
    assert_rollups_agree(&system).await;
}

/// Writes the letter of an event that Postgres refused to store.
pub(super) async fn refuse(system: &System, event_id: Uuid) {
    let letter = format!(
        "INSERT INTO dead_letters (id, event_id, subject, reasons, payload, stream_seq, received_at)
         VALUES (gen_random_uuid(), '{event_id}', 'analytics.cart_confirmed', '[{{\"reason\": \"refused_by_database\"}}]', '', 2, now())"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(letter)).execute(&mut system.postgres().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_raw_never_gets_keeps_the_rebuild_from_being_swapped_in_and_is_named() {
    let system = System::start().await;
    let known = event("cart_confirmed", 1, Utc::now(), json!({}));
    known.publish(&system).await;
    system.settle().await;
    let lost = event("cart_confirmed", 2, Utc::now(), json!({}));
    lost.publish(&system).await;
    system.settle().await;
    let lose = format!("DELETE FROM analytics_events WHERE event_id = '{}'", lost.event_id());
    sqlx::raw_sql(sqlx::AssertSqlSafe(lose)).execute(&mut system.postgres().await).await.unwrap();
    let before = contents(&system).await;
    system.says(&["rebuild", "--yes", "--wait", "1"]).complaining(1, &[&lost.event_id().to_string(), "verify"]);
    assert_eq!(contents(&system).await, before);

    // The dead letters say why it is not there: then it is left out, and said.
    refuse(&system, lost.event_id()).await;
    let said = system.says(&["rebuild", "--yes", "--wait", "1"]).well();
    assert!(said.contains("left out") && said.contains("1 events"), "{said}");
    assert_eq!(system.count("SELECT count(*) FROM rollups.chats").await, 1);
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_raw_never_gets_is_named_or_left_out_under_live_load_too() {
    let system = System::start().await;
    let lost = event("cart_confirmed", 2, Utc::now(), json!({}));
    lost.publish(&system).await;
    system.settle().await;
    let lose = format!("DELETE FROM analytics_events WHERE event_id = '{}'", lost.event_id());
    sqlx::raw_sql(sqlx::AssertSqlSafe(lose)).execute(&mut system.postgres().await).await.unwrap();
    let services = Service::ALL.map(|service| system.run(service));
    let load = Load::start(&system, 500, 500).await;
    let shutdown = CancellationToken::new();
    let build = || Rebuild::build(system.environment(), Duration::from_secs(1), |_| {}, &shutdown);
    let built = tokio::time::timeout(A_MINUTE, build()).await.expect("it gives up although events arrive");
    let cause = built.err().unwrap().to_string();
    assert!(cause.contains(&lost.event_id().to_string()), "{cause}");

    refuse(&system, lost.event_id()).await;
    let built = tokio::time::timeout(A_MINUTE, build()).await.expect("it leaves out although events arrive").unwrap();
    let swapped = tokio::time::timeout(A_MINUTE, built.swap(|_| {})).await.expect("it is swapped in").unwrap();
    assert_eq!(swapped.refused, [lost.event_id()]);
    load.stop().await;
    system.drained().await;
    for service in services {
        service.stop().await;
    }
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_expires_while_a_rebuild_is_at_work_is_not_waited_for() {
    let system = System::start().await;
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    let rebuilt = built(&system).await;
    event("cart_confirmed", 2, Utc::now() - TimeDelta::days(2), json!({})).publish(&system).await;
    system.settle().await;
    let expire = "UPDATE settings SET horizon = now() - interval '1 day'";
    sqlx::raw_sql(expire).execute(&mut system.postgres().await).await.unwrap();
    tokio::time::timeout(A_MINUTE, rebuilt.swap(|_| {})).await.expect("it is swapped in").unwrap();
    assert_eq!(system.count("SELECT count(*) FROM rollups.chats").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swap_back_that_fails_or_is_killed_leaves_no_trigger_on_the_live_inbox() {
    let system = System::start().await;
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    system.says(&["rebuild", "--yes"]).well();
    let empty = "TRUNCATE rollups_previous.calendar";
    sqlx::raw_sql(empty).execute(&mut system.postgres().await).await.unwrap();
    let triggers = async || system.count("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal").await;
    system.says(&["rebuild", "--swap-back"]).complaining(1, &["rollups_previous.calendar is empty"]);
    assert_eq!(triggers().await, 0);
    // As one that was killed leaves it.
    note_arrivals(&mut system.postgres().await, PREVIOUS).await.unwrap();
    assert_eq!(triggers().await, 1);
    built(&system).await.discard().await.unwrap();
    assert_eq!(triggers().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_rebuilds_leave_the_rollups_alone_and_the_next_one_goes_through() {
    let system = System::start().await;
    Load::start(&system, 4_000, 3_000).await.stop().await;
    system.settle().await;
    let before = contents(&system).await;
    for _ in 0..5 {
        let mut process = system.start_program(&["rebuild", "--yes", "--wait", "1"]);
        tokio::time::sleep(Duration::from_millis(rand::random_range(100..1_500))).await;
        process.kill();
        event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
        system.settle().await;
        assert_rollups_agree(&system).await;
    }
    system.says(&["rebuild", "--yes"]).well();
    assert_rollups_agree(&system).await;
    assert_eq!(contents(&system).await.len(), before.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn only_one_rebuild_is_at_work() {
    let system = System::start().await;
    let rebuilt = built(&system).await;
    system.says(&["rebuild", "--yes"]).complaining(1, &["another rebuild"]);
    rebuilt.discard().await.unwrap();
    system.says(&["rebuild", "--yes"]).well();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rebuild_that_has_ended_lets_the_next_one_begin_at_once() {
    let system = System::start().await;
    for _ in 0..10 {
        built(&system).await.swap(|_| {}).await.unwrap();
        built(&system).await.discard().await.unwrap();
    }
}
