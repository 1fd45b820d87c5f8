//! All rollups from zero, beside live traffic, and an exchange that nobody who reads them notices.
//!
//! The raw events are folded, in batches, into shadows of the tables; a trigger notes what the live folds take in
//! meanwhile, and that is folded too. The tables are exchanged under the folds' lock, once every id of the live inbox is in
//! the new one; ids that raw has yet to get are waited for. What was replaced is kept for a way back. A rebuild that is
//! killed leaves a schema behind that the next one removes; it does not go on with it.

mod catch_up;
mod shadow;

pub use shadow::Stage;

use crate::{
    rollups::{ALL, named_by_folds},
    service::Environment,
    store::{
        Calendar, Settings, comparison,
        exchange::require_exchangeable,
        shadow::{self as store, NEXT, PREVIOUS},
    },
    verify::BucketDifference,
};
use anyhow::{Context, ensure};
use serde::Serialize;
use shadow::Shadow;
use std::{collections::BTreeSet, time::Duration};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// At most so many differing buckets are named, per rollup.
const NAMED: i64 = 100;

/// A rebuild that waits to be swapped in, or to be thrown away.
pub struct Rebuild {
    shadow: Shadow,
    time_zone: String,
    comparison: Comparison,
}

/// The rollups as they are and as they were rebuilt, at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// Events that raw has and the rollups as they are have yet to take in: they make buckets differ without a fault.
    pub pending: i64,
    pub differences: Vec<RollupDifference>,
}

/// One rollup.
#[derive(Debug, Clone, Serialize)]
pub struct RollupDifference {
    pub name: &'static str,
    /// Buckets now and in the rebuilt one.
    pub buckets: i64,
    pub rebuilt: i64,
    pub differing: i64,
    /// At most the first 100; `recounted` is the rebuilt side.
    pub differences: Vec<BucketDifference>,
}

/// What an exchange did.
#[derive(Debug, Clone, Serialize)]
pub struct Swapped {
    /// How long folds had to wait for it, in milliseconds.
    pub held_ms: u64,
    /// In which zone days are cut now.
    pub time_zone: String,
    /// Events that the replaced rollups counted although Postgres had refused to store them; the dead letters hold them.
    pub refused: Vec<Uuid>,
}

impl Rebuild {
    /// Builds the shadows, in the zone of the environment when it names one, and compares them. `patience` is how long
    /// events that only the rollups have are waited for, at least a second; and as long as the persister has messages to
    /// do that are older than that.
    ///
    /// # Errors
    /// When another rebuild is at work, something will be in the way of a swap, such events never come, a server does not
    /// answer, or it was told to stop. What was built is removed then, where Postgres still answers.
    pub async fn build(
        environment: &Environment,
        patience: Duration,
        mut watch: impl FnMut(Stage),
        shutdown: &CancellationToken,
    ) -> anyhow::Result<Self> {
        let mut shadow = Shadow::new(environment, NEXT, patience, shutdown.clone())?;
        store::lock(shadow.desk().await?).await?;
        let settings = Settings::load(shadow.desk().await?).await?;
        settings.require(None, &environment.keys.content)?;
        let time_zone = environment.time_zone.clone().unwrap_or(settings.time_zone);
        match Self::fill(&mut shadow, &time_zone, &mut watch).await {
            Ok(comparison) => Ok(Self { shadow, time_zone, comparison }),
            Err(cause) => {
                // The cause is what counts; the next rebuild removes what this one could not.
                drop(shadow.remove().await);
                Err(cause)
            }
        }
    }

    async fn fill(shadow: &mut Shadow, time_zone: &str, watch: &mut impl FnMut(Stage)) -> anyhow::Result<Comparison> {
        let tables = store::tables(shadow.desk().await?, &named_by_folds()).await?;
        require_exchangeable(shadow.desk().await?, &tables).await?;
        store::create(shadow.desk().await?, &tables, time_zone).await?;
        store::note_arrivals(shadow.desk().await?, NEXT).await?;
        let calendar = Calendar::load_from(shadow.desk().await?, NEXT, time_zone).await?;
        shadow.folds_into(tables, calendar);
        shadow.fold_raw(watch).await?;
        store::note_lacking(shadow.desk().await?, NEXT).await?;
        shadow.hold(watch).await?;
        let snapshot = shadow.snapshot().await;
        shadow.release().await?;
        snapshot?;
        compare(shadow, watch).await
    }

