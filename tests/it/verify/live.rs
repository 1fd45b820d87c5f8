//! `verify` beside live traffic, with one side frozen and the other far ahead: true both times. And a repair, while folds
//! are waiting for it: exact.

use super::{flip, verdict, verdict_while};
use crate::support::{Load, System, eventually};
use std::time::Duration;
use valera_pipeline::{rollups::ALL, service::Service, verify};

/// How far the side that goes on is to be ahead, in events; some ten seconds' worth.
const AHEAD: i64 = 3_000;
const PER_SECOND: u32 = 300;

async fn events_of_raw_ahead(system: &System) -> i64 {
    system.count("SELECT (SELECT count(*) FROM analytics_events) - (SELECT count(*) FROM rollups.inbox)").await
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_is_true_under_load_while_either_side_is_frozen() {
    let system = System::start().await;
    let load = Load::start(&system, PER_SECOND, 0).await;
    let [persister, rollups] = Service::ALL.map(|service| system.spawn(&[service.name()]));
    eventually("events flow", || async { system.count("SELECT count(*) FROM analytics_events").await > 0 }).await;

    persister.signal("STOP");
    eventually("the rollups are ahead", || async { events_of_raw_ahead(&system).await < -AHEAD }).await;
    let frozen = verdict_while(&system, async { persister.signal("CONT") }).await;
    assert!(frozen.agrees(), "{frozen:?}");
    assert!(frozen.late as i64 >= AHEAD, "{frozen:?}");

    eventually("the persister has caught up", || async { events_of_raw_ahead(&system).await > -AHEAD }).await;
    rollups.signal("STOP");
    eventually("raw is ahead", || async { events_of_raw_ahead(&system).await > AHEAD }).await;
    let frozen = verdict(&system).await;
    assert!(frozen.agrees(), "{frozen:?}");
    assert!(frozen.pending as i64 >= AHEAD, "{frozen:?}");
    rollups.signal("CONT");

    let ledger = load.stop().await;
    system.drained().await;
    let settled = verdict(&system).await;
    assert!(settled.agrees(), "{settled:?}");
    assert_eq!((settled.pending, settled.late), (0, 0));
    ledger.assert_exact(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repair_under_load_loses_and_doubles_nothing() {
    let system = System::start().await;
    let load = Load::start(&system, PER_SECOND, 0).await;
    let services = [Service::Persister, Service::Rollups, Service::Rollups].map(|service| system.run(service));
    let bookings = ALL.iter().find(|rollup| rollup.name == "funnel_daily").unwrap();
    for round in 1..=3 {
        eventually("events flow", || async {
            system.count("SELECT count(*) FROM rollups.inbox").await > round * 300
        })
        .await;
        flip(&system, bookings, "bookings").await;
        let repaired = verify::repair(&system.local.postgres.url(), Duration::from_secs(60), |_| {}).await.unwrap();
        assert_eq!((repaired.buckets, repaired.disagreeing), (1, 0));
    }
    let ledger = load.stop().await;
    system.drained().await;
    for service in services {
        service.stop().await;
    }
    ledger.assert_exact(&system).await;
}
