//! Publishes to JetStream with many acks in flight, and sends again what was not acked.
//!
//! One publish at a time reaches some 2,000 events/s on a disk that syncs each of them; with many in flight the server
//! syncs them together. It does not check events: whoever calls it has, or wants the consumers' verdict.

use async_nats::{
    Client, HeaderMap,
    jetstream::{self, publish::PublishAck},
};
use bytes::Bytes;
use futures::{StreamExt, stream};
use std::time::{Duration, Instant};
use tracing::debug;
use valera_events::{Origin, headers};

/// The stream that events go to.
pub const STREAM: &str = "ANALYTICS";

/// A message to publish.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub subject: String,
    /// Sent as `Nats-Msg-Id`. Without one, an unknown outcome may publish the message twice.
    pub msg_id: Option<String>,
    pub origin: Origin,
    pub body: Bytes,
}

/// What JetStream answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// Its sequence in the stream.
    pub sequence: u64,
    /// Whether the broker knew the `Nats-Msg-Id` and swallowed the message.
    pub duplicate: bool,
}

/// Why a message could not be published.
#[derive(Debug, thiserror::Error)]
#[error("{subject} was not acknowledged within {} s: {cause}", patience.as_secs())]
pub struct NotPublished {
    subject: String,
    patience: Duration,
    cause: String,
}

/// See the module.
#[derive(Debug, Clone)]
pub struct Publisher {
    context: jetstream::Context,
    in_flight: usize,
    patience: Duration,
}

impl Publisher {
    /// Keeps up to 256 acks in flight and tries each message for 30 seconds.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self { context: jetstream::new(client), in_flight: 256, patience: Duration::from_secs(30) }
    }

    /// How long a message is tried.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Publishes messages in any order; `on_each` hears of every receipt as it comes.
    ///
    /// # Errors
    /// The first message that was not acknowledged in time; those in flight are abandoned then.
    pub async fn publish_all(
        &self,
        messages: impl IntoIterator<Item = Outgoing>,
        mut on_each: impl FnMut(Receipt),
    ) -> Result<(), NotPublished> {
        let mut receipts =
            stream::iter(messages).map(|message| self.publish(message)).buffer_unordered(self.in_flight);
        while let Some(receipt) = receipts.next().await {
            on_each(receipt?);
        }
        Ok(())
    }

    /// Publishes one message and waits for its ack.
    ///
    /// # Errors
    /// When it was not acknowledged in time.
    pub async fn publish(&self, message: Outgoing) -> Result<Receipt, NotPublished> {
        let mut header_map = HeaderMap::new();
        if let Some(msg_id) = &message.msg_id {
            header_map.insert(headers::MSG_ID, msg_id.as_str());
        }
        if message.origin != Origin::Live {
            header_map.insert(headers::ORIGIN, message.origin.as_str());
        }
        self.publish_with_headers(&message.subject, &header_map, &message.body).await
    }

    /// Publishes a body under these headers and waits for its ack. Without a `Nats-Msg-Id` among them, an unknown outcome
    /// may publish it twice.
    ///
    /// # Errors
    /// When it was not acknowledged in time.
    pub async fn publish_with_headers(
        &self,
        subject: &str,
        header_map: &HeaderMap,
        body: &Bytes,
    ) -> Result<Receipt, NotPublished> {
        let started = Instant::now();
        loop {
            match self.attempt(subject, header_map, body).await {
                Ok(ack) if ack.stream == STREAM => {
                    return Ok(Receipt { sequence: ack.sequence, duplicate: ack.duplicate });
                }
                answer if started.elapsed() > self.patience => {
                    let cause = match answer {
                        Ok(ack) => format!("stream {} answered instead of {STREAM}", ack.stream),
                        Err(cause) => cause.to_string(),
                    };
                    return Err(NotPublished { subject: subject.to_owned(), patience: self.patience, cause });
                }
                answer => debug!(subject, ?answer, "not acknowledged; publishing again"),
            }
            tokio::time::sleep(Duration::from_millis(250)).await;
        }
    }

    async fn attempt(
        &self,
        subject: &str,
        header_map: &HeaderMap,
        body: &Bytes,
    ) -> Result<PublishAck, jetstream::context::PublishError> {
        let sent = self.context.publish_with_headers(subject.to_owned(), header_map.clone(), body.clone());
        sent.await?.await
    }
}
