//! Who told of which day on a channel: one key of the bucket `VALERA`, so that it is told once.
//!
//! A claim is taken by compare-and-set right before the request goes out, and marked once the channel has shown the
//! message. Whoever finds a claim does not send: a claim without a mark means that nobody knows whether the message
//! arrived, and a second message would be worse than none, for an operator can send it by hand. A claim is given back only
//! when it is certain that nothing was sent. It does not send.

use anyhow::Context as _;
use async_nats::jetstream::kv;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// What stands in the bucket under `digest.<channel>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Claim {
    day: NaiveDate,
    claimed_at: DateTime<Utc>,
    /// Which instance.
    by: Uuid,
    /// When the channel had shown it; absent while nobody knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sent_at: Option<DateTime<Utc>>,
}

/// How a day stands on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody has claimed it; to be claimed over this revision.
    Open(u64),
    /// It was sent, or a later day was.
    Told,
    /// Claimed then, and nobody knows whether it arrived.
    Unknown(DateTime<Utc>),
}

/// The claims of one instance on one channel.
pub(super) struct Claims {
    key: String,
    by: Uuid,
    /// The claim under which a request of ours went out.
    sending: Option<Claim>,
}

impl Claims {
    pub(super) fn new(channel: &str) -> Self {
        Self { key: format!("digest.{channel}"), by: Uuid::now_v7(), sending: None }
    }

    /// # Errors
    /// When NATS does not answer, or what stands there is not ours.
    pub(super) async fn standing(&self, bucket: &kv::Store, day: NaiveDate) -> anyhow::Result<Standing> {
        let entry = bucket.entry(&self.key).await.with_context(|| format!("reading {}", self.key))?;
        let Some(entry) = entry else { return Ok(Standing::Open(0)) };
        if entry.operation != kv::Operation::Put {
            return Ok(Standing::Open(entry.revision));
        }
        let claim: Claim = serde_json::from_slice(&entry.value).with_context(|| format!("reading {}", self.key))?;
        // Our own, from a claim whose answer was lost: nothing went out under it.
        let is_unused = claim.by == self.by && self.sending.as_ref().is_none_or(|sending| sending.day != claim.day);
        Ok(match claim {
            Claim { day: claimed, .. } if claimed < day => Standing::Open(entry.revision),
            Claim { day: claimed, .. } if claimed > day => Standing::Told,
            Claim { sent_at: Some(_), .. } => Standing::Told,
            Claim { .. } if is_unused => Standing::Open(entry.revision),
            Claim { claimed_at, .. } => Standing::Unknown(claimed_at),
        })
    }

    /// Claims a day over a revision; `None` when another was quicker. From here on it counts as sent.
    ///
    /// # Errors
    /// When NATS does not answer: then nothing may be sent, and what stands there is asked anew.
    pub(super) async fn take(
        &mut self,
        bucket: &kv::Store,
        day: NaiveDate,
        now: DateTime<Utc>,
        over: u64,
    ) -> anyhow::Result<Option<u64>> {
        let claim = Claim { day, claimed_at: now, by: self.by, sent_at: None };
        let taken = self.write(bucket, &claim, over).await?;
        self.sending = taken.map(|_| claim).or(self.sending.take());
        Ok(taken)
    }

    /// Says that the message was shown.
    ///
    /// # Errors
    /// When NATS does not answer.
    pub(super) async fn mark(&self, bucket: &kv::Store, now: DateTime<Utc>, over: u64) -> anyhow::Result<()> {
        let Some(claim) = &self.sending else { return Ok(()) };
        let claim = Claim { sent_at: Some(now), ..claim.clone() };
        // Where another revision stands, an earlier attempt got through: nobody else writes over a claim.
        self.write(bucket, &claim, over).await.map(drop)
    }

    /// Lets the day be claimed anew: nothing was sent.
    ///
    /// # Errors
    /// When NATS does not answer; this instance knows all the same.
    pub(super) async fn give_back(&mut self, bucket: &kv::Store, over: u64) -> anyhow::Result<()> {
        self.sending = None;
        let given = bucket.delete_expect_revision(&self.key, Some(over)).await;
        given.with_context(|| format!("giving back {}", self.key))
    }

    async fn write(&self, bucket: &kv::Store, claim: &Claim, over: u64) -> anyhow::Result<Option<u64>> {
        let value = serde_json::to_vec(claim).with_context(|| format!("writing {}", self.key))?;
        match bucket.update(&self.key, value.into(), over).await {
            Ok(revision) => Ok(Some(revision)),
            Err(cause) if cause.kind() == kv::UpdateErrorKind::WrongLastRevision => Ok(None),
            Err(cause) => Err(cause).with_context(|| format!("writing {}", self.key)),
        }
    }
}
