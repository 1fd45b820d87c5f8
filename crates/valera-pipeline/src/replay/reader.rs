//! The stream from one sequence to another, in order, batch by batch.
//!
//! In order and unacknowledged, so that one number says how far it is: after any failure, and where a message was lost
//! on its way, the consumer is made anew behind the last message read. A message that the client library cannot read,
//! and at which it would drop its connection for ever, is fetched through the JetStream API. It does not know what has
//! become durable.

use super::drive::{Place, Read, Source};
use crate::{
    consume::{AHEAD, Limits, Link, Pull, delivery, pause, pauses, stored},
    handler::Delivery,
    service::STREAM,
};
use anyhow::{Context, anyhow, bail, ensure};
use async_nats::{
    Client,
    jetstream::{
        self, ErrorCode,
        consumer::{AckPolicy, DeliverPolicy, pull},
        response::Response,
    },
};
use serde_json::{Value, json};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tracing::warn;

/// After how long without a pull the server forgets the consumer of a replay that was killed.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);

/// Failures at one message after which it is fetched by itself.
const STUMBLES: u32 = 2;

/// See the module.
pub(crate) struct Reader {
    link: Link,
    consumer: String,
    subject: String,
    last: u64,
    limits: Limits,
    /// Everything up to this sequence has been read.
    cursor: u64,
    client: Option<Client>,
    pull: Option<Pull>,
    /// What the consumer must number the next message.
    expected: u64,
    failures: u32,
}

impl Reader {
    /// Reads behind `after`, up to and with `last`, by a consumer of this name: one of another reader is removed.
    pub(crate) fn new(link: Link, consumer: &str, subject: &str, after: u64, last: u64, limits: Limits) -> Self {
        Self {
            link,
            consumer: consumer.to_owned(),
            subject: subject.to_owned(),
            last,
            limits,
            cursor: after,
            client: None,
            pull: None,
            expected: 1,
            failures: 0,
        }
    }

    /// The next batch, trying for ever; `None` at the end and on shutdown.
    pub(crate) async fn next(&mut self, shutdown: &CancellationToken) -> Option<Read<Delivery>> {
        let mut pauses = pauses();
        while self.cursor < self.last && !shutdown.is_cancelled() {
            match self.read().await {
                Ok(Some(read)) => {
                    self.failures = 0;
                    return Some(read);
                }
                Ok(None) => {}
                Err(cause) => {
                    warn!(consumer = self.consumer, cause = format!("{cause:#}"), "reading the stream failed; again");
                    self.pull = None;
                    self.client = None;
                    self.failures += 1;
                    pause(&mut pauses, shutdown).await;
                }
            }
        }
        None
    }

    /// Removes the consumer.
    pub(crate) async fn close(mut self) -> anyhow::Result<()> {
        self.pull = None;
        let context = self.context().await?;
        remove(&context, &self.consumer).await
    }

    /// One batch; `None` when nothing came for a while.
    async fn read(&mut self) -> anyhow::Result<Option<Read<Delivery>>> {
        if self.failures >= STUMBLES {
            return self.fetch().await.map(Some);
        }
        if self.pull.is_none() {
            self.pull = Some(self.open().await?);
        }
        let mut deliveries = Vec::new();
        let mut bytes = 0;
        while self.cursor < self.last && deliveries.len() < self.limits.messages && bytes < self.limits.bytes {
            match self.message().await {
                Ok(Some(message)) => {
                    bytes += message.body.len();
                    deliveries.push(message);
                }
                Ok(None) => break,
                Err(cause) if deliveries.is_empty() => return Err(cause),
                // What is in hand is worth finishing; the consumer is made anew for the rest.
                Err(_) => {
                    self.pull = None;
                    break;
                }
            }
        }
        let is_over = self.cursor >= self.last;
        Ok((is_over || !deliveries.is_empty()).then_some(self.upto_here(deliveries)))
    }

