//! How a command shows rows: a table for people, JSON or CSV for programs.

use crate::{
    report::{self, Row},
    terminal::{self, Style},
};
use clap::Args;

/// The form of a report.
#[derive(Debug, Clone, Copy, Args)]
pub struct OutputArgs {
    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV
    #[arg(long)]
    csv: bool,
}

impl OutputArgs {
    /// Prints rows; `table` makes what people read.
    pub(super) fn print<T: Row>(self, rows: &[T], table: impl FnOnce(&[T], Style) -> String) -> anyhow::Result<()> {
        let text = match self {
            Self { json: true, .. } => report::json(rows)?,
            Self { csv: true, .. } => report::csv(rows)?,
            Self { .. } => table(rows, terminal::stdout_style()),
        };
        Ok(terminal::print(&text)?)
    }
}
