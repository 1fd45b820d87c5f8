//! What the tracker counts: how each call ended, and what became of the events since.
//!
//! `calls` equals the sum of the outcomes of calls, always: each ends in exactly one.
//!
//! It does not persist: counts begin anew with the process.

use crate::tracked::{Cause, Tracked};
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// A look at the tracker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stats {
    /// Calls that ended so; their sum is the number of calls.
    pub queued: u64,
    pub flawed: u64,
    pub repeated: u64,
    pub disabled: u64,
    pub queue_full: u64,
    pub too_large: u64,
    pub sampled: u64,
    pub stopped: u64,
    pub internal: u64,
    /// Events that the stream has acknowledged, those of earlier processes among them.
    pub acknowledged: u64,
    /// Of these, how many the broker knew already.
    pub duplicates: u64,
    /// Publishes whose outcome stayed unknown or was a refusal for now, so that they were sent again.
    pub unacknowledged: u64,
    /// Dialogs of which only the memory on disk knew that they were told today.
    pub known_dialogs: u64,
    /// Events that the server refuses for good; they are parked in the spool.
    pub parked: u64,
    /// Events that the server refuses for good and that could not be parked either.
    pub lost: u64,
    /// Stretches of the spool that could not be read, and their bytes: torn or damaged records.
    pub damaged: u64,
    pub damaged_bytes: u64,
    /// Events in the queue.
    pub in_queue: u64,
    /// Events in memory that are neither in the spool nor acknowledged.
    pub in_memory: u64,
    /// Publishes that wait for their ack.
    pub in_flight: u64,
    /// Bytes of the spool.
    pub spool_bytes: u64,
    pub spool: SpoolState,
    /// Whether there is a connection to NATS.
    pub connected: bool,
}

impl Stats {
    /// Calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.sent() + self.repeated + self.disabled + self.dropped()
    }

    /// Events that were queued, flawed or not.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.queued + self.flawed
    }

    /// Events that were not sent, whatever the cause.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.queue_full + self.too_large + self.sampled + self.stopped + self.internal
    }
}

/// How the spool is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SpoolState {
    /// No directory is configured: events wait in memory.
    #[default]
    Off,
    /// Not tried yet.
    Opening,
    /// In use.
    Ready,
    /// Another process owns the directory; it is tried again.
    Owned,
    /// Its bytes are used up: events wait in memory, and then the newest are dropped.
    Full,
    /// It fails, for this cause; it is tried again.
    Failing(String),
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    queued: AtomicU64,
    flawed: AtomicU64,
    repeated: AtomicU64,
    disabled: AtomicU64,
    queue_full: AtomicU64,
    too_large: AtomicU64,
    sampled: AtomicU64,
    stopped: AtomicU64,
    internal: AtomicU64,
    /// What the worker last said of itself.
    worker: Mutex<Stats>,
}

impl Counters {
    /// `spool`: how it is until the worker says so.
    pub(crate) fn new(spool: SpoolState) -> Self {
        let counters = Self::default();
        counters.report(&Stats { spool, ..Stats::default() });
        counters
    }

    pub(crate) fn count(&self, tracked: &Tracked) {
        let counter = match tracked {
            Tracked::Queued => &self.queued,
            Tracked::Flawed(_) => &self.flawed,
            Tracked::Repeated => &self.repeated,
            Tracked::Disabled => &self.disabled,
            Tracked::Dropped(Cause::QueueFull) => &self.queue_full,
            Tracked::Dropped(Cause::TooLarge) => &self.too_large,
            Tracked::Dropped(Cause::Sampled) => &self.sampled,
            Tracked::Dropped(Cause::Stopped) => &self.stopped,
            Tracked::Dropped(Cause::Internal) => &self.internal,
            // Its call was counted when it was queued; the worker counts the loss.
            Tracked::Dropped(Cause::Refused) => return,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// The worker says how it stands. Only `stats` waits for this lock, never `track`.
    pub(crate) fn report(&self, worker: &Stats) {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner).clone_from(worker);
    }

    /// A look at all of them.
    pub(crate) fn snapshot(&self) -> Stats {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Stats {
            queued: of(&self.queued),
            flawed: of(&self.flawed),
            repeated: of(&self.repeated),
            disabled: of(&self.disabled),
            queue_full: of(&self.queue_full),
            too_large: of(&self.too_large),
            sampled: of(&self.sampled),
            stopped: of(&self.stopped),
            internal: of(&self.internal),
            ..self.worker.lock().unwrap_or_else(PoisonError::into_inner).clone()
        }
    }
}
