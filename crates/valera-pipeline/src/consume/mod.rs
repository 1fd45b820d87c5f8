//! The one loop of every durable consumer: pull, decode, handle, settle.
//!
//! While a batch commits, the next one is pulled and decoded. A fault of ours keeps the batch and hands it in again, for
//! ever and with growing pauses: an outage loses nothing and fills no dead letters. Shutdown is looked at between
//! batches only, since a query that is cancelled half way leaves a connection in an unknown state. The loop does not
//! know what a handler does, and does not ack: `settle` does.

mod headers;
mod link;
mod pull;
mod source;
pub(crate) mod stored;
mod unreadable;

pub use link::Link;
pub(crate) use pull::Pull;
pub(crate) use source::{AHEAD, delivery};
pub use source::{Limits, Source};

use crate::{
    counters::Counters,
    handler::{Delivery, Handler, Outcome},
    health::Health,
    probe::{Point, Probe},
    settle,
};
use anyhow::{Context, anyhow};
use async_nats::{Client, Subject};
use backon::{BackoffBuilder, ExponentialBuilder};
use source::Pulled;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

/// A durable consumer at work.
pub struct Consumer<H: Handler> {
    reader: Reader<H::Batch>,
    writer: Writer<H>,
    /// Whether the writer is at work.
    busy: watch::Sender<bool>,
}

type Decoder<B> = dyn Fn(Vec<Delivery>) -> B + Send + Sync;

/// What the outside sees of a consumer.
#[derive(Debug, Clone)]
pub struct Watched {
    /// What came in and how it ended.
    pub counters: Arc<Counters>,
    /// Whether it can work.
    pub health: Health,
}

impl Watched {
    /// `consumer` stands in logs.
    #[must_use]
    pub fn new(consumer: &str) -> Self {
        Self { counters: Arc::default(), health: Health::new(consumer) }
    }

    /// Of a channel, which stands where others have a store.
    #[must_use]
    pub fn of_channel(consumer: &str) -> Self {
        Self { counters: Arc::default(), health: Health::before(consumer, "the channel") }
    }
}

/// A decoded batch, with what acks it.
struct Decoded<B> {
    batch: B,
    receipts: Vec<Subject>,
    client: Client,
}

impl<H: Handler> Consumer<H> {
    /// `watched` is what the outside sees of it.
    pub fn new(
        source: Source,
        handler: H,
        watched: &Watched,
        probe: Arc<dyn Probe>,
        shutdown: CancellationToken,
    ) -> Self {
        let Watched { counters, health } = watched;
        let reader = Reader {
            source,
            decoder: Arc::new(handler.decoder()),
            counters: counters.clone(),
            health: health.clone(),
            probe: probe.clone(),
            shutdown: shutdown.clone(),
        };
        let writer = Writer { handler, counters: counters.clone(), health: health.clone(), probe, shutdown };
        Self { reader, writer, busy: watch::Sender::new(false) }
    }

    /// Runs until shutdown. What was pulled by then is still finished, what was not is given back.
    ///
    /// # Errors
    /// When decoding panicked, which is a bug.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let mut ready = None;
        while ready.is_some() || !self.reader.shutdown.is_cancelled() {
            let mut busy = self.busy.subscribe();
            self.busy.send_replace(ready.is_some());
            let commit = async {
                if let Some(decoded) = ready.take() {
                    self.writer.finish(decoded).await;
                    self.busy.send_replace(false);
                }
            };
            let (next, ()) = futures::join!(self.reader.next(&mut busy), commit);
            ready = next?;
        }
        self.reader.source.close().await;
        Ok(())
    }

    /// Pulls one batch and finishes it; returns its size. For tests, which want one thing at a time.
    ///
    /// # Errors
    /// When the pull failed or decoding panicked.
    pub async fn step(&mut self) -> anyhow::Result<usize> {
        let pulled = self.reader.source.pull(&mut self.busy.subscribe(), &self.reader.shutdown).await?;
        let Some(decoded) = self.reader.decode(pulled).await? else { return Ok(0) };
        let size = decoded.receipts.len();
        self.writer.finish(decoded).await;
        Ok(size)
    }
}

/// The half of the loop that makes the next batch ready.
struct Reader<B> {
    source: Source,
    decoder: Arc<Decoder<B>>,
    counters: Arc<Counters>,
    health: Health,
    probe: Arc<dyn Probe>,
    shutdown: CancellationToken,
}

