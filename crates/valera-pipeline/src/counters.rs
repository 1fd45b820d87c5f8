//! What a consumer received and how each message ended.
//!
//! The promise "nothing disappears without a name" is checked against these: once a consumer is at rest, `received`
//! equals the sum of its outcomes. They count since the process started and are not stored.

use crate::handler::Outcome;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counts of one consumer. Shared, never reset.
#[derive(Debug, Default)]
pub struct Counters {
    received: AtomicU64,
    outcomes: [AtomicU64; Outcome::ALL.len()],
}

impl Counters {
    pub(crate) fn add_received(&self, messages: usize) {
        self.received.fetch_add(messages as u64, Relaxed);
    }

    pub(crate) fn add_outcome(&self, outcome: Outcome) {
        self.outcomes[outcome as usize].fetch_add(1, Relaxed);
    }

    /// Messages handed over by JetStream, redeliveries included.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Relaxed)
    }

    /// Messages that ended so.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize].load(Relaxed)
    }

    /// All messages that ended; equals [`Self::received`] when nothing is in hand.
    #[must_use]
    pub fn settled(&self) -> u64 {
        Outcome::ALL.into_iter().map(|outcome| self.of(outcome)).sum()
    }
}
