//! Which part of the stream is asked for: by sequence or by the time JetStream received a message.
//!
//! Times become sequences once, when a replay begins: the part stays the same however long it takes. It does not look
//! at when an event occurred: that is not how a stream is ordered.

use crate::{consume::stored, service::STREAM};
use anyhow::Context;
use async_nats::jetstream;
use chrono::{DateTime, Utc};
use std::{fmt, str::FromStr};

/// One end of a part of the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// A stream sequence; included.
    Sequence(u64),
    /// When JetStream received a message; from it on, or up to and without it.
    Received(DateTime<Utc>),
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(sequence) = text.parse() {
            return Ok(Self::Sequence(sequence));
        }
        let received = DateTime::parse_from_rfc3339(text);
        received
            .map(|at| Self::Received(at.to_utc()))
            .map_err(|_| "neither a stream sequence nor a time as 2026-11-24T12:00:00+03:00".to_owned())
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sequence(sequence) => write!(f, "{sequence}"),
            Self::Received(at) => write!(f, "{}", at.to_rfc3339()),
        }
    }
}

/// Sequences of a part of the stream, both included; empty when `first` is above `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Part {
    /// Without a bound, everything that is in the stream now.
    pub(crate) async fn of(
        context: &jetstream::Context,
        from: Option<Bound>,
        to: Option<Bound>,
    ) -> anyhow::Result<Self> {
        let stream = context.get_stream(STREAM).await.with_context(|| format!("asking for the stream {STREAM}"))?;
        let state = &stream.cached_info().state;
        let beyond = state.last_sequence + 1;
        let first = match from {
            None => state.first_sequence,
            Some(Bound::Sequence(sequence)) => sequence.max(state.first_sequence),
            Some(Bound::Received(at)) => stored::received_from(context, STREAM, at).await?.unwrap_or(beyond),
        };
        let last = match to {
            None => state.last_sequence,
            Some(Bound::Sequence(sequence)) => sequence.min(state.last_sequence),
            Some(Bound::Received(at)) => {
                stored::received_from(context, STREAM, at).await?.unwrap_or(beyond).min(beyond) - 1
            }
        };
        Ok(Self { first: first.max(1), last })
    }
}
