//! The pull side of a durable consumer: batches bounded in count, bytes and time.
//!
//! A batch closes when it is full, or when it has lingered and the writer is idle: while the writer is busy, waiting
//! costs nothing and makes the next transaction worth more. A stream of messages that ends, errs or falls silent while
//! messages are pending is rebuilt, and every third time the client under it too: pull requests do get lost. After that,
//! and after each connection that was lost, it looks for a message that cannot be read, which would break the next one
//! when it is delivered again. It does not decide what becomes of a message.

use super::{LAST_ACKS, link::Link, pull::Pull, unreadable};
use crate::{handler::Delivery, settle, topology};
use anyhow::{Context, anyhow, ensure};
use async_nats::{Client, Subject, jetstream};
use futures::FutureExt;
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// A pull asks for this part of a batch; the next one is sent when half of it has come. What lies ready in memory is
/// then a part of a batch as well, and JetStream has fewer unacknowledged messages to keep account of.
pub(crate) const AHEAD: usize = 4;

/// What a batch may hold, and how long it may wait.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Messages in one batch.
    pub messages: usize,
    /// Bytes in one batch, headers and subjects included: 60,000 events of the largest size would be 3.9 GB.
    pub bytes: usize,
    /// How long a batch waits for company after its first message.
    pub linger: Duration,
    /// How long a pull waits for a first message.
    pub patience: Duration,
    /// Silence with messages pending that counts as a stall.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            messages: 12_000,
            bytes: 8 << 20,
            linger: Duration::from_millis(5),
            patience: Duration::from_secs(1),
            stall: Duration::from_secs(30),
        }
    }
}

/// Messages pulled together, and what acks them.
pub(crate) struct Pulled {
    pub(crate) deliveries: Vec<Delivery>,
    pub(crate) receipts: Vec<Subject>,
    pub(crate) client: Client,
}

/// A durable consumer to pull from.
pub struct Source {
    link: Link,
    stream: String,
    consumer: String,
    limits: Limits,
    client: Option<Client>,
    /// How often the client had connected when that was last looked at.
    connects: u64,
    messages: Option<Pull>,
    /// When a message last arrived, or the stream of messages was last rebuilt.
    heard: Instant,
    failures: u32,
    /// Whether a connection was lost or an open stream of messages has failed: a message that cannot be read may be why.
    suspects: bool,
}

impl Source {
    /// Does not connect yet.
    #[must_use]
    pub fn new(link: Link, stream: &str, consumer: &str, limits: Limits) -> Self {
        Self {
            link,
            stream: stream.to_owned(),
            consumer: consumer.to_owned(),
            limits,
            client: None,
            connects: 0,
            messages: None,
            heard: Instant::now(),
            failures: 0,
            suspects: false,
        }
    }

    /// Pulls one batch; `None` when nothing came within the patience.
    ///
    /// # Errors
    /// When NATS or the consumer cannot be reached; the next call starts afresh.
    pub(crate) async fn pull(
        &mut self,
        busy: &mut watch::Receiver<bool>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Option<Pulled>> {
        let pulled = self.try_pull(busy, shutdown).await;
        match &pulled {
            Ok(Some(_)) => self.failures = 0,
            Ok(None) => {}
            Err(_) => {
                self.failures += 1;
                self.suspects |= self.messages.take().is_some();
                if self.failures.is_multiple_of(3) {
                    self.client = None;
                }
            }
        }
        pulled
    }

    async fn try_pull(
        &mut self,
        busy: &mut watch::Receiver<bool>,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Option<Pulled>> {
        let unreadable = tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
            unreadable = self.search() => unreadable?,
        };
        if unreadable.is_some() {
            return Ok(unreadable);
        }
        let client = self.client().await?;
        if self.messages.is_none() {
            self.messages = Some(self.open(&client).await?);
            self.heard = Instant::now();
        }
        let Some(messages) = self.messages.as_mut() else { return Ok(None) };
        let first = tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
            first = tokio::time::timeout(self.limits.patience, messages.next()) => first,
        };
        let Ok(first) = first else {
            self.watch(&client).await?;
            return Ok(None);
        };
        self.heard = Instant::now();
        let mut batch = Collected::default();
        batch.push(first?)?;
        let limits = self.limits;
        let close = async {
            tokio::time::sleep(limits.linger).await;
            busy.wait_for(|busy| !busy).await.is_ok()
        };
        tokio::pin!(close);
        while !batch.is_full(&limits) {
            let next = match messages.next().now_or_never() {
                Some(next) => next,
                None => tokio::select! {
                    biased;
                    next = messages.next() => next,
                    _ = &mut close => break,
                },
            };
            // What is in hand is worth finishing; a pull that goes on failing says so the next time.
            let Ok(next) = next else { break };
            batch.push(next)?;
        }
        Ok(Some(Pulled { deliveries: batch.deliveries, receipts: batch.receipts, client }))
    }

