//! The spool: events on the disk that the stream has not acknowledged yet, so that a killed bot loses nothing it had spooled.
//!
//! Append-only segments, read back in order. A segment is removed once each of its records is acknowledged; after a crash
//! the segments that are left are sent again as a whole, which is safe, since an event's id is its identity. What a process
//! finds is never appended to, so a torn tail stays where it tore. Bounded in bytes.
//!
//! It syncs nothing but what it parks: `worker::durable` syncs the rest, on a thread of its own. It does not publish.

pub mod disk;
pub(crate) mod format;
mod segment;

use crate::record::Record;
use disk::{Disk, Ownership};
use segment::Segment;
use std::{
    collections::VecDeque,
    io::{self, ErrorKind},
    sync::Arc,
};
use tracing::{error, warn};

/// Which segment a record was read from.
pub(crate) type Place = u64;

/// How large things may grow, in bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// A segment is closed when it has reached this.
    pub(crate) segment: u64,
    /// All segments together, parked ones included.
    pub(crate) total: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Spool {
    disk: Arc<dyn Disk>,
    /// Goes with the spool: an opening that fails leaves the directory to the next.
    _ownership: Ownership,
    limits: Limits,
    /// Oldest first; all but the last are sealed.
    segments: VecDeque<Segment>,
    /// Of the segment that is being read, from its `read` on.
    page: VecDeque<u8>,
    next_seq: u64,
    /// Bytes of segments that are not ours to read or to remove: parked ones, and ones of a newer format.
    apart: u64,
    parking: Option<String>,
    pub(crate) damaged: u64,
    pub(crate) damaged_bytes: u64,
}

const SEGMENT: &str = ".spool";
/// Of the same format. Renamed to `.spool`, it is sent again at the next start.
const PARKED: &str = ".parked";

impl Spool {
    /// Takes possession of the directory and finds what an earlier process left.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] when another process owns the directory; else why it cannot be used.
    pub(crate) fn open(disk: Arc<dyn Disk>, limits: Limits) -> io::Result<Self> {
        let mut spool = Self {
            _ownership: disk.lock()?,
            disk,
            limits,
            segments: VecDeque::new(),
            page: VecDeque::new(),
            next_seq: 1,
            apart: 0,
            parking: None,
            damaged: 0,
            damaged_bytes: 0,
        };
        let mut found = spool.disk.list()?;
        found.sort_unstable();
        for (name, bytes) in found {
            spool.find(&name, bytes)?;
        }
        Ok(spool)
    }

    fn find(&mut self, name: &str, bytes: u64) -> io::Result<()> {
        let sequence = |suffix| name.strip_suffix(suffix).and_then(|seq| seq.parse::<u64>().ok());
        if let Some(seq) = sequence(PARKED) {
            self.next_seq = self.next_seq.max(seq + 1);
            self.apart += bytes;
        }
        let Some(seq) = sequence(SEGMENT) else { return Ok(()) };
        self.next_seq = self.next_seq.max(seq + 1);
        if bytes == 0 {
            return self.disk.remove(name);
        }
        let version = format::version(&self.disk.read(name, 0, format::HEADER)?);
        if version.is_some_and(|version| version != format::VERSION) {
            error!(segment = name, version, "a segment of an unknown format is left alone");
            self.apart += bytes;
            return Ok(());
        }
        // Behind a damaged header the records may be whole: they are looked for from the first byte on.
        let read = if version.is_some() { format::HEADER as u64 } else { 0 };
        self.segments.push_back(Segment { name: name.to_owned(), seq, bytes, read, unacked: 0, sealed: true });
        Ok(())
    }

