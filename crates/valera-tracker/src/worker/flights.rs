//! What was published and waits for its answer.
//!
//! Each publish has a token, the last part of its reply subject, and a time after which its outcome counts as unknown. It is
//! sent again then, and both may have been stored: the same id makes that one event.
//!
//! It does not publish.

use super::backlog::Held;
use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};
use tokio::time::Instant;

/// One publish.
pub(super) enum Flight {
    One(Held),
    /// An atomic batch: all of it or nothing.
    Batch(Vec<Held>),
}

impl Flight {
    pub(super) fn into_held(self) -> Vec<Held> {
        match self {
            Self::One(held) => vec![held],
            Self::Batch(held) => held,
        }
    }

    fn held(&self) -> &[Held] {
        match self {
            Self::One(held) => std::slice::from_ref(held),
            Self::Batch(held) => held,
        }
    }

    fn load(&self) -> Load {
        let held = self.held();
        Load {
            records: held.len(),
            volatile: held.iter().filter(|held| held.place.is_none()).count(),
            bytes: held.iter().map(|held| held.record.weight()).sum(),
            batches: usize::from(matches!(self, Self::Batch(_))),
        }
    }
}

/// How much is under way.
#[derive(Default)]
struct Load {
    records: usize,
    volatile: usize,
    bytes: usize,
    batches: usize,
}

pub(super) struct Flights {
    patience: Duration,
    by_token: HashMap<u64, Flight>,
    /// In the order of departure; landed ones among them.
    order: VecDeque<(Instant, u64)>,
    next_token: u64,
    load: Load,
}

impl Flights {
    /// `patience`: after how long without an answer an outcome is unknown.
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, by_token: HashMap::new(), order: VecDeque::new(), next_token: 0, load: Load::default() }
    }

    /// Notes a departure and gives its token.
    pub(super) fn depart(&mut self, flight: Flight) -> u64 {
        let token = self.next_token;
        self.next_token += 1;
        let Load { records, volatile, bytes, batches } = flight.load();
        self.load.records += records;
        self.load.volatile += volatile;
        self.load.bytes += bytes;
        self.load.batches += batches;
        self.order.push_back((Instant::now(), token));
        self.by_token.insert(token, flight);
        token
    }

    /// Takes the flight that an answer belongs to; `None` for one that was given up.
    pub(super) fn land(&mut self, token: u64) -> Option<Flight> {
        let flight = self.by_token.remove(&token)?;
        let Load { records, volatile, bytes, batches } = flight.load();
        self.load.records -= records;
        self.load.volatile -= volatile;
        self.load.bytes -= bytes;
        self.load.batches -= batches;
        while self.order.front().is_some_and(|(_, token)| !self.by_token.contains_key(token)) {
            self.order.pop_front();
        }
        Some(flight)
    }

    /// Takes one flight whose time is over.
    pub(super) fn overdue(&mut self, now: Instant) -> Option<Flight> {
        let (departed, token) = *self.order.front()?;
        if departed + self.patience > now { None } else { self.land(token) }
    }

    /// When the next one's time is over.
    pub(super) fn next_overdue(&self) -> Option<Instant> {
        self.order.front().map(|(departed, _)| *departed + self.patience)
    }

    /// Gives all of them up.
    pub(super) fn abandon(&mut self) -> Vec<Held> {
        self.order.clear();
        self.load = Load::default();
        let mut flights: Vec<_> = self.by_token.drain().collect();
        flights.sort_unstable_by_key(|(token, _)| *token);
        flights.into_iter().flat_map(|(_, flight)| flight.into_held()).collect()
    }

    pub(super) fn records(&self) -> usize {
        self.load.records
    }

    /// Records that only memory holds.
    pub(super) fn volatile(&self) -> usize {
        self.load.volatile
    }

    pub(super) fn bytes(&self) -> usize {
        self.load.bytes
    }

    pub(super) fn batches(&self) -> usize {
        self.load.batches
    }
}
