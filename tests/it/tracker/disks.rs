//! Disks that are full, slow, read-only or another's: the host never notices, and with NATS up nothing is lost.

use super::{PATIENCE, assert_stored, config, flushed, nth, spool, spooling, track};
use crate::bad_disk::{Bad, Fault};
use crate::support::{Speaker, System, eventually};
use futures::poll;
use serde_json::json;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;
use valera_tracker::{Cause, Config, Event, Left, Limits, SpoolState, Tracked, Tracker};

fn on(disk: &Arc<Bad>, config: Config) -> Tracker {
    Tracker::start(Config { spool: Some(disk.clone()), ..config }).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_disk_costs_no_event_while_nats_is_up_and_is_used_again_when_it_is_good() {
    let mut system = System::start().await;
    let faults = [Fault::Full, Fault::Torn, Fault::ReadOnly, Fault::Unlisted, Fault::Unsynced, Fault::Slow];
    for (fault, first) in faults.into_iter().zip((0..).step_by(1_000)) {
        let disk = Bad::new(spool(&system), fault);
        let tracker = on(&disk, config(&system));
        track(&tracker, first..first + 600);
        let unopened = matches!(fault, Fault::ReadOnly | Fault::Unlisted);
        assert_eq!(tracker.flush(PATIENCE).await, Left { unopened, ..Left::default() }, "{fault:?}");
        assert_eq!(tracker.track_durable(nth(first + 600)).await, Tracked::Queued, "{fault:?}");
        let takes_events = matches!(fault, Fault::Unsynced | Fault::Slow);
        assert_eq!(tracker.stats().spool == SpoolState::Ready, takes_events, "{fault:?}");
        disk.heal();
        eventually("the spool is in use again", async || {
            tracker.track(Event::new("nudge", 1));
            tracker.stats().spool == SpoolState::Ready
        })
        .await;
        // Without NATS nothing but a sync of the spool answers.
        system.local.nats.kill().await.unwrap();
        let told = timeout(PATIENCE, tracker.track_durable(nth(first + 601))).await;
        assert_eq!(told, Ok(Tracked::Queued), "{fault:?}");
        system.local.nats.restart().await.unwrap();
        track(&tracker, first + 602..first + 1_000);
        flushed(&tracker).await;
        tracker.shutdown(PATIENCE).await;
    }
    assert_stored(&system, 0..6_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_while_a_sync_failed_counts_only_when_it_is_acknowledged() {
    let mut system = System::start().await;
    system.local.nats.kill().await.unwrap();
    let disk = Bad::new(spool(&system), Fault::Lost);
    let tracker = on(&disk, config(&system));
    let mut before = Box::pin(tracker.track_durable(nth(0)));
    assert!(poll!(&mut before).is_pending());
    eventually("a sync has begun", async || disk.is_syncing()).await;
    let written = tracker.stats().spool_bytes;
    let mut meanwhile = Box::pin(tracker.track_durable(nth(1)));
    assert!(poll!(&mut meanwhile).is_pending());
    eventually("the second is written", async || tracker.stats().spool_bytes > written).await;
    disk.heal();
    let mut last = 1;
    eventually("a later call is told", async || {
        last += 1;
        timeout(Duration::from_millis(500), tracker.track_durable(nth(last))).await == Ok(Tracked::Queued)
    })
    .await;
    assert!(poll!(&mut before).is_pending(), "told of what the disk has lost");
    assert!(poll!(&mut meanwhile).is_pending(), "told of what the disk may have lost");
    system.local.nats.restart().await.unwrap();
    assert_eq!((before.await, meanwhile.await), (Tracked::Queued, Tracked::Queued));
    flushed(&tracker).await;
    assert_stored(&system, 0..last + 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_durable_call_waits_for_a_sync() {
    let mut system = System::start().await;
    system.local.nats.kill().await.unwrap();
    let disk = Bad::new(spool(&system), Fault::Unsynced);
    let tracker = on(&disk, config(&system));
    let told = timeout(Duration::from_secs(1), tracker.track_durable(nth(0))).await;
    assert!(told.is_err(), "{told:?} of an event that is not synced");
    let stats = tracker.stats();
    assert!(stats.spool == SpoolState::Ready && stats.spool_bytes > 0, "it is not written either: {stats:?}");

    disk.heal();
    assert_eq!(timeout(PATIENCE, tracker.track_durable(nth(1))).await, Ok(Tracked::Queued));
    system.local.nats.restart().await.unwrap();
    flushed(&tracker).await;
    assert_stored(&system, 0..2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_the_system_on_files_costs_no_event_while_nats_is_up() {
    let system = System::start().await;
    // Not even a log of its own can be written then, where it goes to a file.
    let shell = r#"trap "" XFSZ; ulimit -f 0; exec "$0" 2>/dev/null"#;
    let mut speaker = Speaker::start_through(&system, &spool(&system), &["sh", "-c", shell]);
    for n in 0..300 {
        assert!(speaker.tell(&json!({"event": "spoken", "chat_id": 1, "properties": {"n": n}})));
    }
    assert_eq!(speaker.end().last().unwrap(), "Left { spooled: false, in_memory: 0, unopened: false }");
    assert_stored(&system, 0..300).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_queue_memory_and_spool_are_full_the_newest_are_dropped_and_counted() {
    let mut system = System::start().await;
    system.local.nats.kill().await.unwrap();
    let small = Limits { queue_events: 50, memory_bytes: 20_000, spool_bytes: 50_000, ..config(&system).limits };
    let tracker = Tracker::start(Config { limits: small, ..config(&system) }.spool_in(spool(&system))).unwrap();
    let mut queued = Vec::new();
    for n in 0..5_000 {
        match tracker.track(nth(n)) {
            Tracked::Queued => queued.push(n),
            dropped => assert_eq!(dropped, Tracked::Dropped(Cause::QueueFull)),
        }
    }
    let stats = tracker.stats();
    assert_eq!((stats.queued, stats.queue_full), (queued.len() as u64, 5_000 - queued.len() as u64));
    assert!(stats.queue_full > 0 && stats.calls() == 5_000, "{stats:?}");
    eventually("the spool is full", async || tracker.stats().spool == SpoolState::Full).await;
    assert!(tracker.stats().spool_bytes <= 50_000);

    system.local.nats.restart().await.unwrap();
    flushed(&tracker).await;
    assert_stored(&system, queued).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_owner_is_refused_and_takes_over_when_the_first_has_gone() {
    let system = System::start().await;
    let (first, second) = (spooling(&system), spooling(&system));
    eventually("one of them owns the directory", async || {
        let states = [first.stats().spool, second.stats().spool];
        states.contains(&SpoolState::Ready) && states.contains(&SpoolState::Owned)
    })
    .await;
    track(&first, 0..500);
    track(&second, 500..1_000);
    let (owner, heir) = if first.stats().spool == SpoolState::Ready { (first, second) } else { (second, first) };
    flushed(&owner).await;
    eventually("memory is as good", async || heir.stats().acknowledged == 500).await;
    assert_eq!(heir.flush(Duration::ZERO).await, Left { unopened: true, ..Left::default() });
    owner.shutdown(PATIENCE).await;
    flushed(&heir).await;
    assert_eq!(heir.stats().spool, SpoolState::Ready);
    assert_stored(&system, 0..1_000).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flush_does_not_take_anothers_spool_for_an_empty_one() {
    let system = System::start().await;
    let mute = Config { nats_url: system.mute_url(), ..config(&system) }.spool_in(spool(&system));
    let mute = Tracker::start(mute).unwrap();
    track(&mute, 0..100);
    eventually("all is spooled", async || mute.stats().in_memory == 0 && mute.stats().spool_bytes > 0).await;

    let heir = spooling(&system);
    assert_ne!(heir.stats().spool, SpoolState::Off);
    let left = heir.flush(Duration::from_millis(500)).await;
    assert_eq!(left, Left { unopened: true, ..Left::default() });
    assert!(!left.is_nothing());
    // Its worker leaves while the flush waits.
    drop(mute);
    flushed(&heir).await;
    assert_stored(&system, 0..100).await;
}
