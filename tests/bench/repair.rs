//! What repair carries: replays from the stream and from files, export and rebuild, beside live services and the ceiling.
//!
//! Each command of the product runs in a process of its own, from its start to its end, start-up included, and counts only if
//! the database then holds every event. The live services are drained from the same stream in the same part, so that
//! their rates may be held against each other.
//!
//! It does not run anything beside what it measures.

use crate::{
    backlog::drain,
    ceiling::Encoded,
    corpus::Corpus,
    ground::Ground,
    results::{Repair, Repaired},
    worker::{self, Took},
};
use anyhow::{Context, ensure};
use valera_analytics::output;
use valera_pipeline::service::Service;

pub(crate) async fn measure(ground: &Ground, corpus: &Corpus) -> anyhow::Result<Repair> {
    let events = corpus.events;
    output::print(&format!("{events} events to repair: filling the stream\n"))?;
    ground.empty_stream().await?;
    ground.fill(corpus.messages()).await?;
    let encoded = Encoded::of(ground, corpus.messages()).await?;
    let before = encoded.copy(ground, 1).await?;
    let mut runs = Vec::new();
    for (what, service) in [("persister, live", Service::Persister), ("rollups, live", Service::Rollups)] {
        let drained = drain(ground, events, &[service], 1).await?;
        let live = drained.first().context("a service was drained without a result")?;
        runs.push(told(Repaired { what, events_per_s: live.events_per_s, peak_rss_mb: live.peak_rss_mb })?);
    }

    ground.fresh_database().await?;
    runs.push(
        timed(ground, events, "replay into rollups", &["replay", "--into", "rollups"], Service::Rollups).await?,
    );
    let replay = ["replay", "--into", "persister"];
    runs.push(timed(ground, events, "replay into the persister", &replay, Service::Persister).await?);
    let known = "replay into the persister, all of it known";
    runs.push(timed(ground, events, known, &replay, Service::Persister).await?);

    let file = ground.dir().join("events.ndjson.zst");
    let file = file.to_str().context("a directory whose name is no text")?;
    runs.push(timed(ground, events, "export, compressed", &["export", "--out", file], Service::Persister).await?);
    ground.fresh_database().await?;
    let from_file = ["replay", "--into", "persister", "--file", file];
    runs.push(timed(ground, events, "replay of that file into the persister", &from_file, Service::Persister).await?);
    runs.push(timed(ground, events, "rebuild of all rollups", &["rebuild", "--yes"], Service::Rollups).await?);
    std::fs::remove_file(file).context("removing the export")?;

    let ceiling_per_s = before.max(encoded.copy(ground, 1).await?);
    Ok(Repair { events, ceiling_per_s, runs })
}

/// Runs a command of the product to its end; the database holds every event then.
async fn timed(
    ground: &Ground,
    events: usize,
    what: &'static str,
    arguments: &[&str],
    service: Service,
) -> anyhow::Result<Repaired> {
    let Took { seconds, peak_rss_mb } = worker::command(ground, arguments).await?;
    let counted = ground.count(service).await?;
    ensure!(counted == events, "{what}: {counted} events counted of {events}");
    told(Repaired { what, events_per_s: events as f64 / seconds, peak_rss_mb })
}

fn told(run: Repaired) -> anyhow::Result<Repaired> {
    let Repaired { what, events_per_s, peak_rss_mb } = run;
    output::print(&format!("  {what}: {events_per_s:.0} events/s, {peak_rss_mb:.0} MB\n"))?;
    Ok(run)
}
