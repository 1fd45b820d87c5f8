//! A stretch of a stream, read in order.
//!
//! A long one is read by an ordered consumer of the client library, which is fast, up to a message that the library
//! cannot read: at one of those it would reconnect for ever, or its client would be dead, so it has a client of its own.
//! From there on, and where there are few, each message is asked for by itself, so that nobody with a socket can hold
//! detection up. It does not ack anything.

use crate::{
    consume::{Link, delivery, stored},
    handler::Delivery,
};
use anyhow::Context as _;
use async_nats::jetstream::{
    self, Context,
    consumer::{DeliverPolicy, pull::OrderedConfig},
};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use std::{ops::RangeInclusive, time::Duration};

/// Requests in flight; for fewer messages no consumer is made.
const AT_ONCE: usize = 64;
/// Silence of an ordered consumer that has more to give.
const SILENCE: Duration = Duration::from_secs(5);

/// Hands every message of a stretch to `each`, in order; what was deleted is left out.
///
/// # Errors
/// When NATS does not answer. Part of the stretch may have been handed over by then.
pub(super) async fn read(
    link: &Link,
    context: &Context,
    stream: &str,
    range: RangeInclusive<u64>,
    mut each: impl FnMut(Delivery),
) -> anyhow::Result<()> {
    let found = context.get_stream(stream).await.with_context(|| format!("asking for the stream {stream}"))?;
    let state = &found.cached_info().state;
    let last = state.last_sequence.min(*range.end());
    // An empty stream begins at 0.
    let mut from = state.first_sequence.max(*range.start()).max(1);
    if from > last {
        return Ok(());
    }
    if last - from >= AT_ONCE as u64 {
        from = read_in_order(link, stream, from..=last, &mut each).await?;
    }
    stream::iter(from..=last)
        .map(|sequence| stored::get(context, stream, json!({"seq": sequence})))
        .buffered(AT_ONCE)
        .try_for_each(|message| {
            if let Some(message) = message {
                each(message.delivery(stream));
            }
            futures::future::ready(Ok(()))
        })
        .await
}

/// Reads as far as an ordered consumer gets, and gives the sequence behind it.
async fn read_in_order(
    link: &Link,
    stream: &str,
    range: RangeInclusive<u64>,
    each: &mut impl FnMut(Delivery),
) -> anyhow::Result<u64> {
    let (mut from, last) = range.into_inner();
    let config = OrderedConfig {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: from },
        ..OrderedConfig::default()
    };
    let context = jetstream::new(link.connect().await?);
    let consumer = context.create_consumer_on_stream(config, stream).await;
    let consumer = consumer.context("making a consumer that reads in order")?;
    let mut messages = consumer.messages().await.context("reading in order")?;
    while from <= last {
        let Ok(Some(Ok(message))) = tokio::time::timeout(SILENCE, messages.next()).await else { break };
        let delivery = delivery(&message)?;
        from = delivery.sequence + 1;
        if delivery.sequence <= last {
            each(delivery);
        }
    }
    Ok(from)
}
