//! Makes the rollups what a recount of raw says: raw is the truth, because it has the events.
//!
//! Under the folds' lock, in one transaction: ids that raw holds with other content take raw's, ids that Postgres refused
//! are forgotten, and every bucket that differs is written over by its recount. Folds wait meanwhile; the persister and
//! readers do not. It folds nothing that the rollups have missed, and touches nothing while raw lacks an event that it may
//! still get.

use super::{WAY_OUT, sides::Sides};
use crate::{
    rollups::ALL,
    store::{Writer, comparison, inbox, mending},
};
use anyhow::{Context, ensure};
use serde::Serialize;
use std::time::Duration;

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// Ids that now have raw's content.
    pub disagreeing: usize,
    /// Ids that Postgres had refused and that no rollup counts any more.
    pub refused: usize,
    /// Rows of rollups that were written over.
    pub buckets: u64,
}

/// Repairs all that differs. `patience` is how long events that only the rollups have are waited for, with the folds'
/// lock held; `on_rollup` hears of each rollup before its recount.
///
/// # Errors
/// When Postgres does not answer, a fold keeps the lock for half a minute, or raw lacks an event that it may still get.
/// Nothing is changed then.
pub async fn repair(
    database_url: &str,
    patience: Duration,
    on_rollup: impl FnMut(&'static str),
) -> anyhow::Result<Repaired> {
    let mut writer = Writer::new(database_url, inbox::REPAIRING, comparison::SESSION)?;
    // Before the snapshot, so that it shows what the last fold left. Should anything fail, the session ends with it.
    sqlx::raw_sql(mending::SESSION).execute(writer.connection().await?).await?;
    inbox::lock_for_session(writer.connection().await?).await.context("waiting for the folds' lock")?;
    let mut outside = Writer::new(database_url, "valera repair, outside the snapshot", "")?;
    let repaired = under_lock(&mut writer, &mut outside, patience, on_rollup).await?;
    inbox::unlock(writer.connection().await?).await?;
    Ok(repaired)
}

async fn under_lock(
    writer: &mut Writer,
    outside: &mut Writer,
    patience: Duration,
    mut on_rollup: impl FnMut(&'static str),
) -> anyhow::Result<Repaired> {
    let mut snapshot = comparison::snapshot(writer.connection().await?).await?;
    let Sides { disagreeing, refused, unstored, .. } = Sides::of(&mut snapshot, outside, patience).await?;
    ensure!(
        unstored.is_empty(),
        "raw lacks {} events that the rollups have: let the persister catch up. If they do not come: {WAY_OUT}",
        unstored.len()
    );
    let mut buckets = 0;
    for rollup in ALL.iter().filter(|rollup| rollup.is_table()) {
        on_rollup(rollup.name);
        buckets += mending::write_over(&mut snapshot, rollup).await?;
    }
    mending::adopt_contents(&mut snapshot, &disagreeing).await?;
    mending::forget(&mut snapshot, &refused).await?;
    snapshot.commit().await.context("committing the repair")?;
    Ok(Repaired { disagreeing: disagreeing.len(), refused: refused.len(), buckets })
}
