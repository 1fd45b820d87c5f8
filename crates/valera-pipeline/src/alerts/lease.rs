//! One active at a time: a claim in the bucket `VALERA` that its holder renews.
//!
//! Windows count, so two instances that share the stream's messages would each see half a burst. Whoever finds the claim
//! older than it may be takes it over, guarded by the key's revision. How old a claim is, is said by the server's clock on
//! both sides; how long one's own still holds, by a clock that only goes forward, also while the process was stopped. A
//! holder that cannot renew in time counts itself out before another may come in. Neither makes two at once impossible,
//! which is why steps of incidents have names that the broker takes once. It does not start or stop detection.

use super::mutes::bucket;
use anyhow::{Context as _, anyhow};
use async_nats::jetstream::{self, kv};
use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// What stands in the bucket.
#[derive(Debug, Serialize, Deserialize)]
struct Claim {
    holder: String,
    /// For how long after it was written nobody else may come in, in milliseconds.
    ttl_ms: u64,
}

/// A claim of ours.
pub(crate) struct Lease {
    bucket: kv::Store,
    key: String,
    holder: String,
    ttl: Duration,
    revision: u64,
    /// Until when it holds.
    until: watch::Sender<Instant>,
}

/// Whether a lease still holds, for those who work under it.
#[derive(Debug, Clone)]
pub(crate) struct Held(watch::Receiver<Instant>);

impl Held {
    /// # Errors
    /// When another may have taken over.
    pub(crate) fn require(&self) -> anyhow::Result<()> {
        if Instant::now() < *self.0.borrow() { Ok(()) } else { Err(anyhow!("the lease was not renewed in time")) }
    }
}

impl Lease {
    /// Tries to come in; `None` while another holds it. `name` is what only one may do at a time, `holder` is unique to
    /// this instance.
    ///
    /// # Errors
    /// When NATS does not answer.
    pub(crate) async fn try_acquire(
        context: &jetstream::Context,
        name: &str,
        holder: &str,
        ttl: Duration,
    ) -> anyhow::Result<Option<Self>> {
        let bucket = bucket(context).await?;
        let key = format!("lease.{name}");
        let entry = bucket.entry(&key).await.context("reading the lease")?;
        let revision = match entry {
            None => 0,
            Some(entry) if is_free(context, &entry, holder, ttl).await? => entry.revision,
            Some(_) => return Ok(None),
        };
        let began = Instant::now();
        let Some(revision) = claim(&bucket, &key, holder, ttl, revision).await? else { return Ok(None) };
        info!(lease = key, holder, "holds the lease");
        let until = watch::Sender::new(began + ttl);
        Ok(Some(Self { bucket, key, holder: holder.to_owned(), ttl, revision, until }))
    }

    pub(crate) fn held(&self) -> Held {
        Held(self.until.subscribe())
    }

    /// Renews it for as long as it is polled; once it is lost, ends the term.
    pub(crate) async fn keep(&mut self, term: &CancellationToken) {
        loop {
            tokio::time::sleep(self.ttl / 3).await;
            let cause = match tokio::time::timeout(self.ttl / 3, self.renew()).await {
                Ok(Ok(true)) => continue,
                Ok(Ok(false)) => anyhow!("another instance has taken over"),
                Ok(Err(cause)) => cause,
                Err(_) => anyhow!("NATS did not answer"),
            };
            let is_over = self.held().require().is_err();
            warn!(lease = self.key, cause = format!("{cause:#}"), "could not renew the lease");
            if is_over {
                break;
            }
        }
        term.cancel();
        std::future::pending::<()>().await;
    }

    /// Whether it still is ours.
    async fn renew(&mut self) -> anyhow::Result<bool> {
        let began = Instant::now();
        if let Some(revision) = claim(&self.bucket, &self.key, &self.holder, self.ttl, self.revision).await? {
            self.revision = revision;
            self.until.send_replace(began + self.ttl);
            return Ok(true);
        }
        // Either another's, or our own from a renewal whose answer was lost.
        match self.find_own().await? {
            Some(revision) => self.revision = revision,
            None => {
                self.until.send_replace(began);
                return Ok(false);
            }
        }
        Err(anyhow!("an earlier renewal got no answer"))
    }

