//! Fills a shadow of the rollups, and exchanges it for the live ones once they are level.
//!
//! Three connections: the desk holds the locks and changes the schema, the reader reads raw, the folder folds. Nothing is
//! retried when one of them breaks: what is folded into a shadow is worth nothing without the rest. It judges no event:
//! raw holds what was accepted.

use super::{NEXT, Swapped};
use crate::{
    consume::Link,
    replay::Courtesy,
    rollups::{self, Folds, Grouped},
    service::Environment,
    store::{
        Calendar, Failure, Partitions, Writer, comparison,
        exchange::exchange,
        raw::{self, Page, RawRow},
        shadow as store,
    },
};
use anyhow::{Context, bail};
use sqlx::PgConnection;
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Events in one fold; bounded in bytes too, since two batches of the largest events would be 1.6 GB.
const BATCH: Page = Page { rows: 12_000, bytes: 8 << 20 };

/// The least patience: ages of messages are told in whole seconds.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);

/// What a rebuild is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Folds raw events: so many of about so many.
    Folding { done: u64, of: u64 },
    /// Waits for live folds that are so many messages behind.
    GivingWay { behind: u64 },
    /// Folds what came meanwhile: so many events are left.
    CatchingUp { left: u64 },
    /// Waits for the persister to store so many events that the rollups have counted already.
    AwaitingRaw { left: u64 },
    /// Waits for somebody who reads the rollups, or recounts them, for longer than they may be locked.
    AwaitingReaders,
    /// Compares this rollup.
    Comparing(&'static str),
}

/// See the module.
pub(super) struct Shadow {
    pub(super) schema: &'static str,
    pub(super) nats: Link,
    desk: Writer,
    pub(super) reader: Writer,
    folder: Writer,
    partitions: Partitions,
    courtesy: Courtesy,
    pub(super) patience: Duration,
    pub(super) refused: Vec<Uuid>,
    target: Option<Target>,
    shutdown: CancellationToken,
}

/// Where folds go.
struct Target {
    tables: BTreeSet<String>,
    folds: Folds,
    calendar: Arc<Calendar>,
}

impl Shadow {
    pub(super) fn new(
        environment: &Environment,
        schema: &'static str,
        patience: Duration,
        shutdown: CancellationToken,
    ) -> anyhow::Result<Self> {
        let writer = |name, session| Writer::new(&environment.database_url, name, session);
        let nats = Link::new(&environment.nats_url, "valera-rebuild");
        let inbox = if schema == NEXT { "rollups_next.inbox" } else { "rollups_previous.inbox" };
        Ok(Self {
            schema,
            courtesy: Courtesy::towards(nats.clone(), rollups::NAME),
            nats,
            desk: writer("valera rebuild", store::SESSION)?,
            reader: writer("valera rebuild, reading", store::SESSION)?,
            folder: writer("valera rebuild, folding", rollups::SESSION)?,
            partitions: Partitions::of(inbox),
            patience: patience.max(LEAST_PATIENCE),
            refused: Vec::new(),
            target: None,
            shutdown,
        })
    }

    pub(super) fn folds_into(&mut self, tables: BTreeSet<String>, calendar: Calendar) {
        let folds = Folds::shadow(&tables, self.schema);
        self.target = Some(Target { tables, folds, calendar: Arc::new(calendar) });
    }

    pub(super) async fn desk(&mut self) -> anyhow::Result<&mut PgConnection> {
        self.desk.connection().await
    }

    pub(super) async fn reader(&mut self) -> anyhow::Result<&mut PgConnection> {
        self.reader.connection().await
    }

    pub(super) fn is_told_to_stop(&self) -> bool {
        self.shutdown.is_cancelled()
    }

    /// Folds every raw event in the order of ids; reads a batch while the one before is folded.
    pub(super) async fn fold_raw(&mut self, watch: &mut impl FnMut(Stage)) -> anyhow::Result<()> {
        let of = comparison::raw_events(self.reader.connection().await?).await?.unsigned_abs();
        let mut done = 0;
        let mut ready = raw::after(self.reader.connection().await?, Uuid::nil(), BATCH).await?;
        while let Some(last) = ready.last().map(|row| row.event_id) {
            let read = ready.len() as u64;
            let next = async { raw::after(self.reader.connection().await?, last, BATCH).await };
            let target = self.target.as_ref().context("a shadow that folds nowhere")?;
            let fold = fold(&mut self.folder, &mut self.partitions, target, ready);
            let (next, folded) = futures::join!(next, fold);
            folded?;
            ready = next?;
            done += read;
            watch(Stage::Folding { done, of: of.max(done) });
            self.give_way(watch).await?;
        }
        Ok(())
    }

    pub(super) async fn give_way(&mut self, watch: &mut impl FnMut(Stage)) -> anyhow::Result<()> {
        while let Some(behind) = self.courtesy.owed().await {
            watch(Stage::GivingWay { behind });
            self.rest(Duration::from_millis(250)).await?;
        }
        self.rest(Duration::ZERO).await
    }

