//! A dry run: it counts what would be new and writes nothing, gives way and keeps to its rate as a replay does.

use super::{Slow, all_into, system_that_is_behind};
use crate::support::{Load, System, contents, event, eventually};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::{cell::Cell, sync::Arc};
use tokio_util::sync::CancellationToken;
use valera_pipeline::{
    replay::{Bound, Progress, Request, preview},
    service::Service,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_counts_by_event_and_day_what_would_be_new_and_writes_nothing() {
    let system = System::start().await;
    // 01:00 of the second day in Moscow is still the first in UTC.
    let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
    let yesterday = event("cart_confirmed", 1, at("2026-11-01T12:00:00Z"), json!({})).unchecked_by_broker();
    let night = event("cart_confirmed", 1, at("2026-11-01T22:00:00Z"), json!({}));
    yesterday.publish(&system).await;
    system.settle().await;
    yesterday.publish(&system).await;
    night.publish(&system).await;
    let unread = event("ai_dialog_started", 2, at("2026-11-01T12:00:00Z"), json!({})).unchecked_by_broker();
    unread.publish(&system).await;
    unread.publish(&system).await;
    let bad = event("booking_request_created", 7, at("2026-11-01T12:00:00Z"), json!({"booking_id": 1}));
    bad.publish(&system).await;
    let before = contents(&system).await;

    for into in ["persister", "rollups"] {
        let said = system.says(&["replay", "--into", into, "--dry-run", "--json"]).well();
        let rows: Value = serde_json::from_str(&said).unwrap();
        let counts: Vec<_> = (rows.as_array().unwrap().iter())
            .map(|row| {
                let of = |name: &str| row[name].clone();
                (of("day"), of("event_name"), [of("messages"), of("new"), of("duplicate"), of("rejected")])
            })
            .collect();
        let expected = [
            ("2026-11-01", "ai_dialog_started", [2, 1, 1, 0]),
            ("2026-11-01", "booking_request_created", [1, 0, 0, 1]),
            ("2026-11-01", "cart_confirmed", [2, 0, 2, 0]),
            ("2026-11-02", "cart_confirmed", [1, 1, 0, 0]),
        ];
        let expected =
            expected.map(|(day, name, counts)| (json!(day), json!(name), counts.map(|count| json!(count))));
        assert_eq!(counts, expected, "into {into}");
    }
    assert_eq!(contents(&system).await, before);
    assert_eq!(system.count("SELECT count(*) FROM replays").await, 0);
    let table = system.says(&["replay", "--into", "rollups", "--dry-run"]).well();
    assert!(table.contains("Total"), "{table}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_dry_run_waits_for_live_traffic_that_is_behind() {
    let system = system_that_is_behind().await;
    let live = system.run_with(Service::Persister, Arc::new(Slow));
    eventually("the live worker gets on", async || system.count("SELECT count(*) FROM analytics_events").await > 0)
        .await;
    let mut waited = false;
    let watch = |progress: &Progress| waited |= progress.behind.is_some();
    let request = Request { to: Some(Bound::Sequence(300)), ..all_into(Service::Persister) };
    // At this rate the live worker acknowledges some batches between two of the dry run's.
    let rows = preview(system.environment(), &request, Some(200), watch, &CancellationToken::new()).await.unwrap();
    assert!(waited, "live traffic was not let by");
    assert_eq!(rows.iter().map(|row| row.messages).sum::<u64>(), 300);
    live.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_that_loses_its_session_says_so_and_counts_nothing() {
    let system = System::start().await;
    Load::start(&system, 4_000, 300).await.stop().await;
    let request = Request { to: Some(Bound::Sequence(300)), ..all_into(Service::Persister) };
    let never = CancellationToken::new();
    let batches = Cell::new(0);
    let watch = |_: &Progress| batches.set(batches.get() + 1);
    // With a rate, a batch is a quarter of a second's.
    let counting = preview(system.environment(), &request, Some(200), watch, &never);
    let losing = async {
        eventually("it has counted something", async || batches.get() > 0).await;
        let ended = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                     WHERE application_name = 'valera replay, dry run'";
        assert_eq!(system.count(ended).await, 1);
    };
    let (counted, ()) = futures::join!(counting, losing);
    let refused = format!("{:#}", counted.unwrap_err());
    assert!(refused.contains("run it again"), "{refused}");

    let rows = preview(system.environment(), &request, None, |_| {}, &never).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.messages).sum::<u64>(), 300);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_keeps_to_its_rate() {
    let system = System::start().await;
    Load::start(&system, 4_000, 100).await.stop().await;
    let request = Request { to: Some(Bound::Sequence(100)), ..all_into(Service::Rollups) };
    let mut batches = std::collections::BTreeSet::new();
    let watch = |progress: &Progress| {
        batches.insert(progress.position);
    };
    preview(system.environment(), &request, Some(100), watch, &CancellationToken::new()).await.unwrap();
    assert_eq!(batches.into_iter().collect::<Vec<_>>(), [25, 50, 75, 100]);
}