    /// Under which revision it stands, where it still is ours.
    async fn find_own(&self) -> anyhow::Result<Option<u64>> {
        let entry = self.bucket.entry(&self.key).await.context("reading the lease")?;
        let own = entry.filter(|entry| holder_of(entry).as_deref() == Some(&self.holder));
        Ok(own.map(|entry| entry.revision))
    }

    /// Lets others in at once.
    pub(crate) async fn release(self) {
        // Where it was lost, or NATS is away, it ends by itself.
        if let Ok(Ok(())) = tokio::time::timeout(self.ttl, self.give_up()).await {
            info!(lease = self.key, holder = self.holder, "released the lease");
        }
    }

    async fn give_up(&self) -> anyhow::Result<()> {
        if self.bucket.delete_expect_revision(&self.key, Some(self.revision)).await.is_ok() {
            return Ok(());
        }
        // The end of a term cuts a renewal off, which may have got through.
        let Some(revision) = self.find_own().await? else { return Ok(()) };
        Ok(self.bucket.delete_expect_revision(&self.key, Some(revision)).await?)
    }
}

/// Writes a claim over a revision; `None` when another was quicker.
async fn claim(bucket: &kv::Store, key: &str, holder: &str, ttl: Duration, over: u64) -> anyhow::Result<Option<u64>> {
    let ttl_ms = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
    let value = serde_json::to_vec(&Claim { holder: holder.to_owned(), ttl_ms }).context("writing the lease")?;
    match bucket.update(key, value.into(), over).await {
        Ok(revision) => Ok(Some(revision)),
        Err(cause) if cause.kind() == kv::UpdateErrorKind::WrongLastRevision => Ok(None),
        Err(cause) => Err(cause).context("writing the lease"),
    }
}

/// Who holds a lease, as far as is known; `None` when it is free to take.
///
/// # Errors
/// When NATS does not answer or `topology apply` has not run.
pub async fn holder(context: &jetstream::Context, name: &str) -> anyhow::Result<Option<String>> {
    let entry = bucket(context).await?.entry(format!("lease.{name}")).await.context("reading the lease")?;
    let Some(entry) = entry else { return Ok(None) };
    let is_free = is_free(context, &entry, "", Duration::ZERO).await?;
    Ok(holder_of(&entry).filter(|_| !is_free))
}

fn holder_of(entry: &kv::Entry) -> Option<String> {
    let claim = serde_json::from_slice::<Claim>(&entry.value).ok();
    claim.filter(|_| entry.operation == kv::Operation::Put).map(|claim| claim.holder)
}

/// Whether a claim is none, our own, or older than it may be, with a fifth for what clocks and networks do.
async fn is_free(
    context: &jetstream::Context,
    entry: &kv::Entry,
    holder: &str,
    ttl: Duration,
) -> anyhow::Result<bool> {
    if entry.operation != kv::Operation::Put || holder_of(entry).as_deref() == Some(holder) {
        return Ok(true);
    }
    let theirs = serde_json::from_slice::<Claim>(&entry.value).map(|claim| Duration::from_millis(claim.ttl_ms));
    let ttl = theirs.unwrap_or(ttl);
    let age = server_time(context).await? - entry.created;
    Ok(age > TimeDelta::from_std(ttl + ttl / 5).unwrap_or(TimeDelta::MAX))
}

/// The time by the server's clock, which is also that of every message.
pub(crate) async fn server_time(context: &jetstream::Context) -> anyhow::Result<DateTime<Utc>> {
    #[derive(Deserialize)]
    struct Info {
        ts: DateTime<Utc>,
    }
    let subject = format!("STREAM.INFO.KV_{}", super::mutes::BUCKET);
    let info: Info = context.request(subject, &json!({})).await.context("asking the server for its time")?;
    Ok(info.ts)
}
