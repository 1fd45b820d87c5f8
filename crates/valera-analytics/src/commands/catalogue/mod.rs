//! `catalogue`: what the declared events come to in practice, and what a changed catalogue would do.
//!
//! It does not change the catalogue: that is a change of the program.

mod check;
mod report;

use clap::{Args, Subcommand};

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
