//! `verify` finds a counter that is off by one, and nothing where all is well, whoever is ahead of whom.

mod live;
mod position;
mod positions;
mod repair;

use crate::support::{System, event, eventually};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection};
use std::time::Duration;
use uuid::Uuid;
use valera_pipeline::{
    consume::Link,
    rollups::{ALL, Rollup},
    service::Service,
    store::inbox,
    verify::{self, BucketDifference, Verdict},
};

async fn verdict(system: &System) -> Verdict {
    verdict_within(system, Duration::from_secs(1)).await
}

async fn verdict_within(system: &System, patience: Duration) -> Verdict {
    let link = Link::new(system.local.nats.url(), "verify");
    verify::verify(&link, &system.local.postgres.url(), patience, |_| {}).await.unwrap()
}

/// The verdict of a `verify` that waits for raw while something else is done.
async fn verdict_while(system: &System, done: impl Future<Output = ()>) -> Verdict {
    let waiting = async {
        eventually("verify waits for raw", || async {
            let asks = "SELECT count(*) FROM pg_stat_activity
                WHERE application_name = 'valera verify, outside the snapshot' AND query <> ''";
            system.count(asks).await > 0
        })
        .await;
        done.await;
    };
    futures::join!(verdict_within(system, Duration::from_secs(60)), waiting).0
}

/// One event of each kind that some rollup counts, at so many hours.
async fn publish(system: &System, hours: i64) {
    for n in 0..hours {
        for (name, properties) in [
            ("ai_dialog_started", json!({})),
            ("service_suggested", json!({"service_name": "paint", "confidence_score": 0.5})),
            ("booking_request_created", json!({"booking_id": n, "services_count": 1, "estimated_total": 1})),
            ("ai_response_time", json!({"duration_ms": n, "model_used": "m"})),
            ("error_occurred", json!({"error_class": "Timeout"})),
        ] {
            event(name, n % 7, Utc::now() - TimeDelta::hours(n), properties).publish(system).await;
        }
    }
}

fn differences(verdict: &Verdict) -> Vec<(&'static str, &BucketDifference)> {
    verdict.rollups.iter().flat_map(|rollup| rollup.differences.iter().map(|d| (rollup.name, d))).collect()
}

