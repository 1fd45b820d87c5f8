//! What a new holder of the lease has to know: read back from the streams, since nothing is stored beside them.
//!
//! The detector is brought to where it was when the last acknowledged message had been judged: from `ALERTS` the
//! incidents that were open then, from `ANALYTICS` as much as the longest window holds. Steps that were published after
//! that point are remembered by name: going over the same messages again comes to them again, and they are not published
//! twice, even when the broker has forgotten their names. It publishes nothing and acks nothing.

use super::{
    detector::Detector,
    history,
    observation::Observation,
    rules::{READERS, Rules},
    stretch,
};
use crate::{
    consume::{
        Link,
        stored::{self, Stored},
    },
    service::STREAM,
};
use anyhow::Context as _;
use async_nats::jetstream::{Context, stream::Stream};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::json;
use std::{collections::HashSet, sync::Arc};
use tracing::info;

/// Which message was judged last. The sequence alone would not do: a stream that lost its tail hands the same one out
/// again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) sequence: u64,
    pub(crate) received_at: DateTime<Utc>,
}

/// See the module.
pub(crate) struct State {
    pub(crate) detector: Detector,
    pub(crate) position: Option<Position>,
    /// Names of steps beyond the position that are published.
    pub(crate) published: HashSet<String>,
    /// Up to where messages were handed to an earlier holder.
    pub(crate) delivered: u64,
}

impl State {
    /// Reads it back.
    ///
    /// # Errors
    /// When NATS does not answer or `topology apply` has not run.
    pub(crate) async fn load(link: &Link, context: &Context, rules: &Arc<Rules>, zone: Tz) -> anyhow::Result<Self> {
        let events = context.get_stream(STREAM).await.with_context(|| format!("asking for the stream {STREAM}"))?;
        let consumer = events.consumer_info(super::NAME).await.context("asking for the consumer of alerts")?;
        let floor = last_up_to(context, &events, consumer.ack_floor.stream_sequence).await?;
        let floor = floor.map(|message| Position { sequence: message.sequence, received_at: message.received_at });
        let mut state = Self {
            detector: Detector::new(rules.clone(), zone),
            position: floor,
            published: HashSet::new(),
            delivered: consumer.delivered.stream_sequence,
        };
        state.learn(link, floor).await?;
        if let Some(floor) = floor {
            state.warm(link, context, floor, rules).await?;
        }
        Ok(state)
    }

    async fn learn(&mut self, link: &Link, floor: Option<Position>) -> anyhow::Result<()> {
        let mut learned = 0_u64;
        history::read(link, None, |alert| {
            // Readings are of their moment: no message leads to them again.
            let is_settled =
                READERS.contains(&&*alert.kind) || floor.is_some_and(|floor| alert.at <= floor.received_at);
            if is_settled {
                learned += 1;
                self.detector.learn(&alert);
            } else {
                self.published.insert(alert.msg_id());
            }
        })
        .await?;
        info!(learned, ahead = self.published.len(), "read the incidents back");
        Ok(())
    }

    async fn warm(&mut self, link: &Link, context: &Context, floor: Position, rules: &Rules) -> anyhow::Result<()> {
        let since = floor.received_at - Detector::lookback(rules);
        let from = stored::received_from(context, STREAM, since).await?.unwrap_or(floor.sequence);
        let mut warmed = 0_u64;
        stretch::read(link, context, STREAM, from..=floor.sequence, |delivery| {
            warmed += 1;
            self.detector.warm(&Observation::of(&delivery, rules));
        })
        .await?;
        info!(messages = warmed, "read the windows back");
        Ok(())
    }
}

/// The last message at or below a sequence; `None` when there is none.
async fn last_up_to(context: &Context, stream: &Stream, sequence: u64) -> anyhow::Result<Option<Stored>> {
    let first = stream.cached_info().state.first_sequence.max(1);
    for sequence in (first..=sequence).rev() {
        if let Some(message) = stored::get(context, STREAM, json!({"seq": sequence})).await? {
            return Ok(Some(message));
        }
    }
    Ok(None)
}
