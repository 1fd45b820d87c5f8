//! Retention under running services: a dropped month does not come back, and what still arrives for it has expired.

use crate::support::{Running, System, event};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use valera_pipeline::{handler::Outcome, service::Service};

/// In the middle of a month that only imports reach.
fn long_ago() -> DateTime<Utc> {
    "2019-05-15T12:00:00Z".parse().unwrap()
}

async fn import(system: &System, events: i64) {
    for n in 0..events {
        let event = event("cart_confirmed", n, long_ago() + TimeDelta::minutes(n), json!({}));
        system.publish(&event.subject(), &[("Valera-Origin", "import")], event.body()).await;
    }
}

async fn months_of_2019(system: &System) -> i64 {
    system.count("SELECT count(*) FROM pg_class WHERE relname LIKE '%\\_y2019m05'").await
}

async fn assert_both(system: &System, services: &[Running; 2], outcome: Outcome, messages: u64) {
    system.drained().await;
    for Running { watched, .. } in services {
        assert_eq!(watched.counters.of(outcome), messages, "{} of {watched:?}", outcome.as_str());
        assert_eq!(watched.counters.received(), watched.counters.settled(), "{watched:?}");
        assert_eq!(watched.health.ready(), Ok(()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_month_dropped_under_running_services_expires_what_still_arrives_for_it() {
    let system = System::start().await;
    let services = Service::ALL.map(|service| system.run(service));
    import(&system, 20).await;
    assert_both(&system, &services, Outcome::Stored, 20).await;
    assert_eq!(months_of_2019(&system).await, 2);

    let retention = "
        UPDATE settings SET horizon = '2019-06-01 00:00:00+00';
        DROP TABLE analytics_events_y2019m05;
        DROP TABLE rollups.inbox_y2019m05;";
    sqlx::raw_sql(retention).execute(&mut system.postgres().await).await.unwrap();
    import(&system, 30).await;
    event("cart_confirmed", 1, Utc::now(), json!({})).publish(&system).await;

    assert_both(&system, &services, Outcome::Expired, 30).await;
    assert_both(&system, &services, Outcome::Stored, 21).await;
    assert_eq!(months_of_2019(&system).await, 0, "an expired event made its month anew");
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 1);
    assert_eq!(system.count("SELECT count(*) FROM dead_letters").await, 0);
    for service in services {
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_below_the_horizon_makes_no_month_and_no_letter() {
    let system = System::start().await;
    let horizon = "UPDATE settings SET horizon = '2019-06-01 00:00:00+00'";
    sqlx::raw_sql(horizon).execute(&mut system.postgres().await).await.unwrap();
    let services = Service::ALL.map(|service| system.run(service));
    import(&system, 10).await;
    assert_both(&system, &services, Outcome::Expired, 10).await;
    assert_eq!(months_of_2019(&system).await, 0);
    assert_eq!(system.count("SELECT count(*) FROM dead_letters").await, 0);
    for service in services {
        service.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_horizon_that_moves_within_a_month_is_known_to_running_services() {
    let system = System::start().await;
    let services = Service::ALL.map(|service| system.run(service));
    import(&system, 5).await;
    assert_both(&system, &services, Outcome::Stored, 5).await;

    let horizon = "UPDATE settings SET horizon = '2019-05-20 00:00:00+00'";
    sqlx::raw_sql(horizon).execute(&mut system.postgres().await).await.unwrap();
    import(&system, 7).await;
    assert_both(&system, &services, Outcome::Expired, 7).await;
    assert_eq!(months_of_2019(&system).await, 2, "retention alone drops a month");
    for service in services {
        service.stop().await;
    }
}
