//! Consumers killed with `kill -9` under load: nothing is lost, nothing is counted twice.
//!
//! Each worker dies at the points where a crash could tell, and then at moments nobody chose; after each death it is
//! started again. Acks do not survive any of this, which is why they prove nothing.

use crate::support::{Load, Process, System, Version};
use futures::future::join_all;
use std::time::Duration;
use valera_pipeline::service::Service;

/// Where a worker dies, and at which arrival there.
const DEATHS: [(&str, u32); 5] =
    [("pulled", 2), ("before-commit", 1), ("after-commit", 3), ("before-commit", 4), ("after-commit", 1)];

#[derive(Clone, Copy)]
struct Scenario {
    version: Version,
    /// Of each service.
    workers: usize,
    /// Rounds through all deaths, then as many deaths at random, per worker.
    rounds: usize,
    events: usize,
    per_second: u32,
    batch: u32,
}

async fn survive(scenario: Scenario) {
    let system = System::start_on(scenario.version, "Europe/Moscow").await;
    let load = Load::start(&system, scenario.per_second, scenario.events).await;
    let workers = Service::ALL.into_iter().flat_map(|service| vec![service; scenario.workers]);
    join_all(workers.map(|service| torment(&system, service, scenario))).await;
    let ledger = load.stop().await;
    system.settle().await;
    ledger.assert_exact(&system).await;
}

async fn torment(system: &System, service: Service, scenario: Scenario) {
    let batch = scenario.batch.to_string();
    for (point, nth) in DEATHS.repeat(scenario.rounds) {
        let mut process = system.spawn(&[service.name(), point, &nth.to_string(), "--batch", &batch]);
        process.ended(&format!("{} dies at {point} {nth}", service.name())).await;
    }
    // At moments nobody chose: anything from the first connection to the middle of some batch.
    for _ in 0..DEATHS.len() * scenario.rounds {
        let mut process: Process = system.spawn(&[service.name(), "--batch", &batch]);
        tokio::time::sleep(Duration::from_millis(rand::random_range(50..400))).await;
        process.kill();
    }
}

const IN_THE_SUITE: Scenario =
    Scenario { version: Version::Current, workers: 1, rounds: 1, events: 2_000, per_second: 1_000, batch: 50 };

#[tokio::test(flavor = "multi_thread")]
async fn killed_consumers_lose_nothing_and_count_nothing_twice() {
    survive(IN_THE_SUITE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_consumers_lose_nothing_on_postgres_15() {
    survive(Scenario { version: Version::Fifteen, ..IN_THE_SUITE }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_of_each_service_are_killed_and_the_count_is_exact() {
    survive(Scenario { workers: 2, ..IN_THE_SUITE }).await;
}

const IN_THE_PROOF: Scenario = Scenario { rounds: 6, events: 200_000, per_second: 4_000, batch: 500, ..IN_THE_SUITE };

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: run by make proof"]
async fn thirty_kills_over_two_hundred_thousand_events() {
    survive(IN_THE_PROOF).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: run by make proof"]
async fn thirty_kills_over_two_hundred_thousand_events_on_postgres_15() {
    survive(Scenario { version: Version::Fifteen, ..IN_THE_PROOF }).await;
}
