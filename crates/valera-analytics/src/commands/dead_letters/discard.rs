//! `dead-letters discard`: an operator's decision that letters shall not be stored, with his reason.
//!
//! The rows stay, so that a replay under the same catalogue adds none. A replay under one that accepts the event stores
//! it: events are judged without asking the letters. A letter whose retry is not judged yet is discarded only where it is
//! named: its event may be stored all the same, and its letter is closed then.

use super::{Narrowed, Status, letter_id};
use crate::{
    config::DatabaseArgs,
    output,
    report::{self, LetterGroup, LetterLine},
};
use anyhow::{Context, ensure};
use clap::{ArgGroup, Args};
use serde::Serialize;
use std::collections::BTreeSet;
use uuid::Uuid;
use valera_events::ReasonCode;
use valera_pipeline::store::{
    Writer,
    letters::{
        UNFINISHED,
        desk::{self, Filter},
    },
};

/// How many letters a dry run lists.
const LISTED: i64 = 20;

/// Decide that letters shall not be stored
///
/// The rows stay with your words, and a replay under the same catalogue adds none. Under a catalogue that accepts the event,
/// a replay stores it. Letters that are retried and not judged yet are left as they are, unless they are named by their
/// ids: such a retry may be stored all the same, and closes its letter then.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(["ids", "event", "since", "all"]))]
pub(super) struct Discard {
    /// Ids of letters
    #[arg(value_name = "ID", value_parser = letter_id)]
    ids: Vec<Uuid>,
    /// All open letters
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    narrowed: Narrowed,
    /// Why, in words that are kept with them; it chooses none
    #[arg(long, value_name = "TEXT", value_parser = words)]
    reason: String,
    /// Say which letters are meant, and discard none
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Discarded {
    dry_run: bool,
    discarded: BTreeSet<Uuid>,
    /// Of these, named ones whose retry is not judged yet.
    may_be_stored: Vec<Uuid>,
    /// Letters that are not discarded because they are retried and not judged yet.
    left_retried: u64,
    /// Named letters that are finished, or that there are not.
    not_discarded: Vec<Uuid>,
}

/// A code would be taken for a filter, as it is one in `list` and `retry`; with `--all` it would discard everything.
fn words(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("expected words".to_owned());
    }
    match ReasonCode::ALL.iter().any(|code| code.as_str() == text.trim()) {
        true => Err(format!(
            "{} is a code by which `list` and `retry` filter; here --reason says in words why",
            text.trim()
        )),
        false => Ok(text.to_owned()),
    }
}

impl Discard {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut writer = Writer::new(&self.database.database_url, "valera dead-letters", "")?;
        let statuses = if self.ids.is_empty() { &[Status::Open.as_str()][..] } else { &UNFINISHED };
        let filter = self.narrowed.filter(self.ids.clone(), None, statuses);
        if self.dry_run && !self.json {
            self.show(&mut writer, &filter).await?;
        }
        let mut transaction = writer.begin().await?;
        let discarded = desk::discard(&mut transaction, &filter, &self.reason).await?;
        let left_retried = match self.ids.is_empty() {
            true => {
                let retried = Filter { statuses: vec![Status::Retried.as_str().to_owned()], ..filter };
                desk::count(&mut transaction, &retried).await?
            }
            false => 0,
        };
        let ended = if self.dry_run { transaction.rollback().await } else { transaction.commit().await };
        ended.context("discarding dead letters")?;
        let retried = discarded.iter().filter(|(_, status)| status == Status::Retried.as_str());
        let may_be_stored = retried.map(|(id, _)| *id).collect();
        let discarded: BTreeSet<Uuid> = discarded.into_iter().map(|(id, _)| id).collect();
        let named: BTreeSet<Uuid> = self.ids.iter().copied().collect();
        let not_discarded = named.difference(&discarded).copied().collect();
        self.say(&Discarded { dry_run: self.dry_run, discarded, may_be_stored, left_retried, not_discarded })
    }

    async fn show(&self, writer: &mut Writer, filter: &Filter) -> anyhow::Result<()> {
        let connection = writer.connection().await?;
        let groups: Vec<LetterGroup> = desk::groups(connection, filter).await?;
        let letters: Vec<LetterLine> = desk::newest(connection, filter, LISTED).await?;
        if groups.is_empty() {
            return Ok(());
        }
        let style = output::style();
        output::print(&format!("{}\n{}", report::letters(&groups, style), report::letter_lines(&letters, style)))
    }

    fn say(&self, what: &Discarded) -> anyhow::Result<()> {
        output::print(&if self.json { report::json(what)? } else { told(what) })?;
        let finished = &what.not_discarded;
        let ids: Vec<_> = finished.iter().map(Uuid::to_string).collect();
        ensure!(ids.is_empty(), "{} of the letters named are finished or unknown: {}", ids.len(), ids.join(", "));
        Ok(())
    }
}

fn told(what: &Discarded) -> String {
    let is = if what.dry_run { "would be discarded" } else { "discarded" };
    let mut out = format!("{} letters {is}\n", what.discarded.len());
    if !what.may_be_stored.is_empty() {
        out.push_str(&format!(
            "{} of them are retried and not judged yet: a retry that is stored all the same closes its letter\n",
            what.may_be_stored.len()
        ));
    }
    if what.left_retried > 0 {
        out.push_str(&format!(
            "{} letters are left as they are: they are retried and not judged yet. `dead-letters list --status retried` \
             names them; retry them once more, or discard them by their ids\n",
            what.left_retried
        ));
    }
    out
}
