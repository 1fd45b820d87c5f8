//! What the bot's tracker promises: the bot never notices, and nothing that it says is lost.
//!
//! Trackers in this process meet servers and disks that misbehave; those that are killed live in a process of their own.

mod bot;
pub(crate) mod canary;
mod dialogs;
mod disks;
mod kills;
mod outages;
mod refusals;
mod seed;
mod switches;

use crate::support::System;
use std::{collections::BTreeMap, path::PathBuf, time::Duration};
use valera_tracker::{Config, Event, Limits, Tracked, Tracker};

/// Long enough for any flush on a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

/// A tracker's configuration on this system, quicker to lose patience than the product's.
fn config(system: &System) -> Config {
    let environment = system.environment();
    let config = Config::new(environment.nats_url.clone(), environment.keys.pseudonym.clone());
    Config { limits: Limits { ack_patience: Duration::from_secs(1), ..Limits::default() }, ..config }
}

fn spool(system: &System) -> PathBuf {
    system.dir().join("spool")
}

fn spooling(system: &System) -> Tracker {
    Tracker::start(config(system).spool_in(spool(system))).unwrap()
}

/// The nth event.
fn nth(n: i64) -> Event {
    Event::new("spoken", n % 50).with("n", n)
}

/// Tracks so many events, all of which must be queued.
fn track(tracker: &Tracker, numbers: impl IntoIterator<Item = i64>) {
    for n in numbers {
        assert_eq!(tracker.track(nth(n)), Tracked::Queued);
    }
}

/// Everything that is tracked or spooled is acknowledged. A flush waits for a spool whose last owner is still leaving.
async fn flushed(tracker: &Tracker) {
    let left = tracker.flush(PATIENCE).await;
    assert!(left.is_nothing(), "{left:?} {:?}", tracker.stats());
}

/// How often raw holds each number, after all is settled.
async fn stored(system: &System) -> BTreeMap<i64, i64> {
    system.settle().await;
    let rows: Vec<(i64, i64)> = system
        .rows("SELECT (properties->>'n')::bigint, count(*) FROM analytics_events WHERE properties ? 'n' GROUP BY 1")
        .await;
    rows.into_iter().collect()
}

/// Fails unless raw holds each of these once and nothing else.
async fn assert_stored(system: &System, numbers: impl IntoIterator<Item = i64>) {
    let expected: BTreeMap<_, _> = numbers.into_iter().map(|n| (n, 1)).collect();
    let stored = stored(system).await;
    let missing: Vec<_> = expected.keys().filter(|n| !stored.contains_key(n)).take(5).collect();
    assert!(missing.is_empty(), "lost, e.g. {missing:?}");
    assert_eq!(stored, expected);
}
