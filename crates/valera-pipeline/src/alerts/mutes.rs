//! Rules that an operator has silenced for a while.
//!
//! They stand in the bucket `VALERA` under one key, so that one read says all of them and they work while Postgres is
//! away. A mute ends by itself; what it withheld stays on the stream. Changes are guarded by the key's revision: of two
//! operators who mute at once both are heard. It does not stop detection.

use anyhow::{Context, bail};
use async_nats::jetstream::{self, kv};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The bucket of what must work without Postgres.
pub(crate) const BUCKET: &str = "VALERA";
const KEY: &str = "alerts.mutes";
/// More than two operators ever are at it at once.
const ATTEMPTS: usize = 10;

/// Until when each rule is silent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutes(pub BTreeMap<String, DateTime<Utc>>);

impl Mutes {
    /// Whether a rule is silent about what happens at `at`.
    pub(crate) fn hold(&self, rule: &str, at: DateTime<Utc>) -> bool {
        self.0.get(rule).is_some_and(|until| at < *until)
    }

    /// Reads them.
    ///
    /// # Errors
    /// When NATS does not answer, or what stands there is not ours.
    pub async fn load(bucket: &kv::Store) -> anyhow::Result<Self> {
        Ok(Self::entry(bucket).await?.0)
    }

    async fn entry(bucket: &kv::Store) -> anyhow::Result<(Self, u64)> {
        let entry = bucket.entry(KEY).await.context("reading the mutes")?;
        let Some(entry) = entry else { return Ok((Self::default(), 0)) };
        if entry.operation != kv::Operation::Put {
            return Ok((Self::default(), entry.revision));
        }
        let mutes = serde_json::from_slice(&entry.value).context("reading the mutes")?;
        Ok((mutes, entry.revision))
    }

    /// Changes them, whoever else does so at the same time, and forgets those that have ended.
    ///
    /// # Errors
    /// As [`Mutes::load`], and when others change them without end.
    pub async fn change(bucket: &kv::Store, change: impl Fn(&mut Self)) -> anyhow::Result<Self> {
        for _ in 0..ATTEMPTS {
            let (mut mutes, revision) = Self::entry(bucket).await?;
            change(&mut mutes);
            mutes.0.retain(|_, until| *until > Utc::now());
            let value = serde_json::to_vec(&mutes).context("writing the mutes")?;
            match bucket.update(KEY, value.into(), revision).await {
                Ok(_) => return Ok(mutes),
                Err(cause) if cause.kind() == kv::UpdateErrorKind::WrongLastRevision => {}
                Err(cause) => return Err(cause).context("writing the mutes"),
            }
        }
        bail!("the mutes were changed by others {ATTEMPTS} times in a row")
    }
}

/// The bucket of leases and mutes.
///
/// # Errors
/// When NATS does not answer or `topology apply` has not run.
pub async fn bucket(context: &jetstream::Context) -> anyhow::Result<kv::Store> {
    context.get_key_value(BUCKET).await.with_context(|| {
        format!("opening the bucket {BUCKET}; has `valera-analytics topology apply` been run on this server?")
    })
}
