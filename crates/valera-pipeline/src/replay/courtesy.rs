//! Gives way to live traffic: who repairs history must not make the present late.
//!
//! A live consumer that is behind and moving is waited for. One that is behind and stands still has no worker, and
//! waiting for it would never end. It does not slow down anything that has no live traffic beside it.

use crate::{consume::Link, service::STREAM, topology};
use async_nats::jetstream;
use std::time::{Duration, Instant};

/// Messages that a live consumer may be behind: under a second of what it can do.
const BEHIND: u64 = 1_000;

/// A consumer that has acknowledged nothing for so long stands still.
const STANDS_STILL: Duration = Duration::from_secs(5);

/// How long a server that did not answer is left alone.
const ASK_AGAIN_AFTER: Duration = Duration::from_secs(10);

/// Watches one live consumer.
pub(crate) struct Courtesy {
    link: Link,
    consumer: &'static str,
    context: Option<jetstream::Context>,
    /// What it had acknowledged at the last look; the first look has nothing to be held against.
    acknowledged: Option<u64>,
    moved: Option<Instant>,
    /// When the server did not answer, which takes its time: asked again a while later.
    unanswered: Option<Instant>,
}

impl Courtesy {
    pub(crate) fn towards(link: Link, consumer: &'static str) -> Self {
        Self { link, consumer, context: None, acknowledged: None, moved: None, unanswered: None }
    }

    /// How many messages the live consumer is behind, when it should be waited for. A server that does not answer is
    /// no reason to wait.
    pub(crate) async fn owed(&mut self) -> Option<u64> {
        if self.unanswered.is_some_and(|asked| asked.elapsed() < ASK_AGAIN_AFTER) {
            return None;
        }
        match self.look().await {
            Ok(owed) => owed,
            Err(cause) => {
                self.context = None;
                self.unanswered = Some(Instant::now());
                tracing::debug!(consumer = self.consumer, cause = format!("{cause:#}"), "could not ask for its lag");
                None
            }
        }
    }

    async fn look(&mut self) -> anyhow::Result<Option<u64>> {
        let context = match self.context.take() {
            Some(context) => context,
            None => jetstream::new(self.link.connect().await?),
        };
        let bound = topology::bind(&context, STREAM, self.consumer).await?;
        self.context = Some(context);
        let info = bound.cached_info();
        let before = self.acknowledged.replace(info.ack_floor.consumer_sequence);
        if before.is_some() && before != self.acknowledged {
            self.moved = Some(Instant::now());
        }
        let moves = self.moved.is_some_and(|moved| moved.elapsed() < STANDS_STILL);
        Ok((info.num_pending > BEHIND && moves).then_some(info.num_pending))
    }
}
