//! `dead-letters retry`: publishes letters again, changed where they are told to be, and waits for what becomes of them.
//!
//! Each letter is judged here first, by the same `check`: what the contract would refuse again is named and not published.
//! A retry carries the identity of what was rejected, so any of it may be repeated, also after it was broken off; what
//! would go out as a second event while the first may still be stored is refused. The persister closes the letters; this
//! only asks.

mod way;

use super::{Narrowed, Status, letter_id, reason_codes, statuses};
use crate::{
    config::{DatabaseArgs, NatsArgs, PseudonymKeysArgs},
    output::{self, WrongUsage},
    report::{self, Outlook, RetryTally},
};
use anyhow::{Context, bail, ensure};
use clap::{ArgGroup, Args};
use indicatif::ProgressBar;
use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    time::{Duration, Instant},
};
use uuid::Uuid;
use valera_events::retry::Patch;
use valera_pipeline::{
    consume::Link,
    store::{
        Writer,
        letters::{
            UNFINISHED,
            desk::{self, Content},
        },
    },
};
use valera_tracker::Publisher;
use way::Way;

/// Letters read at once: each may hold a megabyte.
const PAGE: i64 = 100;

const OTHER_CONTENT: &str = "another retry of it is stored, with other content; this one is not";

/// Publish letters again, with changes, and wait for what becomes of them
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(["ids", "event", "since", "reason", "status", "all"]))]
pub(super) struct Retry {
    /// Ids of letters
    #[arg(value_name = "ID", value_parser = letter_id)]
    ids: Vec<Uuid>,
    /// All letters that are not finished
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    narrowed: Narrowed,
    /// Only with this reason
    #[arg(long, value_name = "CODE", hide_possible_values = true, value_parser = reason_codes())]
    reason: Option<String>,
    /// Only in these statuses [default: open,retried; with ids any]
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<Status>,
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

/// What is to be said in the end.
#[derive(Default)]
struct Told {
    /// Of a dry run: every letter.
    outlooks: Vec<Outlook>,
    tally: RetryTally,
}

impl Told {
    fn of_each(&mut self, dry_run: bool, outlook: Outlook) {
        if dry_run {
            self.outlooks.push(outlook);
        } else if outlook.verdict != report::ACCEPTED {
            self.tally.add(&outlook.event_name, outlook.verdict, &outlook.detail);
        }
    }
}

impl Retry {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let way = Way { patch: self.patch()?, as_new: self.as_new, keys: self.pseudonym_keys.load()? };
        let mut writer = Writer::new(&self.database.database_url, "valera dead-letters", "")?;
        // Letters that are named are told why they cannot be retried, whatever became of them.
        let default = if self.ids.is_empty() { &UNFINISHED[..] } else { &[] };
        let filter = self.narrowed.filter(self.ids.clone(), self.reason.clone(), &statuses(&self.status, default));
        let publisher = match self.dry_run {
            true => None,
            false => Some(Publisher::new(Link::new(&self.nats.nats_url, "valera-retry").connect().await?)),
        };
        let bar = output::progress_bar("{pos}/{len} letters");
        bar.set_length(desk::count(writer.connection().await?, &filter).await?);
        let (mut after, mut told, mut published) = (None, Told::default(), HashMap::new());
        let mut named: BTreeSet<Uuid> = self.ids.iter().copied().collect();
        loop {
            let page = desk::page(writer.connection().await?, &filter, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            let mut ready = Vec::new();
            for letter in &page {
                named.remove(&letter.id);
                told.of_each(self.dry_run, way.judge(letter, &mut ready));
            }
            if let Some(publisher) = &publisher {
                let passed_over = way.publish(&mut writer, publisher, ready, &mut published).await?;
                passed_over.into_iter().for_each(|outlook| told.of_each(false, outlook));
            }
            bar.inc(page.len() as u64);
        }
        for id in named {
            let detail = format!("{id}: there is no such letter, or the other options leave it out");
            told.of_each(self.dry_run, Outlook { id, event_name: String::new(), verdict: report::NOT_FOUND, detail });
        }
        if self.dry_run {
            bar.finish_and_clear();
            return self.say_outlooks(&told.outlooks);
        }
        self.wait_for(&mut writer, published, &mut told.tally, &bar).await?;
        bar.finish_and_clear();
        self.say(&told.tally)
    }

