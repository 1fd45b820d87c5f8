//! How fast a spool that filled while NATS was down reaches the stream, beside a bare publisher with acks on the same server.
//!
//! It does not measure what consumers do with it.

use crate::keys;
use anyhow::ensure;
use std::{
    path::Path,
    time::{Duration, Instant},
};
use valera_analytics::{
    embedded::{NatsOptions, NatsServer, Tools, scratch_dir},
    output,
};
use valera_events::Origin;
use valera_pipeline::topology;
use valera_tracker::{Config, Event, Outgoing, Publisher, Tracker};

const SPOOLED: u32 = 60_000;
const BARE: u32 = 20_000;
/// Tracked while the spool drains.
const LIVE_PER_SECOND: u32 = 1_000;

pub(crate) async fn measure() -> anyhow::Result<String> {
    let mut text = format!(
        "## From a full spool\n\n{SPOOLED} events were tracked while NATS was down, and {LIVE_PER_SECOND}/s more while they \
         drained. Beside it a bare async-nats publisher on the same server, {BARE} events with up to 256 acks in flight. \
         Events/s.\n\n| `sync_interval` | from the spool | times the live rate | bare publisher |\n|---|---|---|---|\n"
    );
    for (name, sync_interval) in [("2 m", Some(Duration::from_secs(120))), ("always", None)] {
        output::print(&format!("draining with sync_interval {name}\n"))?;
        let scratch = scratch_dir()?;
        let (spooled, bare) = drain(scratch.path(), sync_interval).await?;
        let times = spooled / f64::from(LIVE_PER_SECOND);
        text.push_str(&format!("| {name} | {spooled:.0} | {times:.1} | {bare:.0} |\n"));
    }
    Ok(text)
}

async fn drain(root: &Path, sync_interval: Option<Duration>) -> anyhow::Result<(f64, f64)> {
    let options = NatsOptions { sync_interval, ..NatsOptions::default() };
    let mut nats = NatsServer::start(&Tools::locate()?, root.join("nats"), options).await?;
    topology::apply(&async_nats::jetstream::new(async_nats::connect(nats.url()).await?)).await?;
    let bare = bare(&nats.url()).await?;

    let tracker = Tracker::start(Config::new(nats.url(), keys()?).spool_in(root.join("spool")))?;
    nats.kill().await?;
    for n in 0..SPOOLED {
        // The queue is there for bursts, not for a loop.
        while !tracker.track(event(n)).is_queued() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
    tracker.flush(Duration::from_secs(2)).await;
    let before = tracker.stats().acknowledged;
    nats.restart().await?;
    while tracker.stats().acknowledged == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (began, mut live) = (Instant::now(), 0);
    let mut pace = tokio::time::interval(Duration::from_secs(1) / LIVE_PER_SECOND);
    while tracker.stats().acknowledged < before + u64::from(SPOOLED) {
        pace.tick().await;
        tracker.track(event(live));
        live += 1;
    }
    let rate = f64::from(SPOOLED) / began.elapsed().as_secs_f64();
    ensure!(tracker.shutdown(Duration::from_secs(60)).await.is_nothing(), "events are left in the spool");
    Ok((rate, bare))
}

async fn bare(url: &str) -> anyhow::Result<f64> {
    let publisher = Publisher::new(async_nats::connect(url).await?);
    let messages = (0..BARE).map(|n| Outgoing {
        subject: "analytics.service_suggested".into(),
        msg_id: Some(format!("bare/{n}")),
        origin: Origin::Live,
        body: format!("{{\"event_name\":\"service_suggested\",\"chat_id\":{n},\"properties\":{{\"service_name\":\"Полировка кузова\",\"confidence_score\":0.9}}}}").into(),
    });
    let began = Instant::now();
    publisher.publish_all(messages, |_| {}).await?;
    Ok(f64::from(BARE) / began.elapsed().as_secs_f64())
}

fn event(n: u32) -> Event {
    Event::service_suggested(i64::from(n % 500), "Полировка кузова", Some(0.9))
}
