//! Each service from a full stream to an empty one, on one worker and on two, alone and beside the other.
//!
//! A run is timed from the start of the product's process to the moment when JetStream has every ack, start-up included,
//! and counts only if the database then holds every event. The ceiling is taken before and after the services; the
//! better one stands, against us.
//!
//! It does not run two measurements at once.

use crate::{
    ceiling::Encoded,
    corpus::Corpus,
    ground::Ground,
    results::{Backlog, Drained, Spread},
    usage,
    worker::Worker,
};
use anyhow::ensure;
use std::time::{Duration, Instant};
use valera_analytics::output;
use valera_pipeline::service::Service;

/// Services that run together, and on how many workers each.
pub(crate) type Crew<'a> = (&'a [Service], usize);

/// Every run of a backlog.
pub(crate) const ALL: &[Crew<'static>] = &[
    (&[Service::Persister], 1),
    (&[Service::Rollups], 1),
    (&[Service::Persister], 2),
    (&[Service::Rollups], 2),
    (&Service::ALL, 1),
];

pub(crate) async fn measure(
    ground: &Ground,
    spread: Spread,
    corpus: &Corpus,
    crews: &[Crew<'_>],
) -> anyhow::Result<Backlog> {
    output::print(&format!("{} events of {}: filling the stream\n", corpus.events, spread.words()))?;
    ground.empty_stream().await?;
    let began = Instant::now();
    ground.fill(corpus.messages()).await?;
    let filled_per_s = corpus.events as f64 / began.elapsed().as_secs_f64();

    let encoded = Encoded::of(ground, corpus.messages()).await?;
    let before = ceilings(ground, &encoded).await?;
    let mut runs = Vec::new();
    for &(services, workers) in crews {
        runs.extend(drain(ground, corpus.events, services, workers).await?);
    }
    let after = ceilings(ground, &encoded).await?;
    let ceiling_per_s = [before[0].max(after[0]), before[1].max(after[1])];
    for run in &mut runs {
        // Folds run one after another: however many workers, it is one connection that they can fill.
        let connections = if run.service == Service::Rollups.name() { 1 } else { run.workers };
        run.ceiling_ratio = run.events_per_s / ceiling_per_s[connections - 1];
        output::print(&format!(
            "  {} on {} worker(s){}: {:.0} events/s, {:.2} of the ceiling, CPU s per million {:.2} (Postgres {:.2}, nats-server \
             {:.2}), {:.0} MB\n",
            run.service,
            run.workers,
            if run.beside_the_other { ", beside the other" } else { "" },
            run.events_per_s,
            run.ceiling_ratio,
            run.cpu_s_per_million,
            run.postgres_cpu_s_per_million,
            run.nats_cpu_s_per_million,
            run.peak_rss_mb
        ))?;
    }
    Ok(Backlog { spread, filled_per_s, ceiling_per_s, runs })
}

async fn ceilings(ground: &Ground, encoded: &Encoded) -> anyhow::Result<[f64; 2]> {
    let both = [encoded.copy(ground, 1).await?, encoded.copy(ground, 2).await?];
    output::print(&format!("  ceiling: {:.0} events/s on one connection, {:.0} on two\n", both[0], both[1]))?;
    Ok(both)
}

/// Runs services, each on so many workers, until all have drained the stream.
pub(crate) async fn drain(
    ground: &Ground,
    events: usize,
    services: &[Service],
    workers: usize,
) -> anyhow::Result<Vec<Drained>> {
    ground.fresh_database().await?;
    ground.rewind().await?;
    let before = [usage::cpu_seconds(ground.postgres_pid())?, usage::cpu_seconds(ground.nats_pid())?];
    let began = Instant::now();
    let mut running = Vec::new();
    for &service in services {
        let names = std::iter::repeat_n([service.name()], workers);
        let processes: Vec<Worker> = names.map(|name| Worker::start(ground, &name)).collect::<Result<_, _>>()?;
        running.push((service, processes));
    }
    let millions = events as f64 / 1e6;
    let mut drained = Vec::new();
    while !running.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut still_running = Vec::new();
        for (service, mut processes) in running {
            processes.iter_mut().try_for_each(Worker::must_run)?;
            if !ground.is_drained(service).await? {
                still_running.push((service, processes));
                continue;
            }
            let events_per_s = events as f64 / began.elapsed().as_secs_f64();
            let cpu: f64 = processes.iter().map(Worker::cpu_seconds).sum::<Result<_, _>>()?;
            let peaks: Vec<f64> =
                processes.iter().map(|worker| usage::peak_rss_mb(worker.pid())).collect::<Result<_, _>>()?;
            let postgres = usage::cpu_seconds(ground.postgres_pid())? - before[0];
            let nats = usage::cpu_seconds(ground.nats_pid())? - before[1];
            drained.push(Drained {
                service: service.name(),
                workers,
                beside_the_other: services.len() > 1,
                events_per_s,
                ceiling_ratio: f64::NAN,
                cpu_s_per_million: cpu / millions,
                postgres_cpu_s_per_million: postgres / millions,
                nats_cpu_s_per_million: nats / millions,
                peak_rss_mb: peaks.into_iter().fold(0.0, f64::max),
            });
        }
        running = still_running;
    }
    for &service in services {
        let counted = ground.count(service).await?;
        ensure!(counted == events, "{}: {counted} events counted of {events}", service.name());
    }
    Ok(drained)
}