    /// Bytes on the disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.apart + self.segments.iter().map(|segment| segment.bytes).sum::<u64>()
    }

    /// Whether each record that is not acknowledged has been read.
    pub(crate) fn is_read(&self) -> bool {
        self.segments.iter().all(Segment::is_read)
    }

    /// Appends records to a segment and gives its name; all of them are there then, though not synced.
    ///
    /// # Errors
    /// [`ErrorKind::QuotaExceeded`] when they would exceed the bound; else why they could not be written. Some of them
    /// may be found after a crash all the same.
    pub(crate) fn append<'r>(&mut self, records: impl Iterator<Item = &'r Record>) -> io::Result<String> {
        let mut bytes = Vec::new();
        records.for_each(|record| format::write(record, &mut bytes));
        if self.bytes() + (bytes.len() + format::HEADER) as u64 > self.limits.total {
            return Err(ErrorKind::QuotaExceeded.into());
        }
        if self.segments.back().is_none_or(|segment| segment.sealed) {
            self.segments.push_back(Segment::new(self.next_seq, SEGMENT));
            self.next_seq += 1;
            bytes.splice(..0, format::header());
        }
        let Some(segment) = self.segments.back_mut() else { return Err(ErrorKind::NotFound.into()) };
        if let Err(cause) = self.disk.append(&segment.name, &bytes) {
            // The end of the file is unknown now. What is known to be whole is still read; the rest is not.
            segment.sealed = true;
            if segment.bytes == 0 {
                self.abandon();
            }
            self.retire();
            return Err(cause);
        }
        segment.bytes += bytes.len() as u64;
        segment.sealed = segment.bytes >= self.limits.segment;
        Ok(segment.name.clone())
    }

    /// Takes back a segment in which nothing is known to be whole, and its file where there is one.
    fn abandon(&mut self) {
        if let Some(segment) = self.segments.pop_back() {
            drop(self.disk.remove(&segment.name));
        }
    }

    /// Reads the next records, in the order they were appended, at least one where there is one, and about `most` bytes.
    ///
    /// # Errors
    /// When a segment cannot be read. It is passed by then, and stays on the disk for the next start.
    pub(crate) fn read(&mut self, most: usize, into: &mut VecDeque<(Place, Record)>) -> io::Result<()> {
        let mut taken = 0;
        while taken < most {
            let Some(index) = self.segments.iter().position(|segment| !segment.is_read()) else { return Ok(()) };
            if self.page.is_empty() {
                self.page = self.page_of(index)?.into();
            }
            taken += self.step(index, into);
        }
        Ok(())
    }

    fn page_of(&mut self, index: usize) -> io::Result<Vec<u8>> {
        let segment = &mut self.segments[index];
        let unread = segment.bytes - segment.read;
        let page = self.disk.read(&segment.name, segment.read, usize::try_from(unread).unwrap_or(usize::MAX));
        page.inspect_err(|_| {
            self.damaged += 1;
            self.damaged_bytes += unread;
            segment.read = segment.bytes;
            segment.sealed = true;
            // One that is never acknowledged keeps the file.
            segment.unacked += 1;
        })
    }

    /// Reads one record, or passes one stretch of damage; gives how many bytes that took.
    fn step(&mut self, index: usize, into: &mut VecDeque<(Place, Record)>) -> usize {
        let segment = &mut self.segments[index];
        let taken = match format::next(self.page.make_contiguous()) {
            format::Next::Record(record, taken) => {
                segment.unacked += 1;
                into.push_back((segment.seq, record));
                taken
            }
            format::Next::Damage(taken) => {
                self.damaged += 1;
                self.damaged_bytes += taken as u64;
                warn!(segment = segment.name, bytes = taken, "a stretch of the spool is torn or damaged");
                taken
            }
            // The file is shorter than it was: what is missing is damage too.
            format::Next::End => {
                let missing = segment.bytes - segment.read;
                self.damaged += 1;
                self.damaged_bytes += missing;
                usize::try_from(missing).unwrap_or(usize::MAX)
            }
        };
        segment.read += taken as u64;
        self.page.drain(..taken.min(self.page.len()));
        if segment.is_spent() {
            self.retire();
        }
        taken
    }

    /// A record was acknowledged, or needs no more acknowledgement.
    pub(crate) fn settled(&mut self, place: Place) {
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.seq == place) {
            segment.unacked = segment.unacked.saturating_sub(1);
            // While nothing is under way, a segment that has some length is closed early: what it holds would be sent again
            // after a crash.
            segment.sealed |= segment.unacked == 0 && segment.is_read() && segment.bytes >= self.limits.segment / 16;
            if segment.is_spent() {
                self.retire();
            }
        }
    }

    /// Closes the last segment: with all acknowledged, nothing stays on the disk.
    pub(crate) fn seal(&mut self) {
        if let Some(segment) = self.segments.back_mut() {
            segment.sealed = true;
        }
        self.retire();
    }

    /// Removes the segments of which everything is acknowledged. One that cannot be removed is only sent again.
    fn retire(&mut self) {
        let disk = &self.disk;
        self.segments.retain(|segment| {
            let spent = segment.is_spent();
            if spent && let Err(cause) = disk.remove(&segment.name) {
                warn!(segment = segment.name, %cause, "a segment that is done with cannot be removed");
            }
            !spent
        });
    }

    /// Keeps a record that the server refuses for good, apart from what is sent, and syncs it: whoever waits for it is told.
    ///
    /// # Errors
    /// As `append`, and when it is not certain that it is on the disk.
    pub(crate) fn park(&mut self, record: &Record) -> io::Result<()> {
        let mut bytes = Vec::new();
        if self.parking.is_none() {
            bytes.extend_from_slice(&format::header());
        }
        format::write(record, &mut bytes);
        if self.bytes() + bytes.len() as u64 > self.limits.total {
            return Err(ErrorKind::QuotaExceeded.into());
        }
        let name = self.parking.take().unwrap_or_else(|| {
            self.next_seq += 1;
            segment::name(self.next_seq - 1, PARKED)
        });
        self.disk.append(&name, &bytes)?;
        self.apart += bytes.len() as u64;
        self.disk.sync(self.parking.insert(name))
    }
}

#[cfg(test)]
mod tests;
