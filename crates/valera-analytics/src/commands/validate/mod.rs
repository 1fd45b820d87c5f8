//! `validate`: holds a file of events against the contract, offline, for the tests and the CI of whoever publishes them.
//!
//! The verdict is the one that the consumers will reach, since it is the same `check`; only the moment of reception is
//! this one, or the one that is given. Nothing is connected to and no key is needed. What is found is named as compilers
//! name it, `file:line: reason at path: expected …`, and never by its value.
//!
//! With `--arrived` the events were published already, and the store is asked what became of each.
//!
//! It does not publish, and does not clean personal values: whatever publishes the events does.

mod arrived;
mod events;
mod finding;

use super::{catalogue, lines};
use crate::{
    output::{self, WrongUsage},
    report,
};
use anyhow::{Context, bail, ensure};
use chrono::{DateTime, Utc};
use clap::Args;
use events::Candidate;
use finding::{Judge, Report};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use valera_events::{Catalogue, subject};
use valera_pipeline::alerts::rules::parse_duration;

const EXAMPLES: &str = r#"Examples:
  validate events.ndjson                       one JSON object a line, or one object, or one array
  rake analytics:sample | validate --strict    what is not in the catalogue fails too
  validate --event cart_confirmed bodies.json  for bodies without event_name
  validate --arrived --within 30s sent.ndjson  they were published: has the store accepted each?

An event counts as undeclared when its name, or one of its properties, is not in the catalogue:
such are accepted and stored, and often a slip of the pen.
Exit codes: 0 all are valid, 1 some are not or there are none, 2 wrong usage or unreadable files."#;

/// Hold a file of events against the contract: offline, without servers and keys
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Validate {
    /// Files of events; - is standard input
    #[arg(default_value = "-", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The name of events that hold none
    #[arg(long, value_name = "NAME", value_parser = name)]
    event: Option<String>,
    /// The subject that all are published on [default: analytics.<event_name>]
    #[arg(long, conflicts_with = "event", value_parser = event_subject)]
    subject: Option<String>,
    /// The catalogue, as schemas/catalogue.json renders it [default: this program's]
    #[arg(long, value_name = "FILE")]
    catalogue: Option<PathBuf>,
    /// When JetStream is taken to have received them, which bounds occurred_at [default: now]
    #[arg(long, value_name = "RFC3339")]
    received_at: Option<DateTime<Utc>>,
    /// The events were published: wait until the store has accepted each, known by its event_id, else by its name, chat_id and
    /// occurred_at
    #[arg(long, requires = "database_url", conflicts_with_all = ["received_at", "catalogue"])]
    arrived: bool,
    /// How long to wait for all of them, for example 30s or 2m
    #[arg(long, default_value = "30s", value_name = "SPAN", value_parser = span)]
    within: Duration,
    /// Address of the database, for --arrived
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL")]
    database_url: Option<String>,
    /// What is undeclared fails too
    #[arg(long)]
    strict: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

fn name(text: &str) -> Result<String, &'static str> {
    let known = subject::of_event(text).map(|_| text.to_owned());
    known.ok_or("expected a lower-case letter and up to 49 of a-z, 0-9 and _, as cart_confirmed")
}

fn event_subject(text: &str) -> Result<String, &'static str> {
    let known = subject::event_name(text).map(|_| text.to_owned());
    known.ok_or("expected analytics.<event name>, for example analytics.cart_confirmed")
}

fn span(text: &str) -> Result<Duration, &'static str> {
    let span = parse_duration(text).and_then(|span| span.to_std().ok());
    span.ok_or("expected a span of time, for example 30s or 2m")
}

impl Validate {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let judge = Judge {
            catalogue: self.catalogue.as_deref().map_or(Ok(Catalogue::OURS), read_catalogue)?,
            name: self.event,
            subject: self.subject,
            received_at: self.received_at.unwrap_or_else(Utc::now),
        };
        let mut found = Report::default();
        let mut awaited = Vec::new();
        for file in &self.files {
            read_events(file, |candidate| {
                let finding = judge.judge(&file.to_string_lossy(), candidate);
                if self.arrived {
                    let sent = arrived::sent(candidate.body, finding.event_name.as_deref());
                    awaited.push((finding, sent));
                } else {
                    found.add(finding);
                }
            })?;
        }
        if let (true, Some(database_url)) = (self.arrived, &self.database_url) {
            arrived::wait(database_url, &mut awaited, self.within).await?;
            found.missing = Some(0);
            awaited.into_iter().for_each(|(finding, _)| found.add(finding));
        }
        output::print(&if self.json { report::json(&found)? } else { found.to_string() })?;
        verdict(&found, self.strict)
    }
}

fn verdict(found: &Report, strict: bool) -> anyhow::Result<()> {
    let Report { events, rejected, undeclared, .. } = *found;
    ensure!(events > 0, "there are no events in it, so nothing was checked");
    match (rejected, found.missing, undeclared) {
        (1.., Some(0), _) => bail!("{rejected} of {events} events are in the dead letters"),
        (0, Some(missing @ 1..), _) => bail!("{missing} of {events} events have not arrived"),
        (_, Some(missing @ 1..), _) => {
            bail!("{missing} of {events} events have not arrived, {rejected} are in the dead letters")
        }
        (1.., None, _) => bail!("{rejected} of {events} events would end in the dead letters"),
        (0, _, 1..) if strict => {
            bail!("{undeclared} of {events} events are not as the catalogue declares them (--strict)")
        }
        (0, ..) => Ok(()),
    }
}

fn read_catalogue(file: &Path) -> anyhow::Result<Catalogue> {
    catalogue::read(file).map_err(|cause| WrongUsage(format!("{cause:#}")).into())
}

/// Hands every event of a file to `each`.
fn read_events(file: &Path, each: impl FnMut(Candidate<'_>)) -> anyhow::Result<()> {
    let (source, _) = lines::open(file).map_err(|cause| WrongUsage(format!("{cause:#}")))?;
    let read = events::read(source, each).with_context(|| format!("reading {}", file.display()));
    read.map_err(|cause| WrongUsage(format!("{cause:#}")).into())
}
