//! `validate`: holds a file of events against the contract, offline, for the tests and the CI of whoever publishes them.
//!
//! The verdict is the one that the consumers will reach, since it is the same `check`; only the moment of reception is
//! this one, or the one that is given. Nothing is connected to and no key is needed. What is found is named as compilers
//! name it, `file:line: reason at path: expected …`, and never by its value.
//!
//! It does not publish, and does not clean personal values: whatever publishes the events does.

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
use std::path::{Path, PathBuf};
use valera_events::{Catalogue, subject};

const EXAMPLES: &str = r#"Examples:
  validate events.ndjson                       one JSON object a line; one object or one array is taken too
  rake analytics:sample | validate --strict    standard input; names outside the catalogue fail too
  validate --event cart_confirmed bodies.json  for bodies without event_name

An event counts as undeclared when its name, or one of its properties, is not in the catalogue: such are accepted and
stored, unless they are a slip of the pen.
Exit codes: 0 all are valid, 1 some are not, or there are none, 2 wrong usage, a file that cannot be read among it."#;

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
    known.ok_or("expected analytics.<event name>, as analytics.cart_confirmed")
}

impl Validate {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let judge = Judge {
            catalogue: self.catalogue.as_deref().map_or(Ok(Catalogue::OURS), read_catalogue)?,
            name: self.event,
            subject: self.subject,
            received_at: self.received_at.unwrap_or_else(Utc::now),
        };
        let mut found = Report::default();
        for file in &self.files {
            read_events(file, |candidate| found.add(judge.judge(&file.to_string_lossy(), candidate)))?;
        }
        output::print(&if self.json { report::json(&found)? } else { found.to_string() })?;
        let Report { events, rejected, undeclared, .. } = found;
        ensure!(events > 0, "there are no events in it, so nothing was checked");
        match (rejected, undeclared) {
            (0, 0) => Ok(()),
            (0, _) if !self.strict => Ok(()),
            (0, _) => bail!("{undeclared} of {events} events are not as the catalogue declares them (--strict)"),
            (..) => bail!("{rejected} of {events} events would end in the dead letters"),
        }
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
