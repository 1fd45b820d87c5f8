//! What a command says: results on standard output, complaints on standard error.
//!
//! The only place that writes to either. Rows come as a table for people, or as JSON or CSV for programs.

use crate::{
    config,
    report::{self, Row},
    terminal::Style,
};
use anyhow::bail;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::{self, IsTerminal, Write};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use valera_pipeline::store::migrate;

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
    /// Whether JSON or CSV was asked for.
    #[must_use]
    pub fn is_for_programs(self) -> bool {
        self.json || self.csv
    }

    /// Prints rows; `table` makes what people read.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn print<T: Row>(self, rows: &[T], table: impl FnOnce(&[T], Style) -> String) -> anyhow::Result<()> {
        if self.print_for_programs(rows)? { Ok(()) } else { print(&table(rows, style())) }
    }

    /// Prints rows as JSON or CSV where that was asked for; says whether it was.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn print_for_programs<T: Row>(self, rows: &[T]) -> anyhow::Result<bool> {
        let text = match self {
            Self { json: true, .. } => report::json(rows)?,
            Self { csv: true, .. } => report::csv(rows)?,
            Self { .. } => return Ok(false),
        };
        print(&text)?;
        Ok(true)
    }
}

/// The program was asked for something that makes no sense, found out only after parsing; the exit code is 2 then.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct WrongUsage(pub String);

/// Writes to standard output. A reader that has gone away, as `head` does, is no failure.
///
/// # Errors
/// When standard output cannot be written.
pub fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(cause) if cause.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Asks at the terminal, and takes nothing but yes for a yes; `None` where nobody can answer.
///
/// # Errors
/// When it is told to stop before there is an answer, or the terminal cannot be read or written.
pub async fn ask(question: &str, shutdown: &CancellationToken) -> anyhow::Result<Option<bool>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    write!(io::stderr(), "{question} [y/N] ")?;
    let (answered, answer) = oneshot::channel();
    // A thread that nothing waits for: the runtime would not end before one of its own, which nobody answers any more.
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = io::stdin().read_line(&mut line).map(|_| line);
        // Whoever was told to stop does not listen.
        drop(answered.send(read));
    });
    tokio::select! {
        () = shutdown.cancelled() => {
            writeln!(io::stderr())?;
            bail!("interrupted")
        }
        line = answer => Ok(Some(matches!(line??.trim(), "y" | "yes"))),
    }
}

/// Says why the program failed: the cause first, then what led to it; and for all commands what helps where a database was
/// not migrated.
pub fn complain(cause: &anyhow::Error) {
    let said = format!("{cause:#}");
    let remedy = match migrate::is_needed(cause) && !said.contains("`valera-analytics migrate`") {
        true => "\nhas `valera-analytics migrate` been run on this database?",
        false => "",
    };
    // There is nowhere left to report a failure of standard error.
    drop(writeln!(io::stderr(), "error: {said}{remedy}"));
}

/// A line on standard error beside the result: what is going on where no bar shows it, or what may not have been meant.
pub fn note(line: &str) {
    // As in `complain`.
    drop(writeln!(io::stderr(), "note: {line}"));
}

/// A bar on standard error, of a length that is still to be set; nothing where that is no terminal. `counted` is what it
/// counts, in indicatif's words: `{pos}/{len} messages`.
#[must_use]
pub fn progress_bar(counted: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!("{{bar:40}} {counted}, {{eta}} left {{msg}}"));
    ProgressBar::no_length().with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// How text may look on standard output.
#[must_use]
pub fn style() -> Style {
    let width = console::Term::stdout().size_checked().map(|(_, columns)| columns);
    Style::detect(io::stdout().is_terminal(), config::no_color(), width)
}
