//! Brings a shadow level with the live rollups: the same events in both, at a moment that the folds' lock keeps.
//!
//! What live folds took in meanwhile is folded into the shadow until little is left, and the rest under the lock. Events
//! that only the rollups have are waited for until raw gets them, and given up when it will not. It does not look at
//! what is in a bucket.

use super::shadow::{Shadow, Stage};
use crate::{
    persister,
    progress::Progress,
    store::{Failure, inbox, shadow as store},
    verify::WAY_OUT,
};
use anyhow::ensure;
use async_nats::jetstream;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The lock is asked for when no more than this is to be folded under it: some tenths of a second.
const FEW: i64 = 1_000;

/// How long ids that raw has yet to get are waited for under the lock.
const UNDER_LOCK: Duration = Duration::from_millis(500);

impl Shadow {
    /// Keeps up until little is left, then takes the folds' lock with nothing left at all; [`Shadow::release`] ends it.
    /// Returns since when it has had the lock.
    pub(super) async fn hold(&mut self, watch: &mut impl FnMut(Stage)) -> anyhow::Result<Instant> {
        loop {
            self.catch_up(watch).await?;
            sqlx::raw_sql("BEGIN").execute(self.desk().await?).await?;
            match inbox::lock(self.desk().await?).await {
                Err(Failure::LockTimeout) => {}
                locked => {
                    locked?;
                    let since = Instant::now();
                    if self.is_level(since).await? {
                        return Ok(since);
                    }
                }
            }
            self.release().await?;
            self.rest(Duration::from_millis(500)).await?;
        }
    }

    /// Folds rounds of what came meanwhile until a round is small, and waits for what raw lacks.
    async fn catch_up(&mut self, watch: &mut impl FnMut(Stage)) -> anyhow::Result<()> {
        loop {
            let left = store::lacking(self.reader.connection().await?, self.schema).await?;
            watch(Stage::CatchingUp { left: left.unsigned_abs() });
            let folded = self.round().await?;
            if left > 0 {
                // Whatever else arrives: what never comes would be waited for as long as there is live traffic.
                self.give_up_overdue().await?;
            }
            if folded == 0 && left > 0 {
                watch(Stage::AwaitingRaw { left: left.unsigned_abs() });
                self.rest(Duration::from_millis(250)).await?;
            } else if left <= FEW {
                return Ok(());
            }
            self.give_way(watch).await?;
        }
    }

    /// Under the lock, had since then: folds the last few, and waits a moment for those that raw is about to get.
    async fn is_level(&mut self, since: Instant) -> anyhow::Result<bool> {
        while store::lacking(self.reader.connection().await?, self.schema).await? > 0 {
            if since.elapsed() > UNDER_LOCK {
                return Ok(false);
            }
            if self.round().await? == 0 {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        Ok(true)
    }

    /// What raw still lacks a whole patience after the rollups counted it, and has not got although the persister is
    /// through with everything that old, will not come: what Postgres refused is left out, anything else ends the rebuild.
    async fn give_up_overdue(&mut self) -> anyhow::Result<()> {
        // Asked for before the persister is: what it is through with then is in raw, or refused.
        let overdue = store::overdue(self.reader.connection().await?, self.schema, self.patience).await?;
        if overdue.is_empty() || !self.persister_keeps_up().await {
            return Ok(());
        }
        let (refused, left) = store::excuse_refused(self.reader.connection().await?, self.schema, &overdue).await?;
        self.refused.extend(refused);
        ensure!(
            left.is_empty(),
            "the rollups have counted events that raw does not have and that do not come, e.g. {}; `verify` names them \
             all; {WAY_OUT}",
            left.iter().map(Uuid::to_string).collect::<Vec<_>>().join(", ")
        );
        Ok(())
    }

    /// Whether the persister is through with every message that was received longer than the patience ago.
    async fn persister_keeps_up(&self) -> bool {
        let look = async {
            let context = jetstream::new(self.nats.connect().await?);
            Progress::of(&context, persister::NAME).await
        };
        let is_young = |seconds: u64| Duration::from_secs(seconds + 1) <= self.patience;
        look.await.is_ok_and(|progress| progress.oldest_seconds.is_none_or(is_young))
    }
}
