//! What each channel has shown of which incident, in the bucket `VALERA`: it works without Postgres.
//!
//! JetStream may deliver a step again long after it was shown, and a later step has to find the message that it edits. An
//! entry ends by itself when its incident is gone from `ALERTS` too. What a channel has found out about where it writes stands
//! beside them, for good. It does not lock: one instance at a time sends. What must not be told twice is claimed first.

use super::{super::mutes, channel::Shown};
use crate::consume::stored;
use anyhow::{Context as _, ensure};
use async_nats::{
    HeaderMap,
    header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE,
    jetstream::{self, context::PublishErrorKind, kv},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::{collections::HashMap, time::Duration};

/// As long as a step stands on `ALERTS`.
const KEPT: Duration = Duration::from_secs(90 * 24 * 3600);

/// What a channel has shown of one incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Told {
    /// Of the step that was shown last.
    pub(super) revision: u32,
    /// Where; nothing where it cannot be edited.
    pub(super) shown: Shown,
}

/// The entries of one channel.
pub(super) struct Memory {
    context: jetstream::Context,
    bucket: kv::Store,
    channel: &'static str,
    /// Of the batch in hand: each failure has all of it asked for again.
    at_hand: HashMap<String, Option<Told>>,
}

impl Memory {
    /// # Errors
    /// When NATS does not answer or `topology apply` has not run.
    pub(super) async fn of(context: jetstream::Context, channel: &'static str) -> anyhow::Result<Self> {
        let bucket = mutes::bucket(&context).await?;
        Ok(Self { context, bucket, channel, at_hand: HashMap::new() })
    }

    /// # Errors
    /// When NATS does not answer.
    pub(super) async fn recall(&mut self, incident: &str) -> anyhow::Result<Option<Told>> {
        if let Some(told) = self.at_hand.get(incident) {
            return Ok(told.clone());
        }
        let entry = self.bucket.entry(self.key(incident)).await.context("reading what was shown")?;
        // What is not ours to read was not shown by us.
        let told: Option<Told> = entry.and_then(|entry| serde_json::from_slice(&entry.value).ok());
        self.at_hand.insert(incident.to_owned(), told.clone());
        Ok(told)
    }

    /// The batch is done with.
    pub(super) fn put_away(&mut self) {
        self.at_hand.clear();
    }

    /// # Errors
    /// When the bucket did not take it.
    pub(super) async fn keep(&mut self, incident: &str, told: Told) -> anyhow::Result<()> {
        let value = serde_json::to_vec(&told).context("writing what was shown")?;
        self.write(&self.key(incident), value, None).await?;
        self.at_hand.insert(incident.to_owned(), Some(told));
        Ok(())
    }

    /// Writes what ends by itself; over this revision when it is given, and `false` when another one stands there.
    async fn write(&self, key: &str, value: Vec<u8>, over: Option<u64>) -> anyhow::Result<bool> {
        let mut headers = HeaderMap::new();
        headers.insert("Nats-TTL", format!("{}h", KEPT.as_secs() / 3600));
        if let Some(over) = over {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, over.to_string());
        }
        let subject = format!("$KV.{}.{key}", mutes::BUCKET);
        let ack = self.context.publish_with_headers(subject, headers, value.into()).await;
        let ack = match ack.context("keeping what was shown")?.await {
            Err(cause) if cause.kind() == PublishErrorKind::WrongLastSequence => return Ok(false),
            ack => ack.context("keeping what was shown")?,
        };
        ensure!(ack.stream == format!("KV_{}", mutes::BUCKET), "kept what was shown in {}", ack.stream);
        Ok(true)
    }

    /// What the channel has found out about where it writes.
    ///
    /// # Errors
    /// When NATS does not answer.
    pub(super) async fn learned(&self) -> anyhow::Result<Option<Value>> {
        let entry = self.bucket.entry(self.learned_key()).await.context("reading what the channel has learned")?;
        Ok(entry.and_then(|entry| serde_json::from_slice(&entry.value).ok()))
    }

    /// # Errors
    /// When the bucket did not take it.
    pub(super) async fn keep_learned(&self, learned: &Value) -> anyhow::Result<()> {
        let kept = self.bucket.put(self.learned_key(), learned.to_string().into()).await;
        kept.map(drop).context("keeping what the channel has learned")
    }

    fn learned_key(&self) -> String {
        format!("learned.{}", self.channel)
    }

    /// Says that this is about to be shown; `false` when that was said before.
    ///
    /// # Errors
    /// When the bucket did not take it, or no answer came.
    pub(super) async fn claim(&self, incident: &str) -> anyhow::Result<bool> {
        let key = self.claim_key(incident);
        let standing = self.bucket.entry(&key).await.context("reading what was claimed")?;
        let over = match standing {
            None => 0,
            Some(entry) if entry.operation != kv::Operation::Put => entry.revision,
            Some(_) => return Ok(false),
        };
        self.write(&key, Vec::new(), Some(over)).await
    }

    /// Says that nothing was shown.
    ///
    /// # Errors
    /// When the bucket did not take it.
    pub(super) async fn give_back(&self, incident: &str) -> anyhow::Result<()> {
        let given = self.bucket.purge_with_ttl(self.claim_key(incident), KEPT).await;
        given.context("giving a claim back")
    }

    fn claim_key(&self, incident: &str) -> String {
        format!("claimed.{}.{incident}", self.channel)
    }

    fn key(&self, incident: &str) -> String {
        format!("shown.{}.{incident}", self.channel)
    }
}

/// When a channel last noted that something was shown; `None` where nothing was for as long as it remembers.
///
/// # Errors
/// When NATS does not answer.
pub(super) async fn last_shown_at(
    context: &jetstream::Context,
    channel: &str,
) -> anyhow::Result<Option<DateTime<Utc>>> {
    let bucket = mutes::BUCKET;
    let request = json!({"last_by_subj": format!("$KV.{bucket}.shown.{channel}.*")});
    let last = stored::get(context, &format!("KV_{bucket}"), request).await?;
    Ok(last.map(|entry| entry.received_at))
}
