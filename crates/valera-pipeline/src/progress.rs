//! How far a consumer is, as JetStream says it.
//!
//! One request for the consumer and, where something is unsettled, one for the oldest such message: the age of that says
//! more than any count. Messages that were deleted since keep nobody behind and are passed over. It reads and judges
//! nothing.

use crate::{consume::stored, service::STREAM, topology};
use async_nats::jetstream::Context;
use chrono::{DateTime, Utc};
use serde_json::json;

/// A consumer's progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// The durable's name.
    pub consumer: String,
    /// Messages not yet delivered.
    pub pending: u64,
    /// Messages delivered and not yet acknowledged.
    pub ack_pending: u64,
    /// Messages delivered more than once and not yet acknowledged.
    pub redelivered: u64,
    /// Age of the oldest message that is not settled, in seconds; `None` when all are.
    pub oldest_seconds: Option<u64>,
    /// When JetStream received that message.
    pub oldest_at: Option<DateTime<Utc>>,
    /// When the consumer last settled something.
    pub last_ack_at: Option<DateTime<Utc>>,
}

impl Progress {
    /// Asks for a consumer of the events' stream.
    ///
    /// # Errors
    /// When NATS does not answer, or the consumer is not what `topology apply` makes it.
    pub async fn of(context: &Context, consumer: &str) -> anyhow::Result<Self> {
        Self::on(context, STREAM, consumer).await
    }

    /// Asks for a consumer of any stream of ours.
    ///
    /// # Errors
    /// As [`Self::of`].
    pub async fn on(context: &Context, stream: &str, consumer: &str) -> anyhow::Result<Self> {
        let bound = topology::bind(context, stream, consumer).await?;
        let info = bound.cached_info();
        let next = info.ack_floor.stream_sequence + 1;
        let unsettled = info.num_pending > 0 || info.num_ack_pending > 0;
        let request = json!({"seq": next, "next_by_subj": ">"});
        let oldest = if unsettled { stored::get(context, stream, request).await? } else { None };
        Ok(Self {
            consumer: consumer.to_owned(),
            pending: info.num_pending,
            ack_pending: info.num_ack_pending as u64,
            redelivered: info.num_redelivered as u64,
            oldest_seconds: oldest.as_ref().map(|message| age_seconds(message.received_at)),
            oldest_at: oldest.map(|message| message.received_at),
            last_ack_at: info.ack_floor.last_active,
        })
    }
}

fn age_seconds(since: DateTime<Utc>) -> u64 {
    u64::try_from((Utc::now() - since).num_seconds()).unwrap_or(0)
}
