//! Raw and inbox side by side in one snapshot, made ready for recounts.
//!
//! What only raw has is left out of every recount; what only the inbox has is awaited on a second connection and added,
//! or is told apart: refused by Postgres, with a letter that says so, or nowhere to be found. It does not recount.

use crate::store::{
    Writer,
    comparison::{self, Apart},
};
use sqlx::PgConnection;
use std::{
    collections::HashSet,
    time::{Duration, Instant},
};
use uuid::Uuid;

/// See the module.
pub(super) struct Sides {
    /// In raw and not in the inbox.
    pub(super) raw_only: Vec<Apart>,
    /// In the inbox, and in raw only after the snapshot.
    pub(super) late: usize,
    /// In the inbox, and in raw not, because Postgres refused the row.
    pub(super) refused: Vec<Uuid>,
    /// In the inbox, and in raw not, for no reason that is known.
    pub(super) unstored: Vec<Uuid>,
    /// In both, with different content.
    pub(super) disagreeing: Vec<Uuid>,
}

impl Sides {
    /// `patience` is how long events that only the inbox has are waited for.
    pub(super) async fn of(
        snapshot: &mut PgConnection,
        outside: &mut Writer,
        patience: Duration,
    ) -> anyhow::Result<Self> {
        let (raw_only, inbox): (Vec<Apart>, Vec<Apart>) =
            comparison::apart(snapshot).await?.into_iter().partition(|apart| !apart.in_inbox);
        let (disagreeing, inbox_only): (Vec<Apart>, Vec<Apart>) = inbox.into_iter().partition(|apart| apart.in_raw);
        comparison::leave_out(snapshot, &ids(&raw_only)).await?;

        let Awaited { late, refused, unstored } = await_arrival(outside, ids(&inbox_only), patience).await?;
        comparison::add_late(outside.connection().await?, snapshot, &late).await?;
        let mut disagreeing = ids(&disagreeing);
        disagreeing.extend(comparison::late_disagreeing(snapshot).await?);
        disagreeing.sort();
        Ok(Self { raw_only, late: late.len(), refused, unstored, disagreeing })
    }
}

fn ids(apart: &[Apart]) -> Vec<Uuid> {
    apart.iter().map(|apart| apart.event_id).collect()
}

/// What became of ids that raw lacked in the snapshot.
struct Awaited {
    late: Vec<Uuid>,
    refused: Vec<Uuid>,
    unstored: Vec<Uuid>,
}

/// Waits until each id is in raw or has a letter, or the patience is over.
async fn await_arrival(outside: &mut Writer, ids: Vec<Uuid>, patience: Duration) -> anyhow::Result<Awaited> {
    let started = Instant::now();
    let mut awaited = Awaited { late: Vec::new(), refused: Vec::new(), unstored: ids };
    loop {
        let connection = outside.connection().await?;
        let late = comparison::arrived(connection, &awaited.unstored).await?;
        awaited.late.extend(&late);
        let late: HashSet<Uuid> = late.into_iter().collect();
        awaited.unstored.retain(|id| !late.contains(id));
        // In this order: an event that was retried is in raw and may have its letter still.
        let refused = comparison::refused(connection, &awaited.unstored).await?;
        awaited.refused.extend(&refused);
        let refused: HashSet<Uuid> = refused.into_iter().collect();
        awaited.unstored.retain(|id| !refused.contains(id));
        if awaited.unstored.is_empty() || started.elapsed() >= patience {
            return Ok(awaited);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
