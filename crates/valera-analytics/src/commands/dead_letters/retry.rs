//! `dead-letters retry`: publishes letters again, changed where they are told to be, and waits for what becomes of them.
//!
//! Each letter is judged here first, by the same `check`: what the contract would refuse again is named and not published.
//! A retry carries the identity of what was rejected, so any of it may be repeated, also after it was broken off. The
//! persister closes the letters; this only asks.

use super::{Narrowed, reason_codes};
use crate::{
    config::{DatabaseArgs, NatsArgs, PseudonymKeysArgs},
    output,
    report::{self, Outlook, RetryTally},
};
use anyhow::{Context, bail};
use async_nats::HeaderMap;
use chrono::Utc;
use clap::{ArgGroup, Args};
use futures::{StreamExt, TryStreamExt, stream};
use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};
use uuid::Uuid;
use valera_events::{PseudonymKeys, Verdict, headers, repair::Patch};
use valera_pipeline::{
    consume::Link,
    handler::Delivery,
    repair,
    store::{
        Writer,
        letters::{Kept, UNFINISHED, desk},
    },
};
use valera_tracker::Publisher;

/// Letters read at once: each may hold a megabyte.
const PAGE: i64 = 100;
/// Acks in flight.
const IN_FLIGHT: usize = 64;

/// Publish letters again, with changes, and wait for what becomes of them
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(["ids", "event", "since", "reason", "all"]))]
pub(super) struct Retry {
    /// Ids of letters
    #[arg(value_name = "ID")]
    ids: Vec<Uuid>,
    /// All letters that are not finished
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    narrowed: Narrowed,
    /// Only with this reason
    #[arg(long, value_name = "CODE", hide_possible_values = true, value_parser = reason_codes())]
    reason: Option<String>,
    /// Set a value: JSON, or text where it is not; for example properties.services_count=1
    #[arg(long, value_name = "PATH=VALUE")]
    set: Vec<String>,
    /// Rename a key, for example properties.old=new
    #[arg(long, value_name = "PATH=KEY")]
    rename: Vec<String>,
    /// Merge a JSON object into each body, as RFC 7386 says; before renaming and setting
    #[arg(long, value_name = "FILE")]
    merge: Option<PathBuf>,
    /// Give a letter whose id is stored with other content an id of its own
    #[arg(long)]
    as_new: bool,
    /// Say the verdict on each letter, and publish nothing
    #[arg(long)]
    dry_run: bool,
    /// Seconds to wait for the persister's verdicts; 0 does not wait
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    wait: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    nats: NatsArgs,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    pseudonym_keys: PseudonymKeysArgs,
}

/// What is done to each letter.
struct Way {
    patch: Patch,
    as_new: bool,
    keys: PseudonymKeys,
}

/// A letter that the contract accepts as it would be published.
struct Ready {
    letter_id: Uuid,
    event_name: String,
    message: Delivery,
}

impl Retry {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let way = Way { patch: self.patch()?, as_new: self.as_new, keys: self.pseudonym_keys.load()? };
        let mut writer = Writer::new(&self.database.database_url, "valera dead-letters", "")?;
        // Letters that are named are told why they cannot be retried, whatever became of them.
        let statuses = if self.ids.is_empty() { &UNFINISHED[..] } else { &[] };
        let filter = self.narrowed.filter(self.ids.clone(), self.reason.clone(), statuses);
        let publisher = match self.dry_run {
            true => None,
            false => Some(Publisher::new(Link::new(&self.nats.nats_url, "valera-retry").connect().await?)),
        };
        let (mut after, mut outlooks, mut tally) = (None, Vec::new(), RetryTally::default());
        let mut published = HashMap::new();
        loop {
            let page = desk::page(writer.connection().await?, &filter, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            let mut ready = Vec::new();
            for letter in &page {
                let outlook = way.judge(letter, &mut ready);
                if self.dry_run {
                    outlooks.push(outlook);
                } else if outlook.verdict != report::ACCEPTED {
                    tally.add(&outlook.event_name, outlook.verdict, &outlook.detail);
                }
            }
            if let Some(publisher) = &publisher {
                publish(&mut writer, publisher, ready, &mut published).await?;
            }
        }
        if self.dry_run {
            return self.say_outlooks(&outlooks);
        }
        self.wait_for(&mut writer, published, &mut tally).await?;
        self.say(&tally)
    }

    fn patch(&self) -> anyhow::Result<Patch> {
        let mut patch = Patch::default();
        if let Some(file) = &self.merge {
            let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
            patch.merge(text).with_context(|| file.display().to_string())?;
        }
        self.rename.iter().try_for_each(|rename| patch.rename(rename)).context("--rename")?;
        self.set.iter().try_for_each(|set| patch.set(set)).context("--set")?;
        Ok(patch)
    }

