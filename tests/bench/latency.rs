//! How long an event takes from the call that publishes it until its row, and its rollups, are committed.
//!
//! The services run in this process with a probe that notes when each COMMIT has been answered. A worker's transactions
//! follow one another, so the nth transaction id among the rows belongs to the nth answer: no polling, no trigger, and
//! nothing added to the product's path. A single clock times both ends.
//!
//! It does not measure throughput; the load is far below it.

use crate::{
    corpus::Talk,
    ground::Ground,
    results::{Latency, Quantiles},
};
use anyhow::ensure;
use chrono::Utc;
use futures::{Stream, StreamExt, stream};
use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use valera_analytics::output;
use valera_events::Origin;
use valera_pipeline::{
    consume::Watched,
    probe::{Point, Probe},
    service::Service,
    supervise::Supervisor,
};
use valera_tracker::{Outgoing, Publisher};

const EVENTS_PER_S: u32 = 1_000;
/// Not counted: connections open and partitions are made then.
const WARM_UP: Duration = Duration::from_secs(2);

/// When each COMMIT was answered.
#[derive(Default)]
struct Commits(Mutex<Vec<Instant>>);

impl Probe for Commits {
    fn reached(&self, point: Point) {
        if point == Point::AfterCommit {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Instant::now());
        }
    }
}

/// A message on its way.
pub(crate) struct Published {
    pub(crate) event_id: Uuid,
    pub(crate) called: Instant,
    pub(crate) acknowledged: Instant,
}

pub(crate) async fn measure(ground: &Ground, seconds: u32) -> anyhow::Result<Latency> {
    output::print(&format!("{EVENTS_PER_S} events/s for {seconds} s\n"))?;
    ground.fresh_database().await?;
    ground.empty_stream().await?;
    let shutdown = CancellationToken::new();
    let mut supervisor = Supervisor::new(shutdown.clone());
    let commits = Service::ALL.map(|service| {
        let commits = Arc::new(Commits::default());
        let watched = Watched::new(service.name());
        let running = service.run(ground.environment().clone(), watched, commits.clone(), shutdown.clone());
        supervisor.start(service.name(), running);
        commits
    });
    let publisher = Publisher::new(ground.context().client());
    let events = usize::try_from(EVENTS_PER_S * seconds)?;
    let published: Vec<Published> = steadily(&publisher, EVENTS_PER_S, events).collect().await;
    for service in Service::ALL {
        while !ground.is_drained(service).await? {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    shutdown.cancel();
    supervisor.wait(Duration::from_secs(10)).await?;

    let counted_from = published.iter().map(|message| message.called).min().map(|first| first + WARM_UP);
    let counted: Vec<&Published> = published.iter().filter(|message| Some(message.called) > counted_from).collect();
    let acknowledged = counted.iter().map(|message| milliseconds(message.called, message.acknowledged)).collect();
    let mut quantiles = Vec::new();
    for (service, commits) in Service::ALL.into_iter().zip(commits) {
        let durable = durable(ground, service, &commits).await?;
        ensure!(durable.len() == events, "{}: {} of {events} events", service.name(), durable.len());
        let took = |message: &&Published| Some(milliseconds(message.called, *durable.get(&message.event_id)?));
        quantiles.push(Quantiles::of(counted.iter().filter_map(took).collect()));
    }
    let [stored, rolled_up] = quantiles.try_into().map_err(|_| anyhow::anyhow!("two services"))?;
    Ok(Latency {
        events_per_s: EVENTS_PER_S,
        events: counted.len(),
        acknowledged: Quantiles::of(acknowledged),
        stored,
        rolled_up,
    })
}

/// Publishes at a steady rate, whether or not acks keep up.
pub(crate) fn steadily(publisher: &Publisher, events_per_s: u32, events: usize) -> impl Stream<Item = Published> {
    let ticks = tokio::time::interval(Duration::from_secs(1) / events_per_s);
    let messages = stream::unfold((ticks, Talk::new()), |(mut ticks, mut talk)| async move {
        ticks.tick().await;
        Some((talk.message(Utc::now()), (ticks, talk)))
    });
    messages
        .take(events)
        .map(async |message| {
            let event_id = message.event_id;
            let outgoing = Outgoing {
                subject: message.subject.to_owned(),
                msg_id: Some(event_id.to_string()),
                origin: Origin::Live,
                body: message.body,
            };
            let called = Instant::now();
            let answer = publisher.publish(outgoing).await;
            answer.map(|_| Published { event_id, called, acknowledged: Instant::now() })
        })
        .buffer_unordered(1_024)
        .filter_map(|published| std::future::ready(published.ok()))
}

/// When each event was committed.
async fn durable(ground: &Ground, service: Service, commits: &Commits) -> anyhow::Result<HashMap<Uuid, Instant>> {
    let query = match service {
        Service::Persister => "SELECT event_id, xmin::text::bigint FROM analytics_events",
        Service::Rollups => "SELECT event_id, xmin::text::bigint FROM rollups.inbox",
    };
    let rows: Vec<(Uuid, i64)> = sqlx::query_as(query).fetch_all(&mut ground.postgres().await?).await?;
    let transactions: BTreeSet<i64> = rows.iter().map(|(_, transaction)| *transaction).collect();
    let commits = commits.0.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(
        transactions.len() == commits.len(),
        "{}: {} transactions among the rows, {} commits",
        service.name(),
        transactions.len(),
        commits.len()
    );
    let at: HashMap<i64, Instant> = transactions.into_iter().zip(commits.iter().copied()).collect();
    Ok(rows.into_iter().filter_map(|(event_id, transaction)| Some((event_id, *at.get(&transaction)?))).collect())
}

fn milliseconds(from: Instant, to: Instant) -> f64 {
    to.saturating_duration_since(from).as_secs_f64() * 1e3
}
