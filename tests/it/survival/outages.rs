//! Servers that stop, die, freeze or come back without their data, under load: consumers recover unaided.
//!
//! An outage is our fault and never an event's, so the dead letters stay empty; whatever was in the air is delivered
//! again and stored once.

use crate::support::{Ledger, Load, Running, System, eventually};
use chrono::Utc;
use serde_json::json;
use std::time::Duration;
use valera_pipeline::{service::Service, topology};
use valera_tracker::Publisher;

/// Lets an outage pass under load, then counts. Nobody restarts or tells the services anything.
async fn ride_out(outage: impl AsyncFnOnce(&mut System)) {
    let mut system = System::start().await;
    let services = Service::ALL.map(|service| system.run(service));
    let load = Load::start(&system, 1_000, 2_000).await;
    under_way(&services).await;
    outage(&mut system).await;
    let ledger = load.stop().await;
    system.drained().await;
    for service in services {
        let watched = service.stop().await;
        assert_eq!(watched.counters.received(), watched.counters.settled(), "{watched:?}");
    }
    ledger.assert_exact(&system).await;
}

async fn under_way(services: &[Running]) {
    let settled = || services.iter().all(|service| service.watched.counters.settled() > 300);
    eventually("the services are at work", || async { settled() }).await;
}

async fn postgres_stops_for(system: &mut System, outage: Duration) {
    system.local.postgres.stop().await.unwrap();
    tokio::time::sleep(outage).await;
    system.local.postgres.restart().await.unwrap();
}

async fn nats_dies_for(system: &mut System, outage: Duration) {
    system.local.nats.kill().await.unwrap();
    tokio::time::sleep(outage).await;
    system.local.nats.restart().await.unwrap();
}

const SHORT: Duration = Duration::from_secs(3);
const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_postgres_is_waited_for() {
    ride_out(async |system| postgres_stops_for(system, SHORT).await).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: run by make proof"]
async fn a_postgres_that_is_stopped_for_a_minute_is_waited_for() {
    ride_out(async |system| postgres_stops_for(system, LONG).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgres_is_waited_for() {
    ride_out(async |system| {
        for _ in 0..2 {
            system.local.postgres.kill().await.unwrap();
            system.local.postgres.restart().await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_postgres_is_waited_for() {
    ride_out(async |system| {
        system.local.postgres.pause().unwrap();
        tokio::time::sleep(SHORT).await;
        system.local.postgres.resume().unwrap();
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_nats_server_is_waited_for() {
    ride_out(async |system| {
        for _ in 0..2 {
            nats_dies_for(system, Duration::from_millis(500)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: run by make proof"]
async fn a_nats_server_that_is_dead_for_a_minute_is_waited_for() {
    ride_out(async |system| nats_dies_for(system, LONG).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn services_that_start_before_their_servers_wait_for_them() {
    let mut system = System::start().await;
    let mut ledger = Ledger::default();
    let events: Vec<_> = (0..50).map(|n| ledger.enter(Utc::now(), "cart_confirmed", n, &json!({}))).collect();
    publisher(&system).await.publish_all(events, |_| {}).await.unwrap();
    system.local.postgres.stop().await.unwrap();
    system.local.nats.kill().await.unwrap();
    let services = Service::ALL.map(|service| system.run(service));

    system.local.postgres.restart().await.unwrap();
    let none_ready = || services.iter().all(|service| service.watched.health.ready().is_err());
    assert!(none_ready(), "ready without NATS");
    system.local.nats.restart().await.unwrap();
    system.drained().await;
    for service in services {
        service.stop().await;
    }
    ledger.assert_exact(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_hands_its_sequences_out_again_is_no_evidence() {
    let mut system = System::start().await;
    let services = Service::ALL.map(|service| system.run(service));
    let mut before = Ledger::default();
    let old: Vec<_> = (0..300).map(|n| before.enter(Utc::now(), "cart_confirmed", n, &json!({}))).collect();
    publisher(&system).await.publish_all(old.clone(), |_| {}).await.unwrap();
    system.drained().await;

    system.local.nats.stop().await.unwrap();
    let store = system.local.dir().join("nats").join("jetstream").join("jetstream");
    std::fs::remove_dir_all(&store).unwrap();
    system.local.nats.restart().await.unwrap();
    let wanted = topology::desired().unwrap().with_ack_wait(Duration::from_secs(2));
    wanted.apply(&system.jetstream().await).await.unwrap();

    // The first 200 sequences now belong to other events, the next 100 to events that are stored already.
    let mut after = Ledger::default();
    let new: Vec<_> = (0..200).map(|n| after.enter(Utc::now(), "ai_dialog_started", n, &json!({}))).collect();
    let publisher = publisher(&system).await;
    publisher.publish_all(new, |_| {}).await.unwrap();
    publisher.publish_all(old.into_iter().skip(200), |_| {}).await.unwrap();
    assert_eq!(system.last_sequence().await, 300);
    system.drained().await;
    for service in services {
        service.stop().await;
    }
    before.and(after).assert_exact(&system).await;
}

async fn publisher(system: &System) -> Publisher {
    Publisher::new(async_nats::connect(system.local.nats.url()).await.unwrap())
}