impl<B: Send + 'static> Reader<B> {
    /// Pulls and decodes one batch, trying for ever; `None` when nothing came for a while or on shutdown.
    ///
    /// `busy` is whether the writer is; while it is, a batch goes on filling.
    async fn next(&mut self, busy: &mut watch::Receiver<bool>) -> anyhow::Result<Option<Decoded<B>>> {
        let mut pauses = pauses();
        while !self.shutdown.is_cancelled() {
            match self.source.pull(busy, &self.shutdown).await {
                Ok(pulled) => {
                    self.health.nats_answers();
                    return self.decode(pulled).await;
                }
                Err(cause) => {
                    self.health.nats_fails(&cause);
                    pause(&mut pauses, &self.shutdown).await;
                }
            }
        }
        Ok(None)
    }

    async fn decode(&self, pulled: Option<Pulled>) -> anyhow::Result<Option<Decoded<B>>> {
        let Some(Pulled { deliveries, receipts, client }) = pulled else { return Ok(None) };
        self.counters.add_received(deliveries.len());
        self.probe.reached(Point::Pulled);
        let decoder = self.decoder.clone();
        let batch = tokio::task::spawn_blocking(move || decoder(deliveries)).await.context("decoding a batch")?;
        Ok(Some(Decoded { batch, receipts, client }))
    }
}

/// The half of the loop that makes a batch durable.
struct Writer<H: Handler> {
    handler: H,
    counters: Arc<Counters>,
    health: Health,
    probe: Arc<dyn Probe>,
    shutdown: CancellationToken,
}

impl<H: Handler> Writer<H> {
    /// Hands the batch in until it is durable, then settles it. Gives up on shutdown only: the messages come back.
    async fn finish(&mut self, decoded: Decoded<H::Batch>) {
        let Decoded { batch, receipts, client } = decoded;
        let mut waits = pauses();
        let mut extended = Instant::now();
        let outcomes = loop {
            match self.handler.handle(&batch).await {
                Ok(outcomes) => break outcomes,
                Err(cause) => {
                    self.health.store_fails(&cause.0);
                    if self.shutdown.is_cancelled() {
                        return self.abandon(&client, receipts).await;
                    }
                    if extended.elapsed() > EXTEND_EVERY {
                        // Best effort: without it the messages come a second time and count as duplicates.
                        drop(within_shutdown(&self.shutdown, settle::extend(&client, &receipts)).await);
                        extended = Instant::now();
                    }
                    if self.handler.has_advanced() {
                        waits = pauses();
                    }
                    pause(&mut waits, &self.shutdown).await;
                }
            }
        };
        match self.handler.complaint() {
            Some(cause) => self.health.store_fails(&anyhow!(cause)),
            None => self.health.store_answers(),
        }
        self.probe.reached(Point::AfterCommit);
        debug!(consumer = self.health.consumer(), messages = receipts.len(), "committed");
        self.settle(&client, receipts, &outcomes).await;
        self.probe.reached(Point::Acked);
    }

    async fn settle(&self, client: &Client, receipts: Vec<Subject>, outcomes: &[Outcome]) {
        let acks = settle::settle(client, &self.counters, receipts, outcomes);
        if let Err(cause) = within_shutdown(&self.shutdown, acks).await {
            warn!(
                consumer = self.health.consumer(),
                cause = format!("{cause:#}"),
                "could not ack; the messages will come back"
            );
        }
    }

    async fn abandon(&self, client: &Client, receipts: Vec<Subject>) {
        let messages = receipts.len();
        warn!(
            consumer = self.health.consumer(),
            messages, "stopped before the batch was durable; it will be delivered again"
        );
        self.settle(client, receipts, &vec![Outcome::Later; messages]).await;
    }
}

const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A third of the consumers' `ack_wait`.
const EXTEND_EVERY: Duration = Duration::from_secs(20);

/// Acks are hints. Where NATS is away, a stopping worker waits this long for them and no longer.
pub(crate) const LAST_ACKS: Duration = Duration::from_secs(2);

/// Does what needs NATS, which has [`LAST_ACKS`] for it once shutdown began.
async fn within_shutdown(
    shutdown: &CancellationToken,
    work: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let too_long = async {
        shutdown.cancelled().await;
        tokio::time::sleep(LAST_ACKS).await;
    };
    tokio::select! {
        biased;
        done = work => done,
        () = too_long => Err(anyhow!("NATS was away at shutdown")),
    }
}

/// Sleeps for the next pause, or until shutdown.
pub(crate) async fn pause(pauses: &mut impl Iterator<Item = Duration>, shutdown: &CancellationToken) {
    let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = tokio::time::sleep(pause) => {}
    }
}

/// 100 ms, doubling to five seconds, each with jitter.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}
