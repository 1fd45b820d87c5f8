//! Pull requests of one durable consumer, and the messages they bring.
//!
//! The client library has such a stream, but a dropped one leaves behind what the server had still on its way, and that
//! comes back only after `ack_wait`. Here requests live for a second and the server says when one has ended, so a consumer
//! that stops knows when it holds everything it was given. The same second tells a lost request from a quiet stream.
//! It does not ack and does not reconnect: what it cannot explain is an error, and its owner starts afresh.

use anyhow::{Context, bail, ensure};
use async_nats::{
    Client, Message, StatusCode, Subject, Subscriber,
    jetstream::{
        self,
        consumer::{PullConsumer, pull},
    },
};
use bytes::Bytes;
use futures::StreamExt;
use std::time::Duration;
use tokio::time::Instant;

/// How long the server keeps a request.
const EXPIRES: Duration = Duration::from_secs(1);
/// How long after a request nothing of it is on its way any more.
const ENDED: Duration = Duration::from_secs(3);

/// See the module.
pub(crate) struct Pull {
    client: Client,
    context: jetstream::Context,
    subscriber: Subscriber,
    inbox: Subject,
    subject: String,
    request: Bytes,
    /// Messages in one request.
    size: usize,
    /// Messages that were asked for and may still come.
    outstanding: usize,
    /// When the last request was made.
    asked: Instant,
    /// When something last came.
    heard: Instant,
}

impl Pull {
    /// Requests of up to `size` messages and `bytes` bytes each.
    pub(crate) async fn open(
        client: &Client,
        consumer: &PullConsumer,
        size: usize,
        bytes: usize,
    ) -> anyhow::Result<Self> {
        let inbox = Subject::from(client.new_inbox());
        let subscriber = client.subscribe(inbox.clone()).await.context("subscribing to an inbox")?;
        let config =
            pull::BatchConfig { batch: size, max_bytes: bytes, expires: Some(EXPIRES), ..Default::default() };
        let info = consumer.cached_info();
        Ok(Self {
            client: client.clone(),
            context: jetstream::new(client.clone()),
            subscriber,
            inbox,
            subject: format!("$JS.API.CONSUMER.MSG.NEXT.{}.{}", info.stream_name, info.name),
            request: serde_json::to_vec(&config).context("writing a pull request")?.into(),
            size,
            outstanding: 0,
            asked: Instant::now(),
            heard: Instant::now(),
        })
    }

    /// The next message, asking for more where less than half a request is outstanding. May be cancelled.
    ///
    /// # Errors
    /// When a request was refused or lost.
    pub(crate) async fn next(&mut self) -> anyhow::Result<jetstream::Message> {
        loop {
            if self.outstanding <= self.size / 2 {
                self.ask().await?;
            }
            if let Some(message) = self.receive().await? {
                return Ok(message);
            }
        }
    }

    /// What still comes of the requests made so far: complete once they have ended, within a second or so.
    pub(crate) async fn rest(mut self) -> Vec<jetstream::Message> {
        let mut messages = Vec::new();
        while self.outstanding > 0 {
            match self.receive().await {
                Ok(message) => messages.extend(message),
                Err(_) => break,
            }
        }
        messages
    }

    async fn ask(&mut self) -> anyhow::Result<()> {
        let (subject, inbox) = (self.subject.clone(), self.inbox.clone());
        self.client.publish_with_reply(subject, inbox, self.request.clone()).await.context("asking for messages")?;
        self.outstanding += self.size;
        self.asked = Instant::now();
        Ok(())
    }

    /// A message, or `None` for word of a request.
    async fn receive(&mut self) -> anyhow::Result<Option<jetstream::Message>> {
        let Ok(message) = tokio::time::timeout_at(self.asked + ENDED, self.subscriber.next()).await else {
            ensure!(self.heard >= self.asked, "a pull request got no answer for {ENDED:?}");
            // All requests have ended. One whose last message used up its bytes exactly is ended without a word.
            self.outstanding = 0;
            return Ok(None);
        };
        let message = message.context("the subscription ended")?;
        self.heard = Instant::now();
        // A message of the stream comes under its own subject, and a publisher may have put any status into its headers.
        if message.subject != self.inbox {
            self.outstanding = self.outstanding.saturating_sub(1);
            return Ok(Some(jetstream::Message { message, context: self.context.clone() }));
        }
        match message.status {
            Some(StatusCode::TIMEOUT | StatusCode::REQUEST_TERMINATED) => {
                self.outstanding = self.outstanding.saturating_sub(unserved(&message)?);
            }
            Some(StatusCode::IDLE_HEARTBEAT) => {}
            Some(status) => bail!("a pull request was refused: {status} {}", description(&message)),
            None => bail!("a pull request was answered without a status"),
        }
        Ok(None)
    }
}

/// How many messages of an ended request will not come.
fn unserved(status: &Message) -> anyhow::Result<usize> {
    let pending = status.headers.as_ref().and_then(|headers| headers.get("Nats-Pending-Messages"));
    // A request that was not merely ended says nothing of what it leaves: the consumer is gone, or a limit is exceeded.
    let pending = pending.with_context(|| format!("a pull request was refused: {}", description(status)))?;
    pending.as_str().parse().context("reading how much of a pull request was left")
}

fn description(status: &Message) -> &str {
    status.description.as_deref().unwrap_or_default()
}
