//! A disk in memory whose power fails.
//!
//! It does not know what is kept on it.

use super::super::disk::{Disk, Ownership};
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    sync::{Arc, Mutex},
};

/// Files in memory. After so many written bytes the power is cut: the last write is torn, and nothing works any more.
#[derive(Debug, Default)]
pub(super) struct Fragile(pub(super) Mutex<State>);

#[derive(Debug, Default, Clone)]
pub(super) struct State {
    pub(super) files: BTreeMap<String, Vec<u8>>,
    pub(super) written: usize,
    pub(super) power: Option<usize>,
    /// No sync succeeds.
    pub(super) is_unsynced: bool,
}

impl Fragile {
    pub(super) fn with_power(power: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { power: Some(power), ..State::default() })))
    }

    /// What is on the disk, in a machine that has power again.
    pub(super) fn after_the_crash(&self) -> Arc<Self> {
        let files = self.0.lock().unwrap().files.clone();
        Arc::new(Self(Mutex::new(State { files, ..State::default() })))
    }

    pub(super) fn written(&self) -> usize {
        self.0.lock().unwrap().written
    }

    pub(super) fn files(&self) -> Vec<String> {
        self.0.lock().unwrap().files.keys().cloned().collect()
    }

    /// Turns one bit of one file; false when there is none.
    pub(super) fn flip(&self, at: prop::sample::Index) -> bool {
        let mut state = self.0.lock().unwrap();
        let bits: usize = state.files.values().map(|file| file.len() * 8).sum();
        if bits == 0 {
            return false;
        }
        let mut bit = at.index(bits);
        for file in state.files.values_mut() {
            if bit < file.len() * 8 {
                file[bit / 8] ^= 1 << (bit % 8);
                break;
            }
            bit -= file.len() * 8;
        }
        true
    }

    pub(super) fn powered<T>(&self, work: impl FnOnce(&mut State) -> T) -> io::Result<T> {
        let mut state = self.0.lock().unwrap();
        let out = state.power.is_some_and(|power| state.written >= power);
        if out { Err(ErrorKind::BrokenPipe.into()) } else { Ok(work(&mut state)) }
    }
}

impl Disk for Fragile {
    fn lock(&self) -> io::Result<Ownership> {
        Ok(Box::new(()))
    }

    fn list(&self) -> io::Result<Vec<(String, u64)>> {
        self.powered(|state| state.files.iter().map(|(name, file)| (name.clone(), file.len() as u64)).collect())
    }

    fn append(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.powered(|state| {
            let room = state.power.map_or(bytes.len(), |power| bytes.len().min(power - state.written));
            state.files.entry(name.to_owned()).or_default().extend_from_slice(&bytes[..room]);
            state.written += room;
            if room < bytes.len() { Err(ErrorKind::StorageFull.into()) } else { Ok(()) }
        })?
    }

    fn sync(&self, _: &str) -> io::Result<()> {
        let is_unsynced = self.powered(|state| state.is_unsynced)?;
        if is_unsynced { Err(io::Error::other("not synced")) } else { Ok(()) }
    }

    fn read(&self, name: &str, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.powered(|state| {
            let file = state.files.get(name).ok_or(ErrorKind::NotFound)?;
            let from = file.len().min(offset as usize);
            Ok(file[from..file.len().min(from + length)].to_vec())
        })?
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.powered(|state| state.files.remove(name).map(drop).ok_or(ErrorKind::NotFound.into()))?
    }
}
