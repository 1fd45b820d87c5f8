//! Proof: recounts every rollup from raw events and names what differs.
//!
//! Runs beside live traffic without stopping or locking it. Raw rows that the rollups have not folded yet are left out
//! and called *pending*, or *missing* when the rollups' consumer has acknowledged beyond them; ids folded before raw got
//! them are awaited. Only [`repair()`] mends, and only where it is asked to.

mod position;
mod repair;
mod sides;
mod verdict;

pub use position::{Missing, OtherStream, Position, positions};
pub use repair::{Repaired, repair};
pub use verdict::{BucketDifference, RollupVerdict, Verdict, WAY_OUT};

use crate::{
    consume::Link,
    rollups::{self, ALL},
    service::STREAM,
    store::{Writer, comparison},
    topology,
};
use anyhow::Context;
use async_nats::jetstream;
use sides::Sides;
use std::time::Duration;
use uuid::Uuid;

/// At most so many differing buckets are named, per rollup.
const NAMED: i64 = 100;

/// Recounts everything. `patience` is how long events that only the rollups have are waited for; `on_rollup` hears of
/// each rollup before its recount.
///
/// # Errors
/// When NATS or Postgres does not answer; a difference is not an error but part of the verdict.
pub async fn verify(
    nats: &Link,
    database_url: &str,
    patience: Duration,
    mut on_rollup: impl FnMut(&'static str),
) -> anyhow::Result<Verdict> {
    let context = jetstream::new(nats.connect().await?);
    // Before the snapshot: what is acknowledged by now is committed, so the snapshot shows it.
    let acknowledged = topology::bind(&context, STREAM, rollups::NAME).await?.cached_info().ack_floor.stream_sequence;
    let mut writer = Writer::new(database_url, "valera verify", comparison::SESSION)?;
    let mut outside = Writer::new(database_url, "valera verify, outside the snapshot", "")?;
    let mut snapshot = comparison::snapshot(writer.connection().await?).await?;
    let raw_events = comparison::raw_events(&mut snapshot).await?;
    // After it: no row of the snapshot can be younger.
    let stream = context.get_stream(STREAM).await.with_context(|| format!("asking for the stream {STREAM}"))?;
    let last_sequence = stream.cached_info().state.last_sequence;
    let Sides { raw_only, late, refused, unstored, disagreeing } =
        Sides::of(&mut snapshot, &mut outside, patience).await?;

    let is_missing = |apart: &&comparison::Apart| {
        let sequence = apart.stream_seq.and_then(|sequence| u64::try_from(sequence).ok());
        sequence.is_none_or(|sequence| sequence <= acknowledged || sequence > last_sequence)
    };
    let missing: Vec<Uuid> = raw_only.iter().filter(is_missing).map(|apart| apart.event_id).collect();

    let mut verdicts = Vec::new();
    for rollup in ALL {
        on_rollup(rollup.name);
        let differing = comparison::differing(&mut snapshot, rollup, NAMED).await?;
        let buckets = comparison::buckets(&mut snapshot, rollup).await?;
        verdicts.push(RollupVerdict::of(rollup, buckets, &differing));
    }
    snapshot.rollback().await.context("closing the snapshot")?;
    Ok(Verdict {
        raw_events,
        pending: raw_only.len() - missing.len(),
        late,
        missing,
        refused,
        unstored,
        disagreeing,
        rollups: verdicts,
    })
}