    /// Waits until the persister has judged what was published, and counts what became of it.
    async fn wait_for(
        &self,
        writer: &mut Writer,
        mut published: HashMap<Uuid, String>,
        tally: &mut RetryTally,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(self.wait);
        while !published.is_empty() && Instant::now() < deadline {
            let ids: Vec<Uuid> = published.keys().copied().collect();
            for (id, status, reason) in desk::settled(writer.connection().await?, &ids).await? {
                let event_name = published.remove(&id).unwrap_or_default();
                let result =
                    if status == "open" { report::REJECTED_AGAIN } else { reason.as_deref().unwrap_or(&status) };
                tally.add(&event_name, result, "");
            }
            if !published.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        for event_name in published.into_values() {
            tally.add(&event_name, report::WAITING, "published, the persister has not judged it yet");
        }
        Ok(())
    }

    fn say_outlooks(&self, outlooks: &[Outlook]) -> anyhow::Result<()> {
        let text = match self.json {
            true => report::json(outlooks)?,
            false => report::outlooks(outlooks, output::style()),
        };
        output::print(&text)?;
        let refused = outlooks.iter().filter(|outlook| outlook.verdict == report::NOT_PUBLISHED).count();
        if refused > 0 {
            bail!("{refused} of {} letters would not be published", outlooks.len());
        }
        Ok(())
    }

    fn say(&self, tally: &RetryTally) -> anyhow::Result<()> {
        let rows = tally.rows();
        let text = match self.json {
            true => report::json(&rows)?,
            false => report::retries(&rows, output::style()),
        };
        output::print(&text)?;
        let (refused, again) = (tally.of(report::NOT_PUBLISHED), tally.of(report::REJECTED_AGAIN));
        let waiting = if self.wait > 0 { tally.of(report::WAITING) } else { 0 };
        if refused + again + waiting > 0 {
            bail!(
                "{refused} letters were not published, {again} were rejected again, {waiting} wait for the persister; \
                 retrying them once more is safe"
            );
        }
        Ok(())
    }
}

impl Way {
    /// What the contract says of the letter's retry; it joins `ready` when that is good.
    fn judge(&self, letter: &Kept, ready: &mut Vec<Ready>) -> Outlook {
        let event_name = letter.event_name.clone().unwrap_or_default();
        let outlook = |verdict, detail| Outlook { id: letter.id, event_name: event_name.clone(), verdict, detail };
        if letter.status == "closed" || letter.status == "discarded" {
            let why = letter.status_reason.as_deref().unwrap_or_default();
            return outlook(report::FINISHED, format!("{}: {why}", letter.status));
        }
        let message = match repair::message(letter, &self.patch, self.as_new, &self.keys, Utc::now()) {
            Ok(message) => message,
            Err(unready) => return outlook(report::NOT_PUBLISHED, unready.to_string()),
        };
        if let Verdict::Rejected(rejection) = message.check() {
            return outlook(report::NOT_PUBLISHED, rejection.to_string());
        }
        ready.push(Ready { letter_id: letter.id, event_name: event_name.clone(), message });
        outlook(report::ACCEPTED, String::new())
    }
}

/// Counts the attempt, then publishes; `published` learns of each that was.
async fn publish(
    writer: &mut Writer,
    publisher: &Publisher,
    ready: Vec<Ready>,
    published: &mut HashMap<Uuid, String>,
) -> anyhow::Result<()> {
    let ids: Vec<Uuid> = ready.iter().map(|ready| ready.letter_id).collect();
    let attempts: HashMap<Uuid, i32> = desk::claim(writer.connection().await?, &ids).await?.into_iter().collect();
    // One that is not claimed was finished by someone else meanwhile.
    let claimed = ready.iter().filter_map(|ready| Some((ready, *attempts.get(&ready.letter_id)?)));
    let sending = claimed.map(|(ready, attempt)| async move {
        let mut header_map = HeaderMap::new();
        for (name, value) in &ready.message.headers {
            header_map.insert(name.as_str(), value.as_str());
        }
        header_map.insert(headers::MSG_ID, repair::msg_id(ready.letter_id, attempt));
        publisher.publish_with_headers(&ready.message.subject, &header_map, &ready.message.body).await?;
        anyhow::Ok((ready.letter_id, ready.event_name.clone()))
    });
    let sent: Vec<_> = stream::iter(sending)
        .buffer_unordered(IN_FLIGHT)
        .try_collect()
        .await
        .context("publishing a retry; the letters stay as retried, and retrying them once more is safe")?;
    published.extend(sent);
    Ok(())
}
