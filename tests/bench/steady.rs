//! What the system costs under the load that the first design was made for: 100 events a second.
//!
//! All services in one process, as `run all` starts them, beside both servers, over the same stretch of time.
//!
//! It does not count the publisher.

use crate::{
    ground::Ground,
    latency::steadily,
    results::{Footprint, SeedLoad},
    usage,
    worker::Worker,
};
use futures::StreamExt;
use std::time::{Duration, Instant};
use valera_analytics::output;
use valera_tracker::Publisher;

const EVENTS_PER_S: u32 = 100;

pub(crate) async fn measure(ground: &Ground, seconds: u32) -> anyhow::Result<SeedLoad> {
    output::print(&format!("{EVENTS_PER_S} events/s for {seconds} s\n"))?;
    ground.fresh_database().await?;
    ground.empty_stream().await?;
    let mut worker = Worker::start(ground, &["all"])?;
    let publisher = Publisher::new(ground.context().client());
    // Start-up is over when the first events are through.
    publish(&publisher, 2 * EVENTS_PER_S).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let pids = [worker.pid(), ground.postgres_pid(), ground.nats_pid()];
    let mut before = [0.0; 3];
    for (cpu, pid) in before.iter_mut().zip(pids) {
        *cpu = usage::cpu_seconds(pid)?;
    }
    let began = Instant::now();
    publish(&publisher, seconds * EVENTS_PER_S).await?;
    let elapsed = began.elapsed().as_secs_f64();
    worker.must_run()?;
    let footprint = |at: usize| -> anyhow::Result<Footprint> {
        let cpu = usage::cpu_seconds(pids[at])? - before[at];
        Ok(Footprint { cpu_percent: 100.0 * cpu / elapsed, memory_mb: usage::memory_mb(pids[at])? })
    };
    Ok(SeedLoad {
        events_per_s: EVENTS_PER_S,
        services: footprint(0)?,
        postgres: footprint(1)?,
        nats_server: footprint(2)?,
    })
}

async fn publish(publisher: &Publisher, events: u32) -> anyhow::Result<()> {
    let events = usize::try_from(events)?;
    let acknowledged = steadily(publisher, EVENTS_PER_S, events).count().await;
    anyhow::ensure!(acknowledged == events, "{acknowledged} of {events} events were acknowledged");
    Ok(())
}
