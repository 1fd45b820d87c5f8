//! What a recount found, in the words in which it is told.

use crate::{rollups::Rollup, store::comparison::Differing};
use serde::Serialize;
use serde_json::{Map, Value};
use uuid::Uuid;

/// What to do about events that the rollups have and raw does not get.
pub const WAY_OUT: &str = "`valera-analytics dead-letters list --status retried` shows letters whose retry was never \
    judged: retry them once more, or discard them by their ids; `valera-analytics replay --into persister` brings back \
    what is in the stream";

/// The result of a recount.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// Raw events in the snapshot.
    pub raw_events: i64,
    /// Raw events that the rollups have not folded yet; left out of the recount.
    pub pending: usize,
    /// Events that the rollups folded before raw had them, and that came while waiting.
    pub late: usize,
    /// Raw events that the rollups should have folded.
    pub missing: Vec<Uuid>,
    /// Folded ids that raw does not have because Postgres refused the row; each has a dead letter.
    pub refused: Vec<Uuid>,
    /// Folded ids that raw did not get in time.
    pub unstored: Vec<Uuid>,
    /// Ids that raw and rollups know with different content.
    pub disagreeing: Vec<Uuid>,
    pub rollups: Vec<RollupVerdict>,
}

/// One rollup against its recount.
#[derive(Debug, Clone, Serialize)]
pub struct RollupVerdict {
    pub name: &'static str,
    pub buckets: i64,
    /// Buckets that its recount does not agree with.
    pub differing: i64,
    /// The first 100 of them at most.
    pub differences: Vec<BucketDifference>,
}

/// A bucket, and the columns in which it differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BucketDifference {
    pub key: Map<String, Value>,
    /// What the rollup says; null where it has no such bucket.
    pub kept: Value,
    /// What the recount says; null where it has no such bucket.
    pub recounted: Value,
}

impl Verdict {
    /// Whether everything agrees; pending and late events are as they should be.
    #[must_use]
    pub fn agrees(&self) -> bool {
        self.missing.is_empty()
            && self.refused.is_empty()
            && self.unstored.is_empty()
            && self.disagreeing.is_empty()
            && self.rollups.iter().all(|rollup| rollup.differing == 0)
    }

    /// Whether [`super::repair()`] would change anything: it does nothing while raw may still get an event.
    #[must_use]
    pub fn is_repairable(&self) -> bool {
        let is_wrong = !self.refused.is_empty()
            || !self.disagreeing.is_empty()
            || self.rollups.iter().any(|rollup| rollup.differing > 0);
        is_wrong && self.unstored.is_empty()
    }
}

impl RollupVerdict {
    pub(super) fn of(rollup: &Rollup, buckets: i64, found: &[Differing]) -> Self {
        Self {
            name: rollup.name,
            buckets,
            differing: found.first().map_or(0, |first| first.of),
            differences: found.iter().map(|row| BucketDifference::of(rollup, row)).collect(),
        }
    }
}

impl BucketDifference {
    /// Keeps the columns that differ.
    pub(crate) fn of(rollup: &Rollup, row: &Differing) -> Self {
        let column = |row: &Option<Value>, name: &str| row.as_ref().map(|row| row[name].clone());
        let key = rollup.key().filter_map(|name| {
            let value = column(&row.kept, name).or_else(|| column(&row.recounted, name))?;
            Some((name.to_owned(), value))
        });
        let differing: Vec<_> =
            rollup.columns().filter(|name| column(&row.kept, name) != column(&row.recounted, name)).collect();
        let side = |row: &Option<Value>| match row {
            None => Value::Null,
            Some(row) => differing.iter().map(|name| ((*name).to_owned(), row[*name].clone())).collect(),
        };
        Self { key: key.collect(), kept: side(&row.kept), recounted: side(&row.recounted) }
    }
}
