//! Graceful stops: what was pulled and not handled comes back at once, not after `ack_wait`, and the exit code is 0.
//!
//! `ack_wait` is ten times the longest that a test waits for anything: a message that was not given back fails it.

use crate::support::{Ledger, Load, System, eventually};
use chrono::Utc;
use serde_json::json;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};
use tokio_util::sync::CancellationToken;
use valera_pipeline::{
    consume::Limits,
    probe::{Point, Probe},
    service::Service,
};
use valera_tracker::Publisher;

const ACK_WAIT: Duration = Duration::from_secs(600);

/// Tells a service to stop while it is in its third transaction.
struct StopInTheThird(AtomicU32, CancellationToken);

impl Probe for StopInTheThird {
    fn reached(&self, point: Point) {
        if point == Point::BeforeCommit && self.0.fetch_add(1, SeqCst) == 2 {
            self.1.cancel();
        }
    }
}

async fn published(system: &System, events: i64) -> Ledger {
    let mut ledger = Ledger::default();
    let messages: Vec<_> =
        (0..events).map(|n| ledger.enter(Utc::now(), "ai_dialog_started", n % 50, &json!({}))).collect();
    let client = async_nats::connect(system.local.nats.url()).await.unwrap();
    Publisher::new(client).publish_all(messages, |_| {}).await.unwrap();
    ledger
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stopped_worker_had_fetched_another_gets_at_once() {
    let mut system = System::start_with_ack_wait(ACK_WAIT).await;
    system.local.environment.limits = Limits { messages: 100, ..system.environment().limits };
    let ledger = published(&system, 2_000).await;
    for service in Service::ALL {
        let stop = CancellationToken::new();
        let running = system.run_until(service, Arc::new(StopInTheThird(AtomicU32::new(0), stop.clone())), stop);
        let watched = running.ended().await;
        assert_eq!(watched.counters.received(), watched.counters.settled(), "{watched:?}");
        assert!(watched.counters.settled() < 2_000, "it was to stop with messages at hand: {watched:?}");
    }
    system.settle().await;
    ledger.assert_exact(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_stopped_while_postgres_is_away_gives_its_batch_back() {
    let mut system = System::start_with_ack_wait(ACK_WAIT).await;
    let services = Service::ALL.map(|service| system.run(service));
    let before = published(&system, 10).await;
    system.drained().await;
    system.local.postgres.stop().await.unwrap();
    let after = published(&system, 200).await;
    let all_fail = || services.iter().all(|service| service.watched.health.ready().is_err());
    eventually("both services notice", || async { all_fail() }).await;
    for service in services {
        let watched = service.stop().await;
        assert_eq!(watched.counters.received(), watched.counters.settled(), "{watched:?}");
    }
    system.local.postgres.restart().await.unwrap();
    system.settle().await;
    before.and(after).assert_exact(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_all_ends_well_on_sigterm_under_load_and_another_goes_on_at_once() {
    let system = System::start_with_ack_wait(ACK_WAIT).await;
    let load = Load::start(&system, 1_000, 1_000).await;
    for _ in 0..2 {
        let stored = system.count("SELECT count(*) FROM analytics_events").await;
        let mut running = system.start_program(&["run", "all"]);
        let more = async || system.count("SELECT count(*) FROM analytics_events").await > stored + 500;
        eventually("it is at work", more).await;
        running.signal("TERM");
        assert_eq!(running.ended("it stops on SIGTERM").await.code(), Some(0));
    }
    let ledger = load.stop().await;
    system.settle().await;
    ledger.assert_exact(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn run_all_ends_well_on_sigterm_while_nats_is_away() {
    let mut system = System::start().await;
    let mut running = system.start_program(&["run", "all"]);
    let ledger = published(&system, 100).await;
    system.drained().await;
    system.local.nats.kill().await.unwrap();
    running.signal("TERM");
    assert_eq!(running.ended("it stops on SIGTERM").await.code(), Some(0));
    system.local.nats.restart().await.unwrap();
    system.settle().await;
    ledger.assert_exact(&system).await;
}
