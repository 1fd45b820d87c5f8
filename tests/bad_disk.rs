//! A disk of the spool's that misbehaves, for the tests and the benchmark alike.
//!
//! It does not lose what it said it had written.

#![allow(dead_code, reason = "neither of its users needs every fault")]

use std::{
    io::{self, ErrorKind},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use valera_tracker::spool::disk::{Directory, Disk, Ownership};

/// A directory on which some calls fail, or take two seconds, for as long as it is told.
#[derive(Debug)]
pub(crate) struct Bad {
    inner: Directory,
    fault: Fault,
    is_bad: AtomicBool,
    is_syncing: AtomicBool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fault {
    Full,
    Torn,
    ReadOnly,
    Unlisted,
    Unsynced,
    Slow,
    /// A sync takes a second and fails.
    Lost,
}

impl Bad {
    pub(crate) fn new(dir: impl Into<PathBuf>, fault: Fault) -> Arc<Self> {
        Arc::new(Self {
            inner: Directory::new(dir),
            fault,
            is_bad: AtomicBool::new(true),
            is_syncing: AtomicBool::new(false),
        })
    }

    /// From now on the disk is good.
    pub(crate) fn heal(&self) {
        self.is_bad.store(false, Ordering::Relaxed);
    }

    /// Whether a sync is under way that is going to fail.
    pub(crate) fn is_syncing(&self) -> bool {
        self.is_syncing.load(Ordering::Relaxed)
    }

    fn meets(&self, fault: Fault) -> bool {
        self.fault == fault && self.is_bad.load(Ordering::Relaxed)
    }
}

impl Disk for Bad {
    fn lock(&self) -> io::Result<Ownership> {
        if self.meets(Fault::ReadOnly) { Err(ErrorKind::ReadOnlyFilesystem.into()) } else { self.inner.lock() }
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        if self.meets(Fault::Unlisted) { Err(io::Error::other("no list")) } else { self.inner.list() }
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        if self.meets(Fault::Full) {
            return Err(ErrorKind::StorageFull.into());
        }
        if self.meets(Fault::Torn) {
            self.inner.append(name, &bytes[..bytes.len() / 2])?;
            return Err(ErrorKind::StorageFull.into());
        }
        self.inner.append(name, bytes)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        if self.meets(Fault::Unsynced) {
            return Err(io::Error::other("the disk says no"));
        }
        if self.meets(Fault::Slow) {
            std::thread::sleep(Duration::from_secs(2));
        }
        if self.meets(Fault::Lost) {
            self.is_syncing.store(true, Ordering::Relaxed);
            std::thread::sleep(Duration::from_secs(1));
            self.is_syncing.store(false, Ordering::Relaxed);
            return Err(io::Error::other("the disk has lost it"));
        }
        self.inner.sync(name)
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.inner.read(name, offset, length)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }
}