    /// How it differs from the rollups as they were when it was done.
    #[must_use]
    pub fn comparison(&self) -> &Comparison {
        &self.comparison
    }

    /// In which zone its days are cut.
    #[must_use]
    pub fn time_zone(&self) -> &str {
        &self.time_zone
    }

    /// Catches up and puts it in the place of the rollups, which are kept.
    ///
    /// # Errors
    /// As [`Rebuild::build`].
    pub async fn swap(mut self, mut watch: impl FnMut(Stage)) -> anyhow::Result<Swapped> {
        let swapped = self.shadow.exchange(self.time_zone, &mut watch).await;
        if swapped.is_err() {
            // As in build.
            drop(self.shadow.remove().await);
        }
        swapped
    }

    /// Throws it away.
    ///
    /// # Errors
    /// When Postgres does not answer.
    pub async fn discard(mut self) -> anyhow::Result<()> {
        self.shadow.remove().await
    }
}

/// Catches the replaced tables up with what came since, and puts them back; the present ones are kept in turn.
///
/// # Errors
/// As [`Rebuild::build`], and when there are none or they are another version's.
pub async fn swap_back(
    environment: &Environment,
    patience: Duration,
    mut watch: impl FnMut(Stage),
    shutdown: &CancellationToken,
) -> anyhow::Result<Swapped> {
    let mut shadow = Shadow::new(environment, PREVIOUS, patience, shutdown.clone())?;
    store::lock(shadow.desk().await?).await?;
    let tables = store::tables(shadow.desk().await?, &named_by_folds()).await?;
    let time_zone = store::zone_of(shadow.desk().await?, PREVIOUS).await?;
    let time_zone =
        time_zone.context("there are no replaced rollups to swap back: no rebuild has been swapped in")?;
    let swapped = put_back(&mut shadow, tables, time_zone, &mut watch).await;
    if swapped.is_err() {
        // As in build.
        drop(shadow.stop_noting().await);
    }
    swapped
}

async fn put_back(
    shadow: &mut Shadow,
    tables: BTreeSet<String>,
    time_zone: String,
    watch: &mut impl FnMut(Stage),
) -> anyhow::Result<Swapped> {
    require_exchangeable(shadow.desk().await?, &tables).await?;
    store::note_arrivals(shadow.desk().await?, PREVIOUS).await?;
    let calendar = Calendar::load_from(shadow.desk().await?, PREVIOUS, &time_zone).await?;
    shadow.folds_into(tables, calendar);
    store::note_lacking(shadow.desk().await?, PREVIOUS).await?;
    shadow.exchange(time_zone, watch).await
}

async fn compare(shadow: &mut Shadow, watch: &mut impl FnMut(Stage)) -> anyhow::Result<Comparison> {
    let pending = store::not_taken_in(shadow.reader().await?).await?;
    let mut differences = Vec::new();
    for rollup in ALL {
        ensure!(!shadow.is_told_to_stop(), "interrupted");
        watch(Stage::Comparing(rollup.name));
        let snapshot = shadow.reader().await?;
        let (buckets, rebuilt) = store::buckets(snapshot, rollup).await?;
        let found = comparison::differing_from(snapshot, rollup, store::NEXT, NAMED).await?;
        differences.push(RollupDifference {
            name: rollup.name,
            buckets,
            rebuilt,
            differing: found.first().map_or(0, |first| first.of),
            differences: found.iter().map(|row| BucketDifference::of(rollup, row)).collect(),
        });
    }
    shadow.end_snapshot().await?;
    Ok(Comparison { pending, differences })
}
