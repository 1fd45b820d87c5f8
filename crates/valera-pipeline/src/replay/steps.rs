//! What happens between two batches of a replay: how far it is gets written down, and others are let by.
//!
//! An operator's pause is seen here, so it is heeded within a second even while a replay waits for live traffic. Of a dry
//! run nothing is written down; it waits like any other. It does not read the stream.

use super::{
    courtesy::Courtesy,
    drive::{LOOK_EVERY, Place, Watch},
    ledger::sequence,
    opened::link,
    pace::Pace,
};
use crate::{
    consume::{pause, pauses},
    handler::Outcome,
    service::{Environment, Service},
    store::{
        Writer,
        replays::{self, ReplayRow},
    },
};
use anyhow::bail;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// How far a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Stream sequences; bytes of files, from 1.
    pub first: u64,
    pub last: u64,
    /// Everything up to this one is durable.
    pub position: u64,
    /// How many messages live traffic is behind, while it is waited for.
    pub behind: Option<u64>,
}

impl Progress {
    fn of(row: &ReplayRow, upto: Place, behind: Option<u64>) -> Self {
        match &row.files {
            Some(_) => Self { first: 1, last: row.bytes(), position: upto.bytes, behind },
            None => {
                let (first, last) = (sequence(row.first_seq), sequence(row.last_seq));
                Self { first, last, position: upto.position, behind }
            }
        }
    }
}

const NOTHING: [Outcome; 0] = [];

/// Written down, it leaves the row where it is.
const NOWHERE: Place = Place { position: 0, bytes: 0 };

/// See the module.
pub(super) struct Steps<'a, W> {
    row: &'a ReplayRow,
    /// `None` in a dry run.
    ledger: Option<&'a mut Writer>,
    courtesy: Courtesy,
    pace: Pace,
    watch: W,
    shutdown: &'a CancellationToken,
}

impl<'a, W: FnMut(&Progress)> Steps<'a, W> {
    pub(super) fn new(
        environment: &Environment,
        service: Service,
        row: &'a ReplayRow,
        ledger: Option<&'a mut Writer>,
        rate: Option<u32>,
        watch: W,
        shutdown: &'a CancellationToken,
    ) -> Self {
        let courtesy = Courtesy::towards(link(environment), service.name());
        Self { row, ledger, courtesy, pace: Pace::new(rate), watch, shutdown }
    }

    /// Writes down how far it is; whether it goes on.
    async fn write(&mut self, upto: Place, outcomes: &[Outcome]) -> anyhow::Result<bool> {
        let Some(ledger) = self.ledger.as_deref_mut() else { return Ok(true) };
        let name = &self.row.name;
        let mut ended = [0; Outcome::ALL.len()];
        for outcome in outcomes {
            ended[*outcome as usize] += 1;
        }
        let mut pauses = pauses();
        loop {
            match try_write(ledger, name, upto, &ended).await {
                Ok(Some(status)) => return Ok(status == "running"),
                Ok(None) => bail!("another process has taken the replay {name} over"),
                Err(cause) => {
                    ledger.forget();
                    tracing::warn!(cause = format!("{cause:#}"), "could not write how far the replay is; again");
                }
            }
            if self.shutdown.is_cancelled() {
                return Ok(false);
            }
            pause(&mut pauses, self.shutdown).await;
        }
    }

    fn show(&mut self, upto: Place, behind: Option<u64>) {
        (self.watch)(&Progress::of(self.row, upto, behind));
    }
}

async fn try_write(
    ledger: &mut Writer,
    name: &str,
    upto: Place,
    ended: &[u64; Outcome::ALL.len()],
) -> anyhow::Result<Option<String>> {
    replays::advance(ledger.connection().await?, name, upto.position, upto.bytes, ended).await
}

impl<W: FnMut(&Progress)> Watch for Steps<'_, W> {
    async fn committed(&mut self, upto: Place, outcomes: &[Outcome], handed_in: Instant) -> anyhow::Result<bool> {
        self.pace.handed_in(outcomes.len(), handed_in);
        let mut goes_on = self.write(upto, outcomes).await?;
        loop {
            let behind = self.courtesy.owed().await;
            self.show(upto, behind);
            let due_in = if behind.is_some() { LOOK_EVERY } else { self.pace.due_in(Instant::now()).min(LOOK_EVERY) };
            if due_in.is_zero() || !goes_on || self.shutdown.is_cancelled() {
                return Ok(goes_on);
            }
            tokio::select! {
                () = self.shutdown.cancelled() => {}
                () = tokio::time::sleep(due_in) => {}
            }
            goes_on = self.write(upto, &NOTHING).await?;
        }
    }

    async fn goes_on(&mut self) -> anyhow::Result<bool> {
        self.write(NOWHERE, &NOTHING).await
    }
}
