//! One file of the spool, and how far it is read and acknowledged.
//!
//! It does not touch the file.

#[derive(Debug)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) seq: u64,
    /// Up to here its records are known to be whole, or were found so long.
    pub(super) bytes: u64,
    /// Up to here it was read.
    pub(super) read: u64,
    /// Records that were read and are not acknowledged.
    pub(super) unacked: usize,
    /// Nothing will be appended.
    pub(super) sealed: bool,
}

impl Segment {
    /// One that is not written yet.
    pub(super) fn new(seq: u64, suffix: &str) -> Self {
        let read = super::format::HEADER as u64;
        Self { name: name(seq, suffix), seq, bytes: 0, read, unacked: 0, sealed: false }
    }

    pub(super) fn is_read(&self) -> bool {
        self.read >= self.bytes
    }

    /// Whether everything in it is acknowledged and nothing will follow.
    pub(super) fn is_spent(&self) -> bool {
        self.sealed && self.is_read() && self.unacked == 0
    }
}

/// Names sort as their sequences do.
pub(super) fn name(seq: u64, suffix: &str) -> String {
    format!("{seq:020}{suffix}")
}