    /// Looks for unreadable messages where one is suspected. When that fails it is not in the way of those that can be
    /// read: at an unreadable one the stream fails again.
    async fn search(&mut self) -> anyhow::Result<Option<Pulled>> {
        if !self.suspects && !self.has_reconnected() {
            return Ok(None);
        }
        if self.messages.is_none() {
            // The old client may still be handed the message it stumbles over.
            self.client = None;
        }
        let client = self.client().await?;
        self.suspects = false;
        match unreadable::fetch(&client, &self.stream, &self.consumer).await {
            Ok(unreadable) => Ok(unreadable),
            Err(cause) => {
                let cause = format!("{cause:#}");
                warn!(consumer = self.consumer, cause, "could not look for messages that cannot be read");
                Ok(None)
            }
        }
    }

    /// Whether the client has connected again since this was last asked.
    fn has_reconnected(&mut self) -> bool {
        let Some(client) = &self.client else { return false };
        let connects = connects(client);
        std::mem::replace(&mut self.connects, connects) != connects
    }

    async fn client(&mut self) -> anyhow::Result<Client> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let client = self.link.connect().await?;
        self.connects = connects(&client);
        self.client = Some(client.clone());
        Ok(client)
    }

    async fn open(&self, client: &Client) -> anyhow::Result<Pull> {
        let context = jetstream::new(client.clone());
        let consumer = topology::bind(&context, &self.stream, &self.consumer).await?;
        let Limits { messages, bytes, .. } = self.limits;
        Pull::open(client, &consumer, messages.div_ceil(AHEAD), bytes.div_ceil(AHEAD))
            .await
            .with_context(|| format!("pulling from consumer {}", self.consumer))
    }

    /// After a silence: are messages pending that nobody hands us?
    async fn watch(&mut self, client: &Client) -> anyhow::Result<()> {
        if self.heard.elapsed() < self.limits.stall {
            return Ok(());
        }
        let context = jetstream::new(client.clone());
        let consumer = topology::bind(&context, &self.stream, &self.consumer).await?;
        let info = consumer.cached_info();
        if info.num_pending == 0 {
            self.heard = Instant::now();
            return Ok(());
        }
        // With no room left others hold what was handed out; what they forget comes again after `ack_wait`.
        let has_room = i64::try_from(info.num_ack_pending).unwrap_or(i64::MAX) < info.config.max_ack_pending;
        let patience = if has_room { self.limits.stall } else { self.limits.stall + 2 * info.config.ack_wait };
        ensure!(
            self.heard.elapsed() < patience,
            "{} messages pending, {} not acked, and none received for {patience:?}",
            info.num_pending,
            info.num_ack_pending,
        );
        Ok(())
    }

    /// Gives back what was handed over but not pulled, so that another worker need not wait for `ack_wait`.
    pub(crate) async fn close(mut self) {
        let Some(client) = self.client.take() else { return };
        let unhandled = match self.messages.take() {
            Some(messages) => messages.rest().await,
            None => Vec::new(),
        };
        let receipts = unhandled.into_iter().filter_map(|message| message.message.reply);
        let given_back = tokio::time::timeout(LAST_ACKS, settle::give_back(&client, receipts)).await;
        if let Err(cause) = given_back.unwrap_or_else(|_| Err(anyhow!("NATS is away"))) {
            warn!(consumer = self.consumer, cause = format!("{cause:#}"), "could not give messages back");
        }
    }
}

fn connects(client: &Client) -> u64 {
    client.statistics().connects.load(Ordering::Relaxed)
}

#[derive(Default)]
struct Collected {
    deliveries: Vec<Delivery>,
    receipts: Vec<Subject>,
    bytes: usize,
}

impl Collected {
    fn is_full(&self, limits: &Limits) -> bool {
        self.deliveries.len() >= limits.messages || self.bytes >= limits.bytes
    }

    fn push(&mut self, message: jetstream::Message) -> anyhow::Result<()> {
        let delivery = delivery(&message)?;
        let receipt = message.message.reply.ok_or_else(|| anyhow!("a message without a reply subject"))?;
        self.bytes += message.message.length;
        self.deliveries.push(delivery);
        self.receipts.push(receipt);
        Ok(())
    }
}

/// A message as handlers see it.
pub(crate) fn delivery(message: &jetstream::Message) -> anyhow::Result<Delivery> {
    let info = message.info().map_err(|cause| anyhow!(cause)).context("reading a message's reply subject")?;
    let headers = message.headers.iter().flat_map(async_nats::HeaderMap::iter);
    let headers = headers.flat_map(|(name, values)| values.iter().map(move |value| (name, value)));
    let headers = headers.map(|(name, value)| {
        let name: &str = name.as_ref();
        (name.to_owned(), value.as_str().to_owned())
    });
    Ok(Delivery {
        stream: info.stream.to_owned(),
        sequence: info.stream_sequence,
        received_at: info.published,
        subject: message.subject.as_str().to_owned(),
        headers: in_order(headers.collect()),
        body: message.payload.clone(),
    })
}

/// The client library keeps headers in an order that is another one at each delivery.
pub(super) fn in_order(mut headers: Vec<(String, String)>) -> Vec<(String, String)> {
    headers.sort_by(|(one, _), (other, _)| one.cmp(other));
    headers
}
