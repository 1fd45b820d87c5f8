//! What the bot of `demo` sends by HTTP: to the demo's own gateway, in batches, several at once.
//!
//! The gateway says of each event whether it keeps the contract; what it says must be what the bot knows of it. It does not look
//! into the store: the demo does, for these events as for all others.

use crate::{
    gateway::{Answered, Client, Gateway},
    output,
    simulation::{Kind, Message},
};
use anyhow::ensure;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use std::time::Duration;
use valera_tracker::Tracker;

/// Events of a request.
const BATCH: usize = 100;
/// Requests at once.
const AT_ONCE: usize = 4;
/// How long the gateway may take to publish what it has taken.
const PATIENCE: Duration = Duration::from_secs(60);

/// The way to a gateway of this process.
pub(super) struct Posting {
    client: Client,
    relay: Tracker,
}

impl Posting {
    pub(super) fn to(gateway: &Gateway, token: &str) -> anyhow::Result<Self> {
        Ok(Self { client: Client::new(&gateway.url(), token)?, relay: gateway.relay() })
    }

    /// Posts messages; `on_each` hears of how many were answered as it comes.
    pub(super) async fn post(&self, messages: &[Message], on_each: impl Fn(u64)) -> anyhow::Result<Answered> {
        let batches = stream::iter(messages.chunks(BATCH)).map(async |batch| {
            let bodies: Vec<Bytes> = batch.iter().map(|message| message.body.clone().into()).collect();
            let answered = self.client.send(&bodies).await?;
            on_each(bodies.len() as u64);
            anyhow::Ok(answered)
        });
        let sum = |mut sum: Answered, answered| async move {
            sum += answered;
            Ok(sum)
        };
        batches.buffer_unordered(AT_ONCE).try_fold(Answered::default(), sum).await
    }

    /// Waits until the stream has everything that the gateway has taken.
    pub(super) async fn flush(&self) -> anyhow::Result<()> {
        let left = self.relay.flush(PATIENCE).await;
        ensure!(
            left.is_nothing(),
            "the gateway did not publish everything within {} s: {left:?}",
            PATIENCE.as_secs()
        );
        Ok(())
    }
}

/// Holds what the gateway said of the events against what the bot knows of them.
pub(super) fn compare(answered: Answered, messages: &[Message]) -> anyhow::Result<()> {
    let rejected = messages.iter().filter(|message| matches!(message.kind, Kind::Bad(_))).count() as u64;
    let expected = Answered { accepted: messages.len() as u64 - rejected, rejected };
    ensure!(answered == expected, "the gateway answered {answered:?}; the bot expected {expected:?}");
    output::print(&format!(
        "the gateway took {} events by HTTP and answered as the bot expected: {} accepted, {rejected} rejected\n",
        messages.len(),
        answered.accepted
    ))
}
