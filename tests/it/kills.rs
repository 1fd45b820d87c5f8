//! Consumers killed with `kill -9` under load: nothing is lost, nothing is counted twice.
//!
//! The load has duplicates that the broker lets through. Each service dies at the points where a crash could tell, and
//! then at moments nobody chose; after each death it is started again.

use crate::support::{EventBuilder, Process, System, Version, assert_rollups_agree, event, eventually};
use chrono::{TimeDelta, Utc};
use futures::{StreamExt, stream};
use serde_json::json;
use std::{collections::HashSet, time::Duration};
use valera_pipeline::service::Service;

/// Distinct events of some chats over three days, in the order of their chats.
fn load(events: i64) -> Vec<EventBuilder> {
    let names = ["ai_dialog_started", "service_added", "cart_confirmed", "ai_suggestion_accepted"];
    let occurred_at = |n: i64| Utc::now() - TimeDelta::seconds(n * 260_000 / events);
    (0..events)
        .map(|n| event(names[n as usize % 4], n % 97, occurred_at(n), json!({})).unchecked_by_broker())
        .collect()
}

/// Publishes the load, and every tenth event once more.
async fn publish(system: &System, load: &[EventBuilder]) {
    let context = system.jetstream().await;
    let again = load.iter().step_by(10);
    let published = stream::iter(load.iter().chain(again)).map(|event| async {
        context.publish(event.subject(), event.body()).await.unwrap().await.unwrap();
    });
    published.buffer_unordered(64).collect::<()>().await;
}

async fn died(process: &mut Process, what: &str) {
    let process = std::cell::RefCell::new(process);
    eventually(what, || async { process.borrow_mut().has_ended().is_some() }).await;
}

/// Kills each service `kills` times at each point and as often at random, under load, then counts.
async fn survive(version: Version, events: i64, kills: u32) {
    let system = System::start_on(version, "Europe/Moscow").await;
    let load = load(events);
    let chaos = async {
        for service in Service::ALL {
            for nth in 1..=kills {
                for point in ["before-commit", "after-commit"] {
                    let mut process = system.spawn(&[service.name(), point, &nth.to_string(), "--batch", "50"]);
                    died(&mut process, &format!("{} dies at {point} {nth}", service.name())).await;
                }
            }
            // At moments nobody chose: anything from the first connection to the last batch.
            for _ in 0..kills {
                let mut process = system.spawn(&[service.name(), "--batch", "50"]);
                tokio::time::sleep(Duration::from_millis(rand::random_range(50..400))).await;
                process.kill();
            }
        }
    };
    futures::join!(publish(&system, &load), chaos);
    system.settle().await;

    let distinct: HashSet<_> = load.iter().map(EventBuilder::body).collect();
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, i64::try_from(distinct.len()).unwrap());
    assert_eq!(system.count("SELECT count(*) FROM dead_letters").await, 0);
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_consumers_lose_nothing_and_count_nothing_twice() {
    survive(Version::Current, 4_000, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_consumers_lose_nothing_on_postgres_15() {
    survive(Version::Fifteen, 4_000, 2).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: run by make proof"]
async fn thirty_kills_over_two_hundred_thousand_events() {
    survive(Version::Current, 200_000, 10).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_servers_come_back_and_nothing_is_lost() {
    let mut system = System::start().await;
    let load = load(4_000);
    let services = Service::ALL.map(|service| system.run(service));
    let (first, second) = load.split_at(2_000);
    publish(&system, first).await;
    system.local.postgres.kill().await.unwrap();
    publish(&system, second).await;
    system.local.postgres.restart().await.unwrap();
    system.local.nats.kill().await.unwrap();
    system.local.nats.restart().await.unwrap();
    system.drained().await;
    for service in services {
        service.stop().await;
    }
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 4_000);
    assert_eq!(system.count("SELECT count(*) FROM dead_letters").await, 0);
    assert_rollups_agree(&system).await;
}
