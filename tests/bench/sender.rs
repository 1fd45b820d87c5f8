//! A program that publishes, in a process of its own: by the SDK, or by HTTP to a gateway.
//!
//! Its events are made before the clock starts. It ends when the stream has them all, and says as a line of JSON how long
//! it took and what it used. By the SDK each event is tracked durably, many at once: that is what 202 promises too.
//!
//! It does not start or stop anything else.

use crate::{
    corpus::{Corpus, Message},
    results::Spread,
    usage,
};
use anyhow::{Context, ensure};
use async_nats::jetstream;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Parser;
use futures::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::{
    path::PathBuf,
    process::id,
    time::{Duration, Instant},
};
use valera_analytics::{gateway::Client, output};
use valera_events::PseudonymKeys;
use valera_pipeline::{consume::Link, service::STREAM};
use valera_tracker::{Config, Event, Tracked, Tracker};

/// The argument that makes this binary a sender.
pub(crate) const SENDER: &str = "send";

/// Events that the SDK is asked for at once, and requests at once.
const TRACKED_AT_ONCE: usize = 1_000;
const REQUESTS_AT_ONCE: usize = 4;

/// Publish, and say what it took
#[derive(Debug, Parser)]
pub(crate) struct Sender {
    #[arg(long)]
    nats_url: String,
    #[arg(long)]
    keys_file: PathBuf,
    /// Of the SDK
    #[arg(long)]
    spool: PathBuf,
    #[arg(long)]
    events: usize,
    /// Events of a request; without it, by the SDK
    #[arg(long, requires_all = ["url", "token"])]
    batch: Option<usize>,
    #[arg(long)]
    url: Option<String>,
    #[arg(long)]
    token: Option<String>,
}

/// Seconds from the first event.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Sent {
    /// Until each was on a disk.
    pub(crate) safe_s: f64,
    /// Until the stream had them all.
    pub(crate) published_s: f64,
    /// CPU seconds of the sender.
    pub(crate) cpu_s: f64,
}

impl Sender {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let corpus = Corpus::ending(Utc::now() - TimeDelta::minutes(1), Spread::OneHour, self.events);
        let watch = jetstream::new(Link::new(&self.nats_url, "valera-bench-sender").connect().await?);
        let sent = match (self.batch, &self.url, &self.token) {
            (Some(batch), Some(url), Some(token)) => {
                let bodies: Vec<Bytes> = corpus.messages().map(|message| message.body).collect();
                let client = Client::new(url, token)?;
                self.timed(&watch, post(&client, &bodies, batch)).await?
            }
            _ => {
                let events = corpus.messages().map(|message| event(&message)).collect::<anyhow::Result<Vec<_>>>()?;
                let keys = std::fs::read_to_string(&self.keys_file).context("reading the keys")?;
                let config = Config::new(&self.nats_url, PseudonymKeys::parse(keys.trim())?).spool_in(&self.spool);
                let tracker = Tracker::start(config)?;
                self.timed(&watch, track(&tracker, events)).await?
            }
        };
        output::print(&format!("{}\n", serde_json::to_string(&sent)?))
    }

    async fn timed(
        &self,
        watch: &jetstream::Context,
        work: impl Future<Output = anyhow::Result<()>>,
    ) -> anyhow::Result<Sent> {
        let (began, before) = (Instant::now(), usage::cpu_seconds(id())?);
        work.await?;
        let safe_s = began.elapsed().as_secs_f64();
        let mut stream = watch.get_stream(STREAM).await?;
        while stream.info().await?.state.messages < self.events as u64 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(Sent { safe_s, published_s: began.elapsed().as_secs_f64(), cpu_s: usage::cpu_seconds(id())? - before })
    }
}

async fn track(tracker: &Tracker, events: Vec<Event>) -> anyhow::Result<()> {
    let mut tracked =
        stream::iter(events).map(|event| tracker.track_durable(event)).buffer_unordered(TRACKED_AT_ONCE);
    while let Some(tracked) = tracked.next().await {
        ensure!(tracked == Tracked::Queued, "an event was not taken: {tracked:?}");
    }
    Ok(())
}

async fn post(client: &Client, bodies: &[Bytes], batch: usize) -> anyhow::Result<()> {
    let requests = stream::iter(bodies.chunks(batch)).map(async |batch| {
        let answered = client.send(batch).await?;
        ensure!(answered.rejected == 0, "{} events were rejected", answered.rejected);
        Ok(())
    });
    requests.buffer_unordered(REQUESTS_AT_ONCE).try_collect().await
}

/// The message in the SDK's words.
fn event(message: &Message) -> anyhow::Result<Event> {
    #[derive(Deserialize)]
    struct Body {
        event_name: String,
        chat_id: i64,
        occurred_at: DateTime<Utc>,
        platform: String,
        properties: Map<String, Value>,
    }
    let Body { event_name, chat_id, occurred_at, platform, properties } = serde_json::from_slice(&message.body)?;
    let event = Event::new(event_name, chat_id).at(occurred_at).platform(platform);
    Ok(properties.into_iter().fold(event, |event, (key, value)| event.with(key, value)))
}
