//! `catalogue`: what the declared events come to in practice, and what a changed catalogue would do.
//!
//! It does not change the catalogue: that is a change of the program.

mod check;
mod report;

use anyhow::Context;
use clap::{Args, Subcommand};
use std::path::Path;

/// Hold the declared events against what is sent
#[derive(Debug, Args)]
pub struct Catalogue {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Check(check::Check),
    Report(report::Report),
}

impl Catalogue {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.action {
            Action::Check(check) => check.run().await,
            Action::Report(report) => report.run().await,
        }
    }
}

/// Reads a catalogue as `schemas/catalogue.json` renders it.
pub(super) fn read(file: &Path) -> anyhow::Result<valera_events::Catalogue> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    valera_events::Catalogue::read(&text).with_context(|| format!("{} is no catalogue", file.display()))
}
