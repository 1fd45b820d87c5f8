//! `replay`: repeats change nothing, what is lost comes back, and what is written down of it is true.

mod dry_run;
mod interrupted;
mod refused;
mod stuck;
mod told;

pub(crate) use interrupted::{lose_the_store, survive};

use crate::{
    hostile::publish_raw,
    support::{Load, System, assert_rollups_agree, contents, event},
};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use valera_pipeline::{
    probe::{Point, Probe},
    replay::{Bound, End, Replay, Request},
    service::Service,
    store::replays::ReplayRow,
};
use valera_tracker::Publisher;

fn all_into(into: Service) -> Request {
    Request { name: None, into, from: None, to: None, subject: "analytics.>".to_owned() }
}

async fn position(system: &System) -> i64 {
    system.count("SELECT coalesce(max(position), 0) FROM replays").await
}

async fn replay(system: &System, request: &Request) -> ReplayRow {
    let replay = Replay::begin(system.environment(), request).await.unwrap();
    let (end, row) = replay.run(None, |_| {}, &CancellationToken::new()).await.unwrap();
    assert_eq!((end, row.position), (End::Done, row.last_seq), "{row:?}");
    row
}

/// Events, each rejection, a conflict and a duplicate; all settled.
async fn system_with_history() -> System {
    let system = System::start().await;
    let load = Load::start(&system, 2_000, 600).await;
    load.stop().await;
    let first = event("cart_confirmed", 1, Utc::now(), json!({"services_count": 1})).unchecked_by_broker();
    first.publish(&system).await;
    first.clone().with("properties", json!({"services_count": 2})).publish(&system).await;
    event("booking_request_created", 7, Utc::now(), json!({"booking_id": 1})).publish(&system).await;
    system.publish("analytics.review_left", &[], "not JSON").await;
    system.settle().await;
    system
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_the_whole_stream_twice_into_each_changes_no_row() {
    let system = system_with_history().await;
    let before = contents(&system).await;
    let messages = i64::try_from(system.last_sequence().await).unwrap();
    for into in [Service::Persister, Service::Rollups, Service::Persister, Service::Rollups] {
        let row = replay(&system, &all_into(into)).await;
        assert_eq!((row.stored, row.conflicting, row.rejected), (0, 1, 2), "{row:?}");
        assert_eq!(row.duplicate + row.conflicting + row.rejected, messages);
    }
    assert_eq!(contents(&system).await, before);
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_over_live_traffic_loses_and_doubles_nothing() {
    let system = System::start().await;
    let services = Service::ALL.map(|service| system.run(service));
    let load = Load::start(&system, 500, 2_000).await;
    for into in [Service::Persister, Service::Rollups, Service::Persister, Service::Rollups] {
        // The name is the same where no message came between; then it is done and gives way.
        replay(&system, &all_into(into)).await;
    }
    let ledger = load.stop().await;
    system.drained().await;
    for service in services {
        service.stop().await;
    }
    ledger.assert_exact(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_has_lost_comes_back_from_the_stream() {
    let system = system_with_history().await;
    let holds = |contents: &std::collections::BTreeMap<String, (i64, Option<String>)>, part: &str| {
        let of = |(table, (rows, _)): (&String, &(i64, _))| table.contains(part).then_some(*rows);
        contents.iter().filter_map(of).sum::<i64>()
    };
    let before = contents(&system).await;
    sqlx::raw_sql("TRUNCATE analytics_events").execute(&mut system.postgres().await).await.unwrap();
    let row = replay(&system, &all_into(Service::Persister)).await;
    assert_eq!(row.stored, holds(&before, "analytics_events"));
    assert_rollups_agree(&system).await;

    empty_the_rollups(&system).await;
    replay(&system, &all_into(Service::Rollups)).await;
    assert_rollups_agree(&system).await;
    let rollups = |mut contents: std::collections::BTreeMap<String, _>| {
        contents.retain(|table, _| table.starts_with("rollups."));
        contents
    };
    assert_eq!(rollups(contents(&system).await), rollups(before));
}

/// As a lost schema would be, but for the calendar.
async fn empty_the_rollups(system: &System) {
    let truncate = "
        TRUNCATE rollups.inbox, rollups.chat_days, rollups.funnel_daily, rollups.funnel_weekly,
            rollups.event_counts_hourly, rollups.response_histograms_hourly, rollups.service_suggestions_daily,
            rollups.errors_hourly, rollups.chats";
    sqlx::raw_sql(truncate).execute(&mut system.postgres().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_below_the_horizon_has_expired_also_in_a_replay() {
    let system = System::start().await;
    let long_ago: DateTime<Utc> = "2019-05-15T12:00:00Z".parse().unwrap();
    for n in 0..20 {
        let old = event("cart_confirmed", n, long_ago + TimeDelta::minutes(n), json!({}));
        system.publish(&old.subject(), &[("Valera-Origin", "import")], old.body()).await;
        event("cart_confirmed", n, Utc::now(), json!({})).publish(&system).await;
    }
    system.settle().await;
    let retention = "
        UPDATE settings SET horizon = '2019-06-01 00:00:00+00';
        DROP TABLE analytics_events_y2019m05;
        DROP TABLE rollups.inbox_y2019m05;";
    sqlx::raw_sql(retention).execute(&mut system.postgres().await).await.unwrap();
    for into in Service::ALL {
        let row = replay(&system, &all_into(into)).await;
        assert_eq!((row.expired, row.duplicate, row.stored), (20, 20, 0), "{row:?}");
    }
    assert_eq!(system.count("SELECT count(*) FROM pg_class WHERE relname LIKE '%\\_y2019m05'").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_chosen_by_subject_by_sequence_and_by_the_time_of_receipt() {
    let system = System::start().await;
    let mut received = Vec::new();
    for n in 0..6 {
        let name = if n % 2 == 0 { "cart_confirmed" } else { "ai_dialog_started" };
        event(name, n, Utc::now(), json!({})).publish(&system).await;
        let stream = system.jetstream().await.get_stream("ANALYTICS").await.unwrap();
        received.push(stream.get_raw_message(n as u64 + 1).await.unwrap().time);
    }
    let messages = async |from: Option<Bound>, to: Option<Bound>, subject: &str| {
        let subject = format!("analytics.{subject}");
        let request = Request { from, to, subject, ..all_into(Service::Persister) };
        let row = replay(&system, &request).await;
        (row.stored, row.duplicate)
    };
    let at = |n: usize| Some(Bound::Received(received[n]));
    assert_eq!(messages(Some(Bound::Sequence(2)), Some(Bound::Sequence(3)), ">").await, (2, 0));
    assert_eq!(messages(at(1), at(4), ">").await, (1, 2));
    assert_eq!(messages(None, None, "cart_confirmed").await, (2, 1));
    assert_eq!(messages(None, at(2), ">").await, (0, 2));
    assert_eq!(messages(at(5), None, ">").await, (1, 0));
    let nothing = Request { from: Some(Bound::Received(Utc::now())), ..all_into(Service::Persister) };
    let refused = Replay::begin(system.environment(), &nothing).await.err().unwrap();
    assert!(refused.to_string().contains("no message"), "{refused:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_client_cannot_read_does_not_stop_a_replay() {
    let system = System::start().await;
    for headers in [&b"NATS/1.0\r\nX-Name: \xff\xfe\r\n\r\n"[..], b"NATS/1.0\r\nno colon\r\n\r\n"] {
        event("ai_dialog_started", 2, Utc::now(), json!({})).publish(&system).await;
        publish_raw(&system, b"analytics.review_left", headers, br#"{"chat_id":1}"#);
    }
    event("ai_dialog_started", 2, Utc::now(), json!({})).publish(&system).await;
    let row = replay(&system, &all_into(Service::Persister)).await;
    assert_eq!(row.stored, 5, "{row:?}");
}

/// A live worker that is slow.
struct Slow;

impl Probe for Slow {
    fn reached(&self, point: Point) {
        if point == Point::BeforeCommit {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Of 2,500 messages that nobody has read yet; live workers take small batches.
async fn system_that_is_behind() -> System {
    let mut system = System::start().await;
    system.local.environment.limits.messages = 50;
    let client = async_nats::connect(system.local.nats.url()).await.unwrap();
    let mut ledger = crate::support::Ledger::default();
    let events: Vec<_> = (0..2_500).map(|n| ledger.enter(Utc::now(), "cart_confirmed", n % 50, &json!({}))).collect();
    Publisher::new(client).publish_all(events, |_| {}).await.unwrap();
    system
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replay_waits_for_live_traffic_that_is_behind_and_then_goes_on() {
    let system = system_that_is_behind().await;
    // Nobody is at work, so nobody is waited for.
    let mut waited = false;
    let mut watch = |progress: &valera_pipeline::replay::Progress| waited |= progress.behind.is_some();
    let first = Request { to: Some(Bound::Sequence(100)), ..all_into(Service::Persister) };
    let begun = Replay::begin(system.environment(), &first).await.unwrap();
    begun.run(None, &mut watch, &CancellationToken::new()).await.unwrap();
    assert!(!waited, "a consumer that stands still was waited for");

    let live = system.run_with(Service::Persister, Arc::new(Slow));
    let begun = Replay::begin(system.environment(), &all_into(Service::Persister)).await.unwrap();
    let watch = |progress: &valera_pipeline::replay::Progress| waited |= progress.behind.is_some();
    let (end, row) = begun.run(None, watch, &CancellationToken::new()).await.unwrap();
    assert_eq!(end, End::Done);
    assert!(waited, "live traffic was not let by");
    system.consumer_drained(Service::Persister).await;
    live.stop().await;
    assert!(row.duplicate > 0, "{row:?}");
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 2_500);
}
