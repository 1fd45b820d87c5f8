//! What happens between two batches of a replay: how far it is gets written down, and others are let by.
//!
//! An operator's pause is seen here, so it is heeded within a second even while a replay waits for live traffic. It
//! does not read the stream.

use super::{
    End,
    courtesy::Courtesy,
    drive::{Committed, Place},
    link,
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
use anyhow::{Context, bail};
use std::time::{Duration, Instant};
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
    pub(super) fn of(row: &ReplayRow, upto: Place, behind: Option<u64>) -> Self {
        match &row.files {
            Some(_) => Self { first: 1, last: row.bytes(), position: upto.bytes, behind },
            None => {
                let (first, last) = (super::sequence(row.first_seq), super::sequence(row.last_seq));
                Self { first, last, position: upto.position, behind }
            }
        }
    }
}

/// The longest sleep between two looks at the row.
const LOOK_EVERY: Duration = Duration::from_millis(500);

const NOTHING: [Outcome; 0] = [];

/// See the module.
pub(super) struct Steps<'a, W> {
    row: ReplayRow,
    ledger: Writer,
    courtesy: Courtesy,
    rate: Option<u32>,
    started: Instant,
    handled: u64,
    watch: W,
    shutdown: &'a CancellationToken,
}

impl<'a, W: FnMut(&Progress)> Steps<'a, W> {
    pub(super) fn new(
        environment: &Environment,
        service: Service,
        row: ReplayRow,
        ledger: Writer,
        rate: Option<u32>,
        watch: W,
        shutdown: &'a CancellationToken,
    ) -> Self {
        let courtesy = Courtesy::towards(link(environment), service.name());
        Self { row, ledger, courtesy, rate, started: Instant::now(), handled: 0, watch, shutdown }
    }

    /// Writes the end down, unless there is more to do, lets the next replay begin, and gives the row.
    pub(super) async fn finish(mut self, ended: anyhow::Result<bool>) -> anyhow::Result<(End, ReplayRow)> {
        let finished = match ended {
            Ok(is_all) => self.write_end(is_all).await,
            Err(cause) => Err(cause),
        };
        super::released(self.ledger, finished).await
    }

    async fn write_end(&mut self, is_all: bool) -> anyhow::Result<(End, ReplayRow)> {
        let name = self.row.name.clone();
        let connection = self.ledger.connection().await?;
        if is_all {
            replays::end(connection, &name, self.row.bytes()).await?;
        }
        let row = replays::find(connection, &name).await?.with_context(|| format!("the replay {name} is gone"))?;
        let end = match row.status.as_str() {
            "done" => End::Done,
            "paused" => End::Paused,
            "cancelled" => End::Cancelled,
            _ => End::Stopped,
        };
        Ok((end, row))
    }

    /// Writes down how far it is; whether it goes on.
    async fn write(&mut self, upto: Place, outcomes: &[Outcome]) -> anyhow::Result<bool> {
        let mut ended = [0; Outcome::ALL.len()];
        for outcome in outcomes {
            ended[*outcome as usize] += 1;
        }
        let mut pauses = pauses();
        loop {
            match self.try_write(upto, &ended).await {
                Ok(Some(status)) => return Ok(status == "running"),
                Ok(None) => bail!("another process has taken the replay {} over", self.row.name),
                Err(cause) => {
                    self.ledger.forget();
                    tracing::warn!(cause = format!("{cause:#}"), "could not write how far the replay is; again");
                }
            }
            if self.shutdown.is_cancelled() {
                return Ok(false);
            }
            pause(&mut pauses, self.shutdown).await;
        }
    }

    async fn try_write(&mut self, upto: Place, ended: &[u64; Outcome::ALL.len()]) -> anyhow::Result<Option<String>> {
        let connection = self.ledger.connection().await?;
        replays::advance(connection, &self.row.name, upto.position, upto.bytes, ended).await
    }

    fn show(&mut self, upto: Place, behind: Option<u64>) {
        (self.watch)(&Progress::of(&self.row, upto, behind));
    }

    /// How long to wait before the next batch.
    fn due_in(&self) -> Duration {
        let due = self.rate.map_or(0.0, |rate| self.handled as f64 / f64::from(rate));
        Duration::from_secs_f64(due).saturating_sub(self.started.elapsed())
    }
}

impl<W: FnMut(&Progress)> Committed for Steps<'_, W> {
    async fn committed(&mut self, upto: Place, outcomes: &[Outcome]) -> anyhow::Result<bool> {
        self.handled += outcomes.len() as u64;
        let mut goes_on = self.write(upto, outcomes).await?;
        loop {
            let behind = self.courtesy.owed().await;
            self.show(upto, behind);
            let due_in = if behind.is_some() { LOOK_EVERY } else { self.due_in().min(LOOK_EVERY) };
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
}
