//! NATS away, frozen, deaf or refusing: the host goes on, and every event arrives once NATS does.

use super::{PATIENCE, assert_stored, config, flushed, nth, spool, spooling, stored, track};
use crate::support::{System, eventually};
use std::{net::TcpListener, time::Duration};
use valera_pipeline::topology;
use valera_tracker::{Cause, Config, SpoolState, Tracked, Tracker};

/// Traffic at about so many events a second for so long, all while NATS is down; then NATS comes back.
async fn outage(per_second: u32, seconds: u32) {
    let mut system = System::start().await;
    let tracker = spooling(&system);
    track(&tracker, 0..100);
    flushed(&tracker).await;
    system.local.nats.kill().await.unwrap();

    let events = 100 + i64::from(per_second * seconds);
    let mut pace = tokio::time::interval(Duration::from_secs(1) / per_second);
    for n in 100..events {
        pace.tick().await;
        assert_eq!(tracker.track(nth(n)), Tracked::Queued);
    }
    let left = tracker.flush(Duration::from_secs(1)).await;
    assert!(left.spooled && left.in_memory == 0, "{left:?}");

    system.local.nats.restart().await.unwrap();
    let began = std::time::Instant::now();
    let left = tracker.flush(PATIENCE * 5).await;
    assert!(left.is_nothing(), "{left:?}");
    let stats = tracker.stats();
    println!("{per_second} events/s for {seconds} s, drained in {:?}: {stats:?}", began.elapsed());
    assert_eq!((stats.queued, stats.acknowledged), (events as u64, events as u64));
    assert_eq!((stats.dropped(), stats.parked, stats.lost, stats.damaged), (0, 0, 0, 0));
    assert_stored(&system, 0..events).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tracked_while_nats_is_down_arrives_once_it_is_up() {
    outage(500, 4).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: run by make proof"]
async fn ten_minutes_of_traffic_without_nats_arrive_once_it_is_up() {
    outage(500, 600).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_nats_under_load_costs_nothing() {
    let mut system = System::start().await;
    let tracker = spooling(&system);
    for round in 0..4 {
        track(&tracker, round * 2_000..(round + 1) * 2_000);
        system.local.nats.kill().await.unwrap();
        system.local.nats.restart().await.unwrap();
    }
    flushed(&tracker).await;
    assert_stored(&system, 0..8_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_nats_is_waited_for() {
    let mut system = System::start().await;
    let tracker = spooling(&system);
    track(&tracker, 0..10);
    flushed(&tracker).await;
    system.local.nats.pause().unwrap();
    track(&tracker, 10..3_000);
    eventually("publishes go unanswered", async || tracker.stats().unacknowledged > 0).await;
    system.local.nats.resume().unwrap();
    flushed(&tracker).await;
    assert_stored(&system, 0..3_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_that_accepts_and_never_answers_holds_nothing_up() {
    let system = System::start().await;
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("nats://{}", hole.local_addr().unwrap());
    let deaf = Tracker::start(Config { nats_url: url, ..config(&system) }.spool_in(spool(&system))).unwrap();
    track(&deaf, 0..1_000);
    let left = deaf.shutdown(Duration::from_secs(2)).await;
    assert!(left.spooled && left.in_memory == 0, "{left:?}");
    assert!(!deaf.stats().connected);

    let tracker = spooling(&system);
    flushed(&tracker).await;
    assert_stored(&system, 0..1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bot_that_may_not_publish_keeps_its_events_until_it_may() {
    let system = System::start().await;
    let mute = Tracker::start(Config { nats_url: system.mute_url(), ..config(&system) }.spool_in(spool(&system)));
    let mute = mute.unwrap();
    track(&mute, 0..1_000);
    eventually("the refusal is noticed", async || mute.stats().unacknowledged > 1).await;
    assert_eq!(mute.stats().acknowledged, 0);
    let left = mute.shutdown(Duration::from_secs(1)).await;
    assert!(left.spooled && left.in_memory == 0, "{left:?}");

    flushed(&spooling(&system)).await;
    assert_stored(&system, 0..1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_acknowledgement_of_our_stream_counts() {
    let system = System::start().await;
    let context = system.jetstream().await;
    context.delete_stream("ANALYTICS").await.unwrap();
    let tracker = spooling(&system);
    track(&tracker, 0..500);
    eventually("no stream takes the events", async || tracker.stats().unacknowledged > 0).await;

    // Another stream takes them, and acknowledges.
    let other = async_nats::jetstream::stream::Config {
        name: "OTHER".into(),
        subjects: vec!["analytics.>".into()],
        ..Default::default()
    };
    let stream = context.create_stream(other).await.unwrap();
    eventually("the other stream has events", async || stream.get_info().await.unwrap().state.messages > 0).await;
    assert_eq!(tracker.stats().acknowledged, 0);

    context.delete_stream("OTHER").await.unwrap();
    topology::apply(&context).await.unwrap();
    flushed(&tracker).await;
    assert_stored(&system, 0..500).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_spool_events_wait_in_memory() {
    let mut system = System::start().await;
    system.local.nats.kill().await.unwrap();
    let tracker = Tracker::start(config(&system)).unwrap();
    track(&tracker, 0..1_000);
    let left = tracker.flush(Duration::from_millis(300)).await;
    assert_eq!((left.spooled, left.in_memory), (false, 1_000));
    assert_eq!(tracker.stats().spool, SpoolState::Off);
    system.local.nats.restart().await.unwrap();
    flushed(&tracker).await;
    assert_stored(&system, 0..1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_without_a_runtime_is_served_too() {
    let system = System::start().await;
    let config = config(&system).spool_in(spool(&system));
    std::thread::spawn(move || {
        let tracker = Tracker::start(config).unwrap();
        track(&tracker, 0..100);
        // And goes without a word.
    })
    .join()
    .unwrap();
    // What the drop had no time to publish waits for the next process.
    flushed(&spooling(&system)).await;
    assert_eq!(stored(&system).await.len(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_durable_call_that_is_given_up_before_there_was_room_is_dropped_and_counted() {
    let mut system = System::start().await;
    system.local.nats.kill().await.unwrap();
    let mut config = config(&system);
    (config.limits.queue_events, config.limits.memory_bytes) = (1, 600);
    let tracker = Tracker::start(config).unwrap();
    let mut queued = Vec::new();
    // One event is in memory, the worker holds one for which there is no room, and the queue the third.
    eventually("the queue is full for good", async || {
        let n = queued.len() as i64;
        if tracker.track(nth(n)) == Tracked::Queued {
            queued.push(n);
        }
        tracker.stats().in_memory > 2
    })
    .await;
    let before = tracker.stats();
    let told = tokio::time::timeout(Duration::from_millis(300), tracker.track_durable(nth(1_000))).await;
    assert!(told.is_err(), "{told:?}");
    let stats = tracker.stats();
    assert_eq!((stats.queue_full, stats.queued), (before.queue_full + 1, before.queued));
    assert_eq!(tracker.track(nth(1_001)), Tracked::Dropped(Cause::QueueFull));

    system.local.nats.restart().await.unwrap();
    flushed(&tracker).await;
    assert_stored(&system, queued).await;
}
