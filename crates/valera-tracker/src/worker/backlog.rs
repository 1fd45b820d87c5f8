//! What waits to be sent: in the spool, or in memory where the spool cannot take it.
//!
//! A spool that fails (no room, read-only, owned by another process) is tried again, and meanwhile events go through a bounded
//! memory, so that with NATS at hand nothing is lost to a bad disk. When both are full, what was taken stays where it is.
//!
//! It does not know what was sent; it is told what is settled.

use crate::{
    config::Limits,
    record::{Item, Record},
    spool::{self, Place, Spool, disk::Disk},
    stats::{SpoolState, Stats},
    throttle::Throttle,
};
use std::{collections::VecDeque, io, sync::Arc, time::Duration};
use tokio::time::Instant;
use tracing::{error, info};

/// How long a spool that failed is left in peace.
const PAUSE: Duration = Duration::from_secs(1);
/// Bytes read from the spool at once.
const READING: usize = 1024 * 1024;

/// A record that is to be sent.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// Where it is in the spool; `None` for one that is in memory only.
    pub(super) place: Option<Place>,
    pub(super) record: Record,
}

/// What found room.
pub(super) struct Placed {
    pub(super) items: Vec<Item>,
    /// The segment they are in; `None` for memory.
    pub(super) segment: Option<String>,
}

pub(super) struct Backlog {
    disk: Option<Arc<dyn Disk>>,
    limits: spool::Limits,
    spool: Option<Spool>,
    state: SpoolState,
    /// Not before then is a spool that failed tried again.
    spool_from: Instant,
    memory: VecDeque<Record>,
    memory_bytes: usize,
    memory_limit: usize,
    /// Read from the spool.
    ready: VecDeque<(Place, Record)>,
    complaint: Throttle,
}

impl Backlog {
    pub(super) fn new(disk: Option<Arc<dyn Disk>>, limits: &Limits) -> Self {
        Self {
            state: if disk.is_some() { SpoolState::Opening } else { SpoolState::Off },
            disk,
            limits: spool::Limits { segment: limits.segment_bytes, total: limits.spool_bytes },
            spool: None,
            spool_from: Instant::now(),
            memory: VecDeque::new(),
            memory_bytes: 0,
            memory_limit: limits.memory_bytes,
            ready: VecDeque::new(),
            complaint: Throttle::default(),
        }
    }

    pub(super) fn open_if_due(&mut self, now: Instant) {
        let Some(disk) = self.disk.as_ref().filter(|_| self.spool.is_none() && self.spool_from <= now) else {
            return;
        };
        match Spool::open(disk.clone(), self.limits) {
            Ok(spool) => {
                info!(bytes = spool.bytes(), "the spool is open");
                self.state = SpoolState::Ready;
                self.spool = Some(spool);
            }
            Err(cause) => self.failed(cause),
        }
    }

    fn failed(&mut self, cause: io::Error) {
        self.spool_from = Instant::now() + PAUSE;
        if let Some(times) = self.complaint.pass() {
            error!(%cause, times, "the spool takes no events; they wait in memory");
        }
        self.state = SpoolState::from(cause);
    }

    /// Takes from `fresh` what finds room; `None` when nothing does.
    pub(super) fn place(&mut self, fresh: &mut Vec<Item>) -> Option<Placed> {
        if let Some(spool) = self.spool.as_mut().filter(|_| self.spool_from <= Instant::now()) {
            match spool.append(fresh.iter().map(|item| &item.record)) {
                Ok(segment) => {
                    self.state = SpoolState::Ready;
                    return Some(Placed { items: std::mem::take(fresh), segment: Some(segment) });
                }
                Err(cause) => self.failed(cause),
            }
        }
        let mut count = 0;
        for item in fresh.iter() {
            let weight = item.record.weight();
            if self.memory_bytes + weight > self.memory_limit {
                break;
            }
            self.memory_bytes += weight;
            self.memory.push_back(item.record.clone());
            count += 1;
        }
        (count > 0).then(|| Placed { items: fresh.drain(..count).collect(), segment: None })
    }

    /// The next records to send, those in memory first: they are in danger.
    pub(super) fn next(&mut self, most: usize, most_bytes: usize) -> Vec<Held> {
        let (mut held, mut bytes) = (Vec::new(), 0);
        while held.len() < most && bytes < most_bytes {
            let Some(next) = self.next_one() else { break };
            bytes += next.record.weight();
            held.push(next);
        }
        held
    }

    fn next_one(&mut self) -> Option<Held> {
        if let Some(record) = self.memory.pop_front() {
            self.memory_bytes -= record.weight();
            return Some(Held { place: None, record });
        }
        if let Some(spool) = self.spool.as_mut().filter(|_| self.ready.is_empty())
            && let Err(cause) = spool.read(READING, &mut self.ready)
        {
            error!(%cause, "a segment of the spool cannot be read; it stays for the next start");
        }
        self.ready.pop_front().map(|(place, record)| Held { place: Some(place), record })
    }

    /// A record needs no more care.
    pub(super) fn settled(&mut self, place: Option<Place>) {
        if let (Some(place), Some(spool)) = (place, &mut self.spool) {
            spool.settled(place);
        }
    }

    /// Puts a record aside that the server refuses for good.
    pub(super) fn park(&mut self, record: &Record) -> io::Result<()> {
        match &mut self.spool {
            Some(spool) => spool.park(record),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Everything was acknowledged: leaves an empty directory.
    pub(super) fn seal(&mut self) {
        if let Some(spool) = &mut self.spool {
            spool.seal();
        }
    }

    /// Records that only memory holds, those in flight aside.
    pub(super) fn in_memory(&self) -> usize {
        self.memory.len()
    }

    /// Whether the spool holds records that were not sent yet.
    pub(super) fn has_spooled(&self) -> bool {
        !self.ready.is_empty() || self.spool.as_ref().is_some_and(|spool| !spool.is_read())
    }

    /// Whether there is a directory and its spool is not open.
    pub(super) fn is_unopened(&self) -> bool {
        self.disk.is_some() && self.spool.is_none()
    }

    /// Whether the spool was not tried yet, or is another process's for now.
    pub(super) fn awaits_spool(&self) -> bool {
        self.is_unopened() && matches!(self.state, SpoolState::Opening | SpoolState::Owned)
    }

    /// The directory, while it is ours.
    pub(super) fn owned_disk(&self) -> Option<Arc<dyn Disk>> {
        self.disk.clone().filter(|_| self.spool.is_some())
    }

    pub(super) fn describe(&self, stats: &mut Stats) {
        stats.spool.clone_from(&self.state);
        if let Some(spool) = &self.spool {
            stats.spool_bytes = spool.bytes();
            stats.damaged = spool.damaged;
            stats.damaged_bytes = spool.damaged_bytes;
        }
    }
}
