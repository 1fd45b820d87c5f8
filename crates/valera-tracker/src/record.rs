//! A message as the worker carries it: from the queue, through the spool, to the stream.
//!
//! It does not know the spool's format: `spool::format` does.

use crate::tracked::Cause;
use bytes::Bytes;
use chrono::NaiveDate;
use tokio::sync::oneshot;
use uuid::Uuid;
use valera_events::Reason;

/// What is published, under its id as `Nats-Msg-Id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) event_id: Uuid,
    pub(crate) subject: String,
    pub(crate) body: Bytes,
}

impl Record {
    /// What it takes of memory and of a message, in bytes, roughly: body, subject, headers, bookkeeping.
    pub(crate) fn weight(&self) -> usize {
        self.body.len() + self.subject.len() + 256
    }
}

/// A message that somebody else made and that is sent as it is: see [`Tracker::relay`](crate::Tracker::relay).
#[derive(Debug, Clone)]
pub struct Relayed {
    /// Sent as `Nats-Msg-Id`: the same id is the same message.
    pub event_id: Uuid,
    pub subject: String,
    pub body: Bytes,
    /// What the contract has against it; counted and logged, not judged again.
    pub flaws: Vec<Reason>,
}

/// A record on its way to the worker.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) record: Record,
    /// The chat whose dialog of this local day it starts: the worker remembers across restarts, and drops a second one.
    pub(crate) dialog: Option<(i64, NaiveDate)>,
    /// Told once the record is on the disk, or acknowledged, or why it never will be.
    pub(crate) durable: Option<oneshot::Sender<Result<(), Cause>>>,
}
