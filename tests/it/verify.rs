//! `verify` finds a counter that is off by one, and nothing where all is well.

use crate::support::{System, event};
use chrono::{TimeDelta, Utc};
use serde_json::json;
use std::time::Duration;
use valera_pipeline::{
    consume::Link,
    service::Service,
    verify::{self, Verdict},
};

async fn verdict(system: &System) -> Verdict {
    let link = Link::new(system.local.nats.url(), "verify");
    verify::verify(&link, &system.local.postgres.url(), Duration::from_secs(1), |_| {}).await.unwrap()
}

async fn publish(system: &System, events: i64) {
    for n in 0..events {
        let at = Utc::now() - TimeDelta::hours(n);
        event("ai_response_time", n % 7, at, json!({"duration_ms": n, "model_used": "m"})).publish(system).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_counter_flipped_by_hand_is_named_and_nothing_else() {
    let system = System::start().await;
    publish(&system, 40).await;
    system.settle().await;
    let before = verdict(&system).await;
    assert!(before.agrees(), "{before:?}");

    sqlx::query("UPDATE rollups.event_counts_hourly SET events = events + 1 WHERE hour = (SELECT min(hour) FROM rollups.event_counts_hourly)")
        .execute(&mut system.postgres().await)
        .await
        .unwrap();

    let after = verdict(&system).await;
    assert!(!after.agrees());
    let differing: Vec<_> =
        after.rollups.iter().flat_map(|rollup| rollup.differences.iter().map(|d| (rollup.name, d))).collect();
    let [("event_counts_hourly", difference)] = differing.as_slice() else { panic!("{differing:?}") };
    assert_eq!((&difference.kept, &difference.recounted), (&json!({"events": 2}), &json!({"events": 1})));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_rollups_have_not_reached_is_pending_and_no_difference() {
    let system = System::start().await;
    publish(&system, 10).await;
    let persister = system.run(Service::Persister);
    system.consumer_drained(Service::Persister).await;
    persister.stop().await;

    let verdict = verdict(&system).await;
    assert!(verdict.agrees(), "{verdict:?}");
    assert_eq!((verdict.raw_events, verdict.pending), (10, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_only_the_rollups_have_is_awaited_and_then_named() {
    let system = System::start().await;
    publish(&system, 10).await;
    let rollups = system.run(Service::Rollups);
    system.consumer_drained(Service::Rollups).await;
    rollups.stop().await;

    let verdict = verdict(&system).await;
    assert_eq!(verdict.unstored.len(), 10);
    system.settle().await;
    let settled = self::verdict(&system).await;
    assert!(settled.agrees(), "{settled:?}");
}
