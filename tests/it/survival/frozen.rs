//! Workers frozen in the middle of a transaction: the others go on within a minute, and who wakes up counts nothing twice.
//!
//! These take half a minute each, because the deadlines that they wait for are the product's own.

use crate::support::{Ledger, System, eventually};
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
