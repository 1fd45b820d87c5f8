//! Folds every event exactly once into the tables that dashboards read.
//!
//! The inbox says which ids of a batch are new; these are grouped in memory and folded by the statements of each rollup,
//! all in one transaction and one fold at a time. Late, replayed and rebuilt events take the same way, so any order, any
//! duplication and any batching of the same events end in the same rows. It does not read the raw table.

mod batch;
mod fact;
mod folds;
mod list;

pub use batch::Batch;
pub(crate) use batch::Grouped;
pub(crate) use folds::{Folds, moved, named_by_folds};
pub use list::{ALL, Rollup, SESSION};

use crate::{
    handler::{Delivery, Handler, Ours, Outcome},
    probe::{Point, Probe},
    replay::restored::{FileLine, Refusals, Restore},
    store::{self, Calendar, Failure, Partitions, copy, inbox, positions},
};
use sqlx::PgConnection;
use std::{collections::HashMap, sync::Arc};
use uuid::Uuid;
use valera_events::Keys;

/// The name of its durable consumer.
pub const NAME: &str = "rollups";

/// How many batches are asked for known ids beforehand after one that met some: redeliveries come in runs.
const PROBED_RUN: u32 = 5;

/// The handler behind the consumer `rollups`.
pub struct Rollups {
    writer: store::Writer,
    partitions: Partitions,
    calendar: Arc<Calendar>,
    keys: Arc<Keys>,
    probe: Arc<dyn Probe>,
    folds: Folds,
    probed: u32,
}

impl Rollups {
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
        let writer = store::Writer::new(database_url, "valera rollups", list::SESSION)?;
        Ok(Self {
            writer,
            partitions: Partitions::of(inbox::TABLE),
            calendar,
            keys,
            probe,
            folds: Folds::live(),
            probed: 0,
        })
    }

    async fn fold(&mut self, batch: &Batch) -> Result<Vec<Outcome>, Failure> {
        self.writer.renew();
        let connection = self.writer.connection().await?;
        self.partitions.refresh(connection).await?;
        let expired: HashMap<usize, Outcome> = (batch.events.first.iter().enumerate())
            .filter(|(_, event)| self.partitions.expired(event.event_id))
            .map(|(position, _)| (position, Outcome::Expired))
            .collect();
        let live = batch.ids().enumerate().filter(|(position, _)| !expired.contains_key(position));
        self.partitions.ensure(connection, live.map(|(_, id)| id)).await?;
        let known = self.fold_new(batch, &expired).await?;
        let mut outcomes = batch.outcomes.clone();
        batch.events.judge(&known, &expired, &mut outcomes);
        Ok(outcomes)
    }

    /// Folds what is new and returns what was folded before, with its content.
    async fn fold_new(
        &mut self,
        batch: &Batch,
        expired: &HashMap<usize, Outcome>,
    ) -> Result<HashMap<Uuid, Vec<u8>>, Failure> {
        if self.probed == 0 && expired.is_empty() {
            match self.attempt(batch, None).await {
                Err(Failure::Duplicate) => self.probed = PROBED_RUN,
                folded => return folded,
            }
        }
        self.probed = self.probed.saturating_sub(1);
        self.attempt(batch, Some(expired)).await
    }

    /// One fold. With `expired`, asks which ids are known and leaves those and the expired out; without, all of the
    /// batch has to be new.
    async fn attempt(
        &mut self,
        batch: &Batch,
        expired: Option<&HashMap<usize, Outcome>>,
    ) -> Result<HashMap<Uuid, Vec<u8>>, Failure> {
        let mut transaction = self.writer.begin().await?;
        inbox::lock(&mut transaction).await?;
        self.calendar.require_still(&mut transaction).await?;
        let known = match expired {
            None => {
                fold_grouped(&mut transaction, &self.folds, batch.all_new()).await?;
                HashMap::new()
            }
            Some(expired) => {
                let ids: Vec<Uuid> = batch.ids().collect();
                let known = inbox::known(&mut transaction, &ids).await?;
                let left_out = known.keys().copied().chain(expired.keys().map(|&position| ids[position])).collect();
                fold_grouped(&mut transaction, &self.folds, &batch.group_without(&left_out)).await?;
                known
            }
        };
        if let Some(covered) = &batch.covered {
            positions::record(&mut transaction, NAME, covered).await?;
        }
        self.probe.reached(Point::BeforeCommit);
        transaction.commit().await?;
        Ok(known)
    }
}

/// Takes the ids in and folds them, inside the transaction of the caller, who sees to it that nobody else folds there.
pub(crate) async fn fold_grouped(
    connection: &mut PgConnection,
    folds: &Folds,
    grouped: &Grouped,
) -> Result<(), Failure> {
    if grouped.is_empty() {
        return Ok(());
    }
    inbox::insert(connection, &folds.copy_inbox, &grouped.inbox).await?;
    copy::send(connection, list::COPY_BATCH, &grouped.dimensions).await?;
    copy::send(connection, list::COPY_BATCH_CHATS, &grouped.chats).await?;
    for statement in &folds.statements {
        sqlx::query(statement.clone()).execute(&mut *connection).await?;
    }
    Ok(())
}

impl Restore for Rollups {
    fn restorer(&self) -> impl Fn(Vec<FileLine>) -> Batch + Send + Sync + 'static {
        let (keys, calendar, refusals) = (self.keys.clone(), self.calendar.clone(), Refusals::default());
        move |lines| Batch::restore(&lines, &keys, &calendar, &refusals)
    }
}

impl Handler for Rollups {
    type Batch = Batch;

    fn decoder(&self) -> impl Fn(Vec<Delivery>) -> Batch + Send + Sync + 'static {
        let (keys, calendar) = (self.keys.clone(), self.calendar.clone());
        move |deliveries| Batch::decode(&deliveries, &keys, &calendar)
    }

    async fn handle(&mut self, batch: &Batch) -> Result<Vec<Outcome>, Ours> {
        match self.fold(batch).await {
            Ok(outcomes) => Ok(outcomes),
            Err(failure) => {
                self.writer.forget();
                self.partitions.forget();
                if matches!(failure, Failure::LockTimeout) {
                    inbox::end_holder(self.writer.connection().await?).await?;
                }
                Err(failure.into())
            }
        }
    }
}
