//! Whether Postgres still holds what the consumers have acknowledged: one that was put back to an earlier point does not.
//!
//! What was acknowledged had been committed, and its sequence with it. So the consumer is asked first and Postgres after:
//! a message that was acknowledged by then and is not covered now was lost with its commit. Below the ack floor that
//! is each one that is not covered; above it only their number is known, as many as are outstanding may be uncovered. Messages that
//! have been deleted are missed by nobody. It locks nothing and mends nothing: a replay does.

use crate::{
    consume::{Link, stored},
    service::{STREAM, Service},
    store::{
        Writer,
        positions::{self, Held},
    },
    topology,
};
use anyhow::Context;
use async_nats::jetstream;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;

/// How a consumer's acknowledgements and Postgres compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Position {
    pub consumer: &'static str,
    /// Everything up to this sequence is acknowledged.
    pub ack_floor: u64,
    /// Acknowledged, and not in Postgres.
    pub missing: Option<Missing>,
    /// What the stream has instead of the last message that Postgres has taken from it.
    pub other_stream: Option<OtherStream>,
}

/// Messages that were acknowledged and are not in Postgres.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Missing {
    /// Stream sequences between which all of them lie, both included.
    pub first: u64,
    pub last: u64,
    /// How many at least.
    pub messages: u64,
}

/// Why the stream is not the one whose messages Postgres has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OtherStream {
    /// The last message that Postgres has taken in.
    pub sequence: u64,
    pub received_at: DateTime<Utc>,
    /// Where the stream ends.
    pub ends_at: u64,
    /// The receipt of the message that the stream has there; `None` when it ends before.
    pub has: Option<DateTime<Utc>>,
}

impl Position {
    /// Whether nothing is to be done.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.missing.is_none() && self.other_stream.is_none()
    }
}

/// A consumer, as it was before Postgres was asked.
struct Acknowledged {
    floor: u64,
    delivered: u64,
    outstanding: u64,
}

/// Compares for each consumer on Postgres.
///
/// # Errors
/// When NATS or Postgres does not answer.
pub async fn positions(nats: &Link, database_url: &str) -> anyhow::Result<Vec<Position>> {
    let context = jetstream::new(nats.connect().await?);
    let mut acknowledged = Vec::new();
    for service in Service::ALL {
        let bound = topology::bind(&context, STREAM, service.name()).await?;
        let info = bound.cached_info();
        acknowledged.push(Acknowledged {
            floor: info.ack_floor.stream_sequence,
            delivered: info.delivered.stream_sequence,
            outstanding: info.num_ack_pending as u64,
        });
    }
    let asking = || format!("asking for the stream {STREAM}");
    let stream = context.get_stream(STREAM).await.with_context(asking)?;
    let state = stream.info_builder().with_deleted(true).fetch().await.with_context(asking)?;
    let state = state.info.state;
    let deleted = state.deleted.unwrap_or_default();
    let mut writer = Writer::new(database_url, "valera verify", "")?;
    let mut found = Vec::new();
    for (service, acknowledged) in Service::ALL.into_iter().zip(acknowledged) {
        let connection = writer.connection().await?;
        let sequence = |sequence: u64| i64::try_from(sequence).unwrap_or(i64::MAX);
        let upto = acknowledged.delivered.min(state.last_sequence);
        let held = positions::held(connection, service.name(), sequence(state.first_sequence.max(1)), sequence(upto));
        let held = held.await.context("reading which messages are in Postgres")?;
        found.push(Position {
            consumer: service.name(),
            ack_floor: acknowledged.floor,
            missing: missing(&held, &acknowledged, &deleted),
            other_stream: other_stream(&context, &held, state.last_sequence).await?,
        });
    }
    Ok(found)
}

fn missing(held: &Held, acknowledged: &Acknowledged, deleted: &[u64]) -> Option<Missing> {
    let unsigned = |sequence: i64| u64::try_from(sequence).unwrap_or(0);
    let (mut below, mut above) = (Span::default(), Span::default());
    for (from, to) in held.uncovered.iter().map(|(from, to)| (unsigned(*from), unsigned(*to))) {
        below.add(from, to.min(acknowledged.floor), deleted);
        above.add(from.max(acknowledged.floor + 1), to, deleted);
    }
    let lost_above = above.messages.saturating_sub(acknowledged.outstanding);
    let last = if lost_above > 0 { above.last } else { below.last };
    let first = below.first.or(above.first.filter(|_| lost_above > 0))?;
    Some(Missing { first, last, messages: below.messages + lost_above })
}

/// Messages that are uncovered, between two sequences.
#[derive(Default)]
struct Span {
    first: Option<u64>,
    last: u64,
    messages: u64,
}

impl Span {
    /// `deleted` is in order.
    fn add(&mut self, mut from: u64, mut to: u64, deleted: &[u64]) {
        while from <= to && deleted.binary_search(&from).is_ok() {
            from += 1;
        }
        while from <= to && deleted.binary_search(&to).is_ok() {
            to -= 1;
        }
        if from > to {
            return;
        }
        let gone = deleted.partition_point(|sequence| *sequence <= to)
            - deleted.partition_point(|sequence| *sequence < from);
        self.first = self.first.or(Some(from));
        self.last = to;
        self.messages += to + 1 - from - gone as u64;
    }
}

async fn other_stream(
    context: &jetstream::Context,
    held: &Held,
    ends_at: u64,
) -> anyhow::Result<Option<OtherStream>> {
    let (sequence, received) = held.top;
    let Some(sequence) = u64::try_from(sequence).ok().filter(|sequence| *sequence > 0) else { return Ok(None) };
    let received_at = DateTime::from_timestamp_nanos(received);
    let other = |has| Ok(Some(OtherStream { sequence, received_at, ends_at, has }));
    if sequence > ends_at {
        return other(None);
    }
    // It may have been deleted, or be older than what the stream keeps; then the next one was not received before.
    let next = stored::get(context, STREAM, json!({"seq": sequence, "next_by_subj": ">"})).await?;
    match next {
        Some(next) if next.sequence == sequence && next.received_at != received_at => other(Some(next.received_at)),
        Some(next) if next.received_at < received_at => other(Some(next.received_at)),
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(uncovered: &[(i64, i64)], floor: u64, outstanding: u64, deleted: &[u64]) -> Option<(u64, u64, u64)> {
        let held = Held { uncovered: uncovered.to_vec(), top: (0, 0) };
        let missing = missing(&held, &Acknowledged { floor, delivered: 1_000, outstanding }, deleted);
        missing.map(|missing| (missing.first, missing.last, missing.messages))
    }

    #[test]
    fn below_the_floor_each_uncovered_message_is_missing() {
        assert_eq!(lost(&[], 100, 0, &[]), None);
        assert_eq!(lost(&[(40, 60)], 100, 5, &[]), Some((40, 60, 21)));
        assert_eq!(lost(&[(40, 60), (90, 110)], 100, 10, &[]), Some((40, 100, 32)));
    }

    #[test]
    fn above_the_floor_as_many_are_missing_as_are_not_outstanding() {
        assert_eq!(lost(&[(101, 110)], 100, 10, &[]), None);
        assert_eq!(lost(&[(101, 110), (200, 249)], 100, 10, &[]), Some((101, 249, 50)));
    }

    #[test]
    fn what_was_deleted_is_missed_by_nobody() {
        assert_eq!(lost(&[(40, 42)], 100, 0, &[40, 41, 42]), None);
        assert_eq!(lost(&[(40, 45)], 100, 0, &[40, 42, 45]), Some((41, 44, 3)));
    }
}