/// Adds one to a column in one row of a rollup, between two folds, and gives the key of that row.
async fn flip(system: &System, rollup: &Rollup, column: &str) -> Value {
    let key: Vec<_> = rollup.key().map(|column| format!("'{column}', {column}")).collect();
    let query = format!(
        "UPDATE rollups.{name} SET {column} = {column} + 1
         WHERE ctid = (SELECT min(ctid) FROM rollups.{name})
         RETURNING jsonb_build_object({key})",
        name = rollup.name,
        key = key.join(", ")
    );
    let mut connection = system.postgres().await;
    let mut transaction = connection.begin().await.unwrap();
    inbox::lock(&mut transaction).await.unwrap();
    let key = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn one_counter_flipped_by_hand_in_any_rollup_is_named_and_nothing_else() {
    let system = System::start().await;
    publish(&system, 10).await;
    system.settle().await;
    let before = verdict(&system).await;
    assert!(before.agrees(), "{before:?}");

    for rollup in ALL.iter().filter(|rollup| rollup.is_table()) {
        let column = match rollup.name {
            "chat_days" | "event_counts_hourly" => "events",
            "chats" | "funnel_daily" | "funnel_weekly" => "bookings",
            "response_histograms_hourly" => "slow_responses",
            "service_suggestions_daily" => "accepted",
            "errors_hourly" => "errors",
            other => panic!("which counter of {other} is to be flipped?"),
        };
        let key = flip(&system, rollup, column).await;

        let after = verdict(&system).await;
        assert!(!after.agrees() && after.is_repairable());
        // A view over chat_days shows the same counter.
        let named = differences(&after).into_iter().filter(|(name, _)| *name != "chat_weeks");
        let named: Vec<_> = named.collect();
        let [(name, difference)] = named.as_slice() else { panic!("{}: {named:?}", rollup.name) };
        assert_eq!((*name, json!(difference.key)), (rollup.name, key));
        let counted = |side: &Value| side[column].as_i64().unwrap();
        assert_eq!(counted(&difference.kept), counted(&difference.recounted) + 1, "{difference:?}");

        let repaired = verify::repair(&system.local.postgres.url(), Duration::ZERO, |_| {}).await.unwrap();
        assert_eq!((repaired.buckets, repaired.disagreeing, repaired.refused), (1, 0, 0));
        assert!(verdict(&system).await.agrees());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_column_that_a_rollup_stores_is_recounted() {
    let system = System::start().await;
    for rollup in ALL.iter().filter(|rollup| rollup.is_table()) {
        let query = format!(
            "SELECT attname::text FROM pg_attribute
             WHERE attrelid = 'rollups.{}'::regclass AND attnum > 0 AND NOT attisdropped",
            rollup.name
        );
        let stored: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(&mut system.postgres().await).await.unwrap();
        let mut recounted: Vec<_> = rollup.key().chain(rollup.columns()).collect();
        let mut stored: Vec<_> = stored.iter().map(String::as_str).collect();
        recounted.sort_unstable();
        stored.sort_unstable();
        assert_eq!(recounted, stored, "{}", rollup.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fold_that_takes_its_time_holds_no_verify_up() {
    let system = System::start().await;
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    let mut fold = system.postgres().await;
    let mut fold = fold.begin().await.unwrap();
    inbox::lock(&mut fold).await.unwrap();
    let found = tokio::time::timeout(Duration::from_secs(20), verdict(&system)).await;
    assert!(found.expect("verify waited for the folds' lock").agrees());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_rollups_have_not_reached_is_pending_and_no_difference() {
    let system = System::start().await;
    publish(&system, 2).await;
    system.run_dry(Service::Persister).await;

    let verdict = verdict(&system).await;
    assert!(verdict.agrees(), "{verdict:?}");
    assert_eq!((verdict.raw_events, verdict.pending), (10, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_the_rollups_have_acknowledged_and_do_not_hold_is_missing() {
    let system = System::start().await;
    publish(&system, 2).await;
    system.settle().await;
    let lost =
        "DELETE FROM rollups.inbox WHERE event_id = (SELECT event_id FROM rollups.inbox LIMIT 1) RETURNING event_id";
    let [(lost,)]: [(Uuid,); 1] = system.rows(lost).await.try_into().unwrap();

    let verdict = verdict(&system).await;
    assert_eq!((verdict.missing.as_slice(), verdict.pending), ([lost].as_slice(), 0));
    assert!(!verdict.agrees());
    system.says(&["verify"]).complaining(1, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn all_buckets_that_differ_are_counted_also_those_that_are_not_shown() {
    let system = System::start().await;
    for chat in 0..120 {
        event("review_left", chat, Utc::now(), json!({})).publish(&system).await;
    }
    system.settle().await;
    sqlx::raw_sql("UPDATE rollups.chats SET events = events + 1")
        .execute(&mut system.postgres().await)
        .await
        .unwrap();
    let verdict = verdict(&system).await;
    let chats = verdict.rollups.iter().find(|rollup| rollup.name == "chats").unwrap();
    assert_eq!((chats.differing, chats.differences.len()), (120, 100));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_only_the_rollups_have_is_awaited_and_then_named() {
    let system = System::start().await;
    publish(&system, 2).await;
    system.run_dry(Service::Rollups).await;

    let verdict = verdict(&system).await;
    assert_eq!(verdict.unstored.len(), 10);
    assert!(!verdict.agrees() && !verdict.is_repairable());
    let refused = verify::repair(&system.local.postgres.url(), Duration::ZERO, |_| {}).await;
    assert!(refused.unwrap_err().to_string().contains("raw lacks 10 events"));

    system.settle().await;
    let settled = self::verdict(&system).await;
    assert!(settled.agrees(), "{settled:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_comes_while_it_is_awaited_is_recounted_to_the_last_digit() {
    let system = System::start().await;
    let at: DateTime<Utc> = Utc::now();
    let properties = r#"{"service_name":"paint","confidence_score":0.1234567890123456789012345678}"#;
    let body = format!(r#"{{"chat_id":1,"occurred_at":"{}","properties":{properties}}}"#, at.to_rfc3339());
    system.publish("analytics.service_suggested", &[("Nats-Msg-Id", "digits/1")], body).await;
    system.run_dry(Service::Rollups).await;

    let verdict = verdict_while(&system, system.run_dry(Service::Persister)).await;
    assert!(verdict.agrees(), "{verdict:?}");
    assert_eq!((verdict.raw_events, verdict.late), (0, 1));
}
