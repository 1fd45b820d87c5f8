//! The queue between the host and the worker, bounded in events and in bytes.
//!
//! `push` takes no lock that the worker holds while it works, allocates at most a block, and never waits. The worker lingers
//! between two takings, so that a busy host does not pay for a wake-up with each event.
//!
//! It does not decide what happens to an event that finds no room.

use crate::{record::Item, tracked::Cause};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::mpsc::{self, error::TrySendError};

/// The host's end.
#[derive(Debug)]
pub(crate) struct Queue {
    sender: mpsc::Sender<Item>,
    bytes: Arc<AtomicUsize>,
    max_bytes: usize,
}

/// The worker's end.
#[derive(Debug)]
pub(crate) struct Intake {
    receiver: mpsc::Receiver<Item>,
    bytes: Arc<AtomicUsize>,
}

pub(crate) fn queue(max_events: usize, max_bytes: usize) -> (Queue, Intake) {
    let (sender, receiver) = mpsc::channel(max_events.max(1));
    let bytes = Arc::new(AtomicUsize::new(0));
    (Queue { sender, bytes: bytes.clone(), max_bytes }, Intake { receiver, bytes })
}

impl Queue {
    /// Never waits.
    pub(crate) fn push(&self, item: Item) -> Result<(), Cause> {
        let weight = item.record.weight();
        if self.bytes.fetch_add(weight, Ordering::Relaxed) + weight > self.max_bytes {
            self.bytes.fetch_sub(weight, Ordering::Relaxed);
            return Err(Cause::QueueFull);
        }
        self.sender.try_send(item).map_err(|refused| {
            self.bytes.fetch_sub(weight, Ordering::Relaxed);
            match refused {
                TrySendError::Full(_) => Cause::QueueFull,
                TrySendError::Closed(_) => Cause::Stopped,
            }
        })
    }

    /// Waits for room.
    pub(crate) async fn push_patiently(&self, item: Item) -> Result<(), Cause> {
        let weight = item.record.weight();
        let room = self.sender.reserve().await.map_err(|_| Cause::Stopped)?;
        self.bytes.fetch_add(weight, Ordering::Relaxed);
        room.send(item);
        Ok(())
    }

    /// Events in it.
    pub(crate) fn len(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }
}

impl Intake {
    /// Takes up to `most` items, after waiting for the first; 0 when the host is gone and nothing is left.
    pub(crate) async fn take(&mut self, into: &mut Vec<Item>, most: usize) -> usize {
        let before = into.len();
        let count = self.receiver.recv_many(into, most).await;
        let weight = into[before..].iter().map(|item| item.record.weight()).sum();
        self.bytes.fetch_sub(weight, Ordering::Relaxed);
        count
    }

    /// Events that wait to be taken.
    pub(crate) fn len(&self) -> usize {
        self.receiver.len()
    }
}