    /// Sleeps, unless told to stop.
    pub(super) async fn rest(&self, pause: Duration) -> anyhow::Result<()> {
        tokio::select! {
            () = self.shutdown.cancelled() => bail!("interrupted"),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    /// Ends what [`Shadow::hold`] began.
    pub(super) async fn release(&mut self) -> anyhow::Result<()> {
        sqlx::raw_sql("ROLLBACK").execute(self.desk().await?).await.context("releasing the folds' lock")?;
        Ok(())
    }

    /// Folds one batch of what is lacking and raw has; returns how many.
    pub(super) async fn round(&mut self) -> anyhow::Result<usize> {
        let rows = raw::arrived(self.reader.connection().await?, self.schema, BATCH).await?;
        let count = rows.len();
        let target = self.target.as_ref().context("a shadow that folds nowhere")?;
        fold(&mut self.folder, &mut self.partitions, target, rows).await?;
        Ok(count)
    }

    /// Opens one view of everything, as it is now, on the reader's connection.
    pub(super) async fn snapshot(&mut self) -> anyhow::Result<()> {
        let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM settings";
        sqlx::raw_sql(begin).execute(self.reader().await?).await.context("opening a snapshot")?;
        Ok(())
    }

    pub(super) async fn end_snapshot(&mut self) -> anyhow::Result<()> {
        sqlx::raw_sql("ROLLBACK").execute(self.reader().await?).await.context("closing a snapshot")?;
        Ok(())
    }

    /// Exchanges it, whose days are cut in `time_zone`, for the live tables, as soon as nobody is in the way.
    pub(super) async fn exchange(
        &mut self,
        time_zone: String,
        watch: &mut impl FnMut(Stage),
    ) -> anyhow::Result<Swapped> {
        let tables = self.target.as_ref().context("a shadow that folds nowhere")?.tables.clone();
        let schema = self.schema;
        store::analyze(self.desk().await?, schema, &tables).await?;
        loop {
            let since = self.hold(watch).await?;
            let exchanged = match store::forbid_recounts(self.desk().await?).await? {
                true => exchange(self.desk().await?, &tables, schema).await,
                false => Err(Failure::LockTimeout),
            };
            match exchanged {
                Ok(()) => {
                    sqlx::raw_sql("COMMIT").execute(self.desk().await?).await.context("committing the exchange")?;
                    // From here on nothing may fail: it is done.
                    return Ok(Swapped {
                        held_ms: since.elapsed().as_millis() as u64,
                        time_zone,
                        refused: std::mem::take(&mut self.refused),
                    });
                }
                Err(Failure::LockTimeout) => {
                    self.release().await?;
                    watch(Stage::AwaitingReaders);
                    self.rest(Duration::from_millis(500)).await?;
                }
                Err(cause) => {
                    self.release().await?;
                    return Err(cause.into());
                }
            }
        }
    }

    /// Removes what was built.
    pub(super) async fn remove(&mut self) -> anyhow::Result<()> {
        self.clear_the_desk().await?;
        store::drop_next(self.desk().await?).await
    }

    /// Leaves what was built as it is by now.
    pub(super) async fn stop_noting(&mut self) -> anyhow::Result<()> {
        self.clear_the_desk().await?;
        let schema = self.schema;
        store::stop_noting(self.desk().await?, schema).await
    }

    /// Whatever stands open would be in the way. The desk keeps the lock to the end: the next rebuild has a schema of the
    /// same name. One that broke takes the lock again first, and fails when another has it.
    async fn clear_the_desk(&mut self) -> anyhow::Result<()> {
        self.reader.forget();
        self.folder.forget();
        if self.release().await.is_err() {
            self.desk.forget();
        }
        store::lock(self.desk().await?).await
    }
}

/// Folds stored events into a shadow, but for those below the horizon. They are new to it, and nobody else folds there, so
/// no lock is needed.
async fn fold(
    folder: &mut Writer,
    partitions: &mut Partitions,
    target: &Target,
    mut rows: Vec<RawRow>,
) -> anyhow::Result<()> {
    partitions.refresh(folder.connection().await?).await?;
    rows.retain(|row| !partitions.expired(row.event_id));
    if rows.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = rows.iter().map(|row| row.event_id).collect();
    let calendar = target.calendar.clone();
    let grouped = tokio::task::spawn_blocking(move || Grouped::of_stored(&rows, &calendar)).await;
    let grouped = grouped.context("reading raw events")??;
    partitions.ensure(folder.connection().await?, ids.into_iter()).await?;
    let mut transaction = folder.begin().await?;
    rollups::fold_grouped(&mut transaction, &target.folds, &grouped).await?;
    transaction.commit().await.context("committing a fold")
}