    fn patch(&self) -> anyhow::Result<Patch> {
        let mut patch = Patch::default();
        if let Some(file) = &self.merge {
            let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
            patch.merge(text).map_err(|bad| WrongUsage(format!("--merge {}: {bad}", file.display())))?;
        }
        self.rename
            .iter()
            .try_for_each(|rename| patch.rename(rename))
            .map_err(|bad| WrongUsage(format!("--rename: {bad}")))?;
        self.set.iter().try_for_each(|set| patch.set(set)).map_err(|bad| WrongUsage(format!("--set: {bad}")))?;
        Ok(patch)
    }

    /// Waits until the persister has judged what was published, and counts what became of it.
    async fn wait_for(
        &self,
        writer: &mut Writer,
        mut published: HashMap<Uuid, Content>,
        tally: &mut RetryTally,
        bar: &ProgressBar,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(self.wait);
        let all = published.len();
        bar.set_length(all as u64);
        bar.set_message("waiting for the persister");
        while !published.is_empty() && Instant::now() < deadline {
            let ids: Vec<Uuid> = published.keys().copied().collect();
            let connection = writer.connection().await?;
            let settled = desk::settled(connection, &ids).await?;
            let closed = settled.iter().filter(|(_, status, _)| status == "closed");
            let closed: Vec<_> = closed.filter_map(|(id, ..)| Some((*id, published.get(id)?))).collect();
            let overtaken = desk::stored_otherwise(connection, &closed).await?;
            for (id, status, reason) in settled {
                let event_name = published.remove(&id).map(|content| content.event_name).unwrap_or_default();
                match (status.as_str(), reason) {
                    _ if overtaken.contains(&id) => tally.add(&event_name, report::OVERTAKEN, OTHER_CONTENT),
                    ("open", _) => tally.add(&event_name, report::REJECTED_AGAIN, ""),
                    ("closed", Some(outcome)) => tally.add(&event_name, &outcome, ""),
                    (status, why) => {
                        tally.add(&event_name, report::FINISHED, &way::finished(status, why.as_deref()));
                    }
                }
            }
            bar.set_position((all - published.len()) as u64);
            if !published.is_empty() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        for content in published.into_values() {
            tally.add(&content.event_name, report::WAITING, "published, the persister has not judged it yet");
        }
        Ok(())
    }

    fn say_outlooks(&self, outlooks: &[Outlook]) -> anyhow::Result<()> {
        let text = match self.json {
            true => report::json(outlooks)?,
            false => report::outlooks(outlooks, output::style()),
        };
        output::print(&text)?;
        let is_refused = |outlook: &&Outlook| [report::NOT_PUBLISHED, report::NOT_FOUND].contains(&outlook.verdict);
        let refused = outlooks.iter().filter(is_refused).count();
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
        let waiting = if self.wait > 0 { tally.of(report::WAITING) } else { 0 };
        let short = [
            (tally.of(report::NOT_FOUND), "were not found"),
            (tally.of(report::NOT_PUBLISHED), "were not published"),
            (tally.of(report::REJECTED_AGAIN), "were rejected again"),
            (tally.of(report::OVERTAKEN), "ended with other content"),
            (waiting, "wait for the persister"),
        ];
        let short = short.iter().filter(|(count, _)| *count > 0);
        let short: Vec<_> = short.map(|(count, what)| format!("{count} letters {what}")).collect();
        ensure!(short.is_empty(), "{}; retrying is safe at any time", short.join(", "));
        Ok(())
    }
}