    /// The next message; `None` when none came for a while, or none is left.
    async fn message(&mut self) -> anyhow::Result<Option<Delivery>> {
        let Some(pull) = self.pull.as_mut() else { return Ok(None) };
        let Ok(message) = tokio::time::timeout(self.limits.patience, pull.next()).await else {
            self.ask_about_silence().await?;
            return Ok(None);
        };
        let message = message?;
        let info = message.info().map_err(|cause| anyhow!(cause)).context("reading a reply subject")?;
        ensure!(info.consumer_sequence == self.expected, "a message was lost on its way");
        self.expected += 1;
        let (sequence, is_last) = (info.stream_sequence, info.pending == 0);
        if sequence > self.last {
            self.cursor = self.last;
            return Ok(None);
        }
        self.cursor = if is_last { self.last } else { sequence };
        delivery(&message).map(Some)
    }

    /// Nothing came for a while: because nothing is left, messages may be deleted before they are read; or because what
    /// was sent was lost with a connection.
    async fn ask_about_silence(&mut self) -> anyhow::Result<()> {
        let stream = self.context().await?.get_stream(STREAM).await.context("asking for the stream")?;
        let info = stream.consumer_info(&self.consumer).await.context("asking for the consumer")?;
        ensure!(info.delivered.consumer_sequence < self.expected, "a message was lost on its way");
        if info.num_pending == 0 {
            self.cursor = self.last;
        }
        Ok(())
    }

    /// The next message by itself.
    async fn fetch(&mut self) -> anyhow::Result<Read<Delivery>> {
        let context = self.context().await?;
        let request = json!({"seq": self.cursor + 1, "next_by_subj": self.subject});
        let message = stored::get(&context, STREAM, request).await?;
        let Some(message) = message.filter(|message| message.sequence <= self.last) else {
            self.cursor = self.last;
            return Ok(self.upto_here(Vec::new()));
        };
        self.cursor = message.sequence;
        Ok(self.upto_here(vec![message.delivery(STREAM)]))
    }

    fn upto_here(&self, items: Vec<Delivery>) -> Read<Delivery> {
        Read { items, upto: Place { position: self.cursor, bytes: 0 } }
    }

    async fn open(&mut self) -> anyhow::Result<Pull> {
        let context = self.context().await?;
        remove(&context, &self.consumer).await?;
        let config = pull::Config {
            name: Some(self.consumer.clone()),
            description: Some("Reads a part of the stream once more".to_owned()),
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.cursor + 1 },
            ack_policy: AckPolicy::None,
            filter_subject: self.subject.clone(),
            inactive_threshold: FORGOTTEN_AFTER,
            memory_storage: true,
            num_replicas: 1,
            ..Default::default()
        };
        let consumer = context.create_consumer_strict_on_stream(config, STREAM).await;
        let consumer = consumer.context("making the consumer")?;
        self.expected = 1;
        let Limits { messages, bytes, .. } = self.limits;
        Pull::open(&context.client(), &consumer, messages.div_ceil(AHEAD), bytes.div_ceil(AHEAD)).await
    }

    async fn context(&mut self) -> anyhow::Result<jetstream::Context> {
        let client = match self.client.take() {
            Some(client) => client,
            None => self.link.connect().await?,
        };
        Ok(jetstream::new(self.client.insert(client).clone()))
    }
}

impl Source for Reader {
    type Item = Delivery;

    async fn next(&mut self, shutdown: &CancellationToken) -> anyhow::Result<Option<Read<Delivery>>> {
        Ok(Reader::next(self, shutdown).await)
    }
}

/// Removes the consumer of a reader, if there is one.
///
/// # Errors
/// When NATS does not answer or refuses.
pub(super) async fn remove(context: &jetstream::Context, consumer: &str) -> anyhow::Result<()> {
    let answer = context.request(format!("CONSUMER.DELETE.{STREAM}.{consumer}"), &json!({})).await;
    match answer.context("removing the consumer")? {
        Response::<Value>::Err { error } if error.error_code() != ErrorCode::CONSUMER_NOT_FOUND => {
            bail!("removing the consumer: {error}")
        }
        _ => Ok(()),
    }
}
