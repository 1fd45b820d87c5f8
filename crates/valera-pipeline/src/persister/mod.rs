//! Stores every event exactly once, and what is refused as a dead letter.
//!
//! The primary key of the raw table is the inbox: whether an event is new is decided by the insert itself, in the
//! transaction that makes it durable, so a redelivery, a replay or a second worker cannot store it twice. It does not
//! maintain any rollup and does not alert.

mod batch;
mod letters;

pub use batch::Batch;

use crate::{
    handler::{Delivery, Handler, Ours, Outcome},
    probe::{Point, Probe},
    replay::restored::{FileLine, Refusals, Restore},
    store::{self, Calendar, Failure, Partitions, letters::Letter, positions, raw},
};
use letters::Unfinished;
use std::{collections::HashMap, sync::Arc};
use tracing::warn;
use uuid::Uuid;
use valera_events::{Keys, Reason, ReasonCode};

/// The name of its durable consumer.
pub const NAME: &str = "persister";

/// How many batches are staged after one that met a known id: redeliveries come in runs.
const STAGED_RUN: u32 = 5;

/// The handler behind the consumer `persister`.
pub struct Persister {
    writer: store::Writer,
    partitions: Partitions,
    calendar: Arc<Calendar>,
    keys: Arc<Keys>,
    probe: Arc<dyn Probe>,
    staged: u32,
    unfinished: Unfinished,
}

/// What the store said of the rows it was given.
#[derive(Default)]
struct Stored {
    /// Ids that were stored before, with their content.
    known: HashMap<Uuid, Vec<u8>>,
    /// Positions of rows that were not stored, and why.
    unstored: HashMap<usize, Outcome>,
    /// Letters for rows that Postgres refused.
    refused: Vec<Letter>,
}

impl Persister {
    /// Connects when it gets its first batch.
    ///
    /// # Errors
    /// When the address is not a Postgres URL.
    pub fn new(
        database_url: &str,
        calendar: Arc<Calendar>,
        keys: Arc<Keys>,
        probe: Arc<dyn Probe>,
    ) -> anyhow::Result<Self> {
        let writer = store::Writer::new(database_url, raw::WRITING, raw::SESSION)?;
        Ok(Self {
            writer,
            partitions: Partitions::of(raw::TABLE),
            calendar,
            keys,
            probe,
            staged: 0,
            unfinished: Unfinished::default(),
        })
    }

    async fn store(&mut self, batch: &Batch) -> Result<Vec<Outcome>, Failure> {
        self.writer.renew();
        let connection = self.writer.connection().await?;
        self.partitions.refresh(connection).await?;
        self.unfinished.refresh(connection).await?;
        let mut stored = Stored::default();
        let mut live = Vec::with_capacity(batch.events.first.len());
        for (row, event) in batch.events.first.iter().enumerate() {
            if self.partitions.expired(event.event_id) {
                stored.unstored.insert(row, Outcome::Expired);
            } else {
                live.push(row);
            }
        }
        let ids = live.iter().map(|&row| batch.events.first[row].event_id);
        self.partitions.ensure(connection, ids).await?;
        self.store_rows(batch, live, &mut stored).await?;
        Ok(batch.judge(&stored.known, &stored.unstored))
    }

    /// Stores rows and letters in one transaction. Only where Postgres refuses a row's data is the batch halved until
    /// that row stands alone; then each part is a transaction of its own and the letters come last.
    async fn store_rows(&mut self, batch: &Batch, rows: Vec<usize>, stored: &mut Stored) -> Result<(), Failure> {
        let whole = self.write(batch, &rows, true, stored).await;
        if !matches!(whole, Err(Failure::Data { .. })) {
            return whole;
        }
        let mut parts = vec![rows];
        while let Some(mut part) = parts.pop() {
            match self.write(batch, &part, false, stored).await {
                Err(Failure::Data { sqlstate }) if part.len() == 1 => {
                    stored.unstored.insert(part[0], Outcome::Rejected);
                    stored.refused.extend(refused(batch, part[0], &sqlstate));
                }
                Err(Failure::Data { .. }) if part.len() > 1 => {
                    parts.push(part.split_off(part.len() / 2));
                    parts.push(part);
                }
                written => written?,
            }
        }
        self.write(batch, &[], true, stored).await
    }

    async fn write(
        &mut self,
        batch: &Batch,
        rows: &[usize],
        with_letters: bool,
        stored: &mut Stored,
    ) -> Result<(), Failure> {
        if self.staged == 0 {
            match self.write_once(batch, rows, with_letters, stored, Way::Straight).await {
                Err(Failure::Duplicate) => self.staged = STAGED_RUN,
                written => return written,
            }
        }
        self.staged -= 1;
        self.write_once(batch, rows, with_letters, stored, Way::Staged).await
    }

    async fn write_once(
        &mut self,
        batch: &Batch,
        rows: &[usize],
        with_letters: bool,
        stored: &mut Stored,
        way: Way,
    ) -> Result<(), Failure> {
        let buffer = batch.rows.finish_some(rows);
        let mut transaction = self.writer.begin().await?;
        match way {
            _ if rows.is_empty() => {}
            Way::Straight => raw::insert(&mut transaction, &buffer).await?,
            Way::Staged => stored.known.extend(raw::insert_new(&mut transaction, &buffer).await?),
        }
        if with_letters {
            letters::write(&mut transaction, batch, stored, &self.keys.content, &mut self.unfinished).await?;
            if let Some(covered) = &batch.covered {
                positions::record(&mut transaction, NAME, covered).await?;
            }
        }
        self.probe.reached(Point::BeforeCommit);
        transaction.commit().await?;
        Ok(())
    }
}

/// How rows go in.
#[derive(Clone, Copy)]
enum Way {
    Straight,
    Staged,
}

fn refused(batch: &Batch, row: usize, sqlstate: &str) -> Vec<Letter> {
    warn!(event.id = %batch.events.first[row].event_id, sqlstate, "Postgres refused an event that the contract accepts");
    let reason = Reason {
        reason: ReasonCode::RefusedByDatabase,
        path: String::new(),
        expected: format!("a row that Postgres stores; it answered with SQLSTATE {sqlstate}"),
    };
    batch.letters_of(row, &reason).collect()
}

impl Restore for Persister {
    fn restorer(&self) -> impl Fn(Vec<FileLine>) -> Batch + Send + Sync + 'static {
        let (keys, refusals) = (self.keys.clone(), Refusals::default());
        move |lines| Batch::restore(&lines, &keys, &refusals)
    }
}

impl Handler for Persister {
    type Batch = Batch;

    fn decoder(&self) -> impl Fn(Vec<Delivery>) -> Batch + Send + Sync + 'static {
        let (keys, calendar) = (self.keys.clone(), self.calendar.clone());
        move |deliveries| Batch::decode(deliveries, &keys, &calendar)
    }

    async fn handle(&mut self, batch: &Batch) -> Result<Vec<Outcome>, Ours> {
        match self.store(batch).await {
            Ok(outcomes) => Ok(outcomes),
            Err(failure) => {
                self.writer.forget();
                self.partitions.forget();
                if matches!(failure, Failure::LockTimeout) {
                    raw::end_frozen(self.writer.connection().await?).await.map_err(anyhow::Error::from)?;
                }
                Err(failure.into())
            }
        }
    }
}
