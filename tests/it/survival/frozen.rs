//! Workers frozen in the middle of a transaction: the others go on within a minute, and who wakes up counts nothing twice.
//!
//! These take half a minute each, because the deadlines that they wait for are the product's own.

use crate::support::{Ledger, System, assert_rollups_agree, event, eventually};
use chrono::Utc;
use serde_json::json;
use sqlx::Connection;
use valera_pipeline::service::Service;
use valera_tracker::Publisher;

async fn publish(system: &System, ledger: &mut Ledger, events: i64) {
    let round: Vec<_> = (0..events)
        .map(|n| ledger.enter(Utc::now(), "ai_response_time", n, &json!({"duration_ms": n, "model_used": "m"})))
        .collect();
    let client = async_nats::connect(system.local.nats.url()).await.unwrap();
    Publisher::new(client).publish_all(round, |_| {}).await.unwrap();
}

/// A worker stops in mid-transaction, another takes over, the first wakes up and is the only one left.
async fn another_takes_over(service: Service) {
    let system = System::start().await;
    let mut ledger = Ledger::default();
    publish(&system, &mut ledger, 300).await;
    let first = system.spawn(&[service.name(), "before-commit", "2", "--stop", "--batch", "50"]);
    eventually("the first worker freezes", || async { first.is_stopped() }).await;

    let second = system.run(service);
    publish(&system, &mut ledger, 100).await;
    system.consumer_drained(service).await;
    second.stop().await;

    first.signal("CONT");
    publish(&system, &mut ledger, 100).await;
    system.consumer_drained(service).await;
    drop(first);
    system.settle().await;
    ledger.assert_exact(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_frozen_before_its_commit_holds_the_others_up_for_less_than_a_minute() {
    // Each on a system of its own, and both at once: most of it is waiting.
    futures::join!(another_takes_over(Service::Rollups), another_takes_over(Service::Persister));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_frozen_inside_a_copy_loses_the_folds_lock() {
    let system = System::start().await;
    let mut ledger = Ledger::default();
    let mut frozen = system.postgres().await;
    let mut transaction = frozen.begin().await.unwrap();
    sqlx::query("SELECT pg_advisory_xact_lock(20261, 1)").execute(&mut *transaction).await.unwrap();
    let copy = transaction.copy_in_raw("COPY rollups.inbox FROM STDIN (FORMAT binary)").await.unwrap();

    publish(&system, &mut ledger, 50).await;
    system.settle().await;

    assert!(copy.finish().await.is_err(), "its session was not ended");
    ledger.assert_exact(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_persister_frozen_inside_a_copy_loses_its_session_to_who_needs_its_ids() {
    let system = System::start().await;
    // Makes the month.
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    let contested = event("cart_confirmed", 1, Utc::now(), json!({}));
    let mut frozen = system.postgres().await;
    sqlx::query("SET application_name = 'valera persister'").execute(&mut frozen).await.unwrap();
    let mut transaction = frozen.begin().await.unwrap();
    let (event_id, name) = (contested.event_id(), "cart_confirmed");
    sqlx::query(
        "INSERT INTO analytics_events (event_id, event_name, chat_id, session_id, occurred_at, platform, content_hash, stream_seq)
         VALUES ($1, $2, 1, 's', now(), 'telegram', 'xxxxxxxxxxxxxxxx', 1)",
    )
    .bind(event_id)
    .bind(name)
    .execute(&mut *transaction)
    .await
    .unwrap();
    let copy = transaction.copy_in_raw("COPY analytics_events FROM STDIN (FORMAT binary)").await.unwrap();

    contested.publish(&system).await;
    system.settle().await;

    assert!(copy.finish().await.is_err(), "its session was not ended");
    assert_eq!(system.count("SELECT count(*) FROM analytics_events WHERE session_id <> 's'").await, 2);
    assert_rollups_agree(&system).await;
}
