//! `replay`: hands a part of the stream, or exported files, to persister or rollups once more; safe at any time and as often as one likes.
//!
//! It goes on in the foreground until it is done, paused by someone else or interrupted, and can be resumed after each.
//! It does not publish anything, so no other consumer and no alert ever sees it.

use super::stop;
use crate::{
    config::{DatabaseArgs, NatsArgs, ServiceArgs},
    output::{self, OutputArgs},
    report,
};
use anyhow::{bail, ensure};
use clap::{Args, Subcommand, ValueEnum};
use indicatif::ProgressBar;
use std::path::PathBuf;
use tokio_util::sync::CancellationToken;
use valera_events::subject;
use valera_pipeline::{
    consume::Link,
    replay::{self, Bound, End, FilesRequest, Progress, Request},
    service::Service,
    store::{
        Writer,
        replays::{self, ReplayRow},
    },
};

/// What the progress bar counts.
const COUNTED: &str = "{percent} % {pos}/{len} {per_sec}";

/// Hand a part of the stream, or exported files, to persister or rollups once more
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Replay {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    start: Option<Start>,
}

/// It is there when `into` is; clap's own group is empty where arguments are flattened.
#[derive(Debug, Args)]
#[group(args(["into"]))]
struct Start {
    /// Whose handler gets the messages
    #[arg(long, value_enum)]
    into: Into,
    /// Read these files instead, which `export` has written, plain or compressed
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = ["from", "to", "subject"])]
    file: Vec<PathBuf>,
    /// First message: a stream sequence, or when it was received [default: the first there is]
    #[arg(long, value_name = "SEQUENCE|TIME")]
    from: Option<Bound>,
    /// Last message: a sequence, or a time before which it was received [default: the last there is now]
    #[arg(long, value_name = "SEQUENCE|TIME")]
    to: Option<Bound>,
    /// Only these subjects, for example analytics.cart_confirmed
    #[arg(long, default_value = subject::ALL_EVENTS, value_parser = of_events)]
    subject: String,
    /// At most so many messages a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    /// Name to resume, pause or cancel it by [default: made of the part]
    #[arg(long, conflicts_with = "dry_run", value_parser = name)]
    name: Option<String>,
    /// Count by event and day what is there and what would be new, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    config: ServiceArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Show every replay and how far it is
    List(List),
    /// Stop one where it is; it can be resumed
    Pause(Named),
    /// Go on with one that was paused, interrupted or killed
    Resume(Resume),
    /// End one for good; what it has stored stays
    Cancel(Cancel),
}

#[derive(Debug, Args)]
struct List {
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
struct Named {
    /// Its name
    name: String,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
struct Resume {
    /// Its name
    name: String,
    /// At most so many messages a second
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    config: ServiceArgs,
}

#[derive(Debug, Args)]
struct Cancel {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    nats: NatsArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Into {
    /// Raw events and dead letters
    Persister,
    /// The rollup tables
    Rollups,
}

impl Replay {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match (self.action, self.start) {
            (Some(Action::List(list)), _) => list.run().await,
            (Some(Action::Pause(named)), _) => named.pause().await,
            (Some(Action::Resume(resume)), _) => {
                let environment = resume.config.environment()?;
                let shutdown = stop::on_signal()?;
                let begun = replay::Replay::resume(&environment, &resume.name).await?;
                go_on(begun, resume.rate, resume.output, &shutdown).await
            }
            (Some(Action::Cancel(Cancel { named, nats })), _) => {
                let link = Link::new(&nats.nats_url, "valera-replay");
                replay::cancel(&named.database.database_url, &link, &named.name).await?;
                output::print(&format!("cancelled {}\n", named.name))
            }
            (None, Some(start)) => start.run().await,
            (None, None) => bail!("nothing to replay: --into says whose handler gets the messages"),
        }
    }
}

impl Start {
    async fn run(self) -> anyhow::Result<()> {
        let environment = self.config.environment()?;
        let into = match self.into {
            Into::Persister => Service::Persister,
            Into::Rollups => Service::Rollups,
        };
        let shutdown = stop::on_signal()?;
        if !self.file.is_empty() {
            let request = FilesRequest { name: self.name, into, files: self.file };
            if !self.dry_run {
                let begun = replay::Replay::begin_files(&environment, &request).await?;
                return go_on(begun, self.rate, self.output, &shutdown).await;
            }
            let bar = output::progress_bar(COUNTED);
            let watch = |progress: &Progress| show(&bar, progress);
            let rows = replay::preview_files(&environment, &request, self.rate, watch, &shutdown).await?;
            bar.finish_and_clear();
            self.output.print(&rows, report::preview)?;
            return require_whole(rows.iter().map(|row| row.rejected).sum());
        }
        let request = Request { name: self.name, into, from: self.from, to: self.to, subject: self.subject };
        if !self.dry_run {
            let begun = replay::Replay::begin(&environment, &request).await?;
            return go_on(begun, self.rate, self.output, &shutdown).await;
        }
        let bar = output::progress_bar(COUNTED);
        let watch = |progress: &Progress| show(&bar, progress);
        let rows = replay::preview(&environment, &request, self.rate, watch, &shutdown).await?;
        bar.finish_and_clear();
        self.output.print(&rows, report::preview)
    }
}

fn of_events(text: &str) -> Result<String, String> {
    if subject::is_of_events(text) {
        return Ok(text.to_owned());
    }
    Err(match subject::of_event(text) {
        Some(subject) => format!("that is an event; its subject is {subject}"),
        None => "events have the subjects analytics.NAME, for example analytics.cart_confirmed, or all of them analytics.>"
            .to_owned(),
    })
}

/// The longest name, in characters: `replay list` has room for it.
const LONGEST_NAME: usize = 64;

/// A name that a shell, and the commands that take it, can tell from all else.
fn name(text: &str) -> Result<String, String> {
    let is_legal = |letter: char| letter.is_alphanumeric() || "._-".contains(letter);
    let is_short = (1..=LONGEST_NAME).contains(&text.chars().count());
    if is_short && text.chars().all(is_legal) && !text.starts_with('-') {
        return Ok(text.to_owned());
    }
    Err(format!("a name is 1 to {LONGEST_NAME} letters, digits, dots, _ and -, and does not begin with -"))
}

/// Lines of files that are refused have no dead letter, so nothing else tells of them later.
fn require_whole(refused: u64) -> anyhow::Result<()> {
    ensure!(refused == 0, "{refused} lines were refused, as said above; all others are counted");
    Ok(())
}

async fn go_on(
    replay: replay::Replay,
    rate: Option<u32>,
    output: OutputArgs,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let ReplayRow { name, consumer, position, last_seq, .. } = replay.row();
    tracing::info!(replay = name, into = consumer, after = position, upto = last_seq, "replaying");
    let bar = output::progress_bar(COUNTED);
    let (end, row) = replay.run(rate, |progress| show(&bar, progress), shutdown).await?;
    bar.finish_and_clear();
    let row = report::with_state(row);
    output.print(std::slice::from_ref(&row), |rows, _| rows.iter().map(report::replayed).collect())?;
    let refused = if row.files.is_some() { u64::try_from(row.rejected).unwrap_or(0) } else { 0 };
    match end {
        End::Done => require_whole(refused),
        End::Paused | End::Cancelled => Ok(()),
        End::Stopped => bail!("interrupted; `valera-analytics replay resume {}` goes on there", row.name),
    }
}

impl List {
    async fn run(self) -> anyhow::Result<()> {
        let mut writer = Writer::new(&self.database.database_url, "valera replay", "")?;
        let rows = replays::all(writer.connection().await?).await?;
        let rows: Vec<_> = rows.into_iter().map(report::with_state).collect();
        self.output.print(&rows, report::replays)
    }
}

impl Named {
    async fn pause(self) -> anyhow::Result<()> {
        let mut writer = Writer::new(&self.database.database_url, "valera replay", "")?;
        let known = replays::set_status(writer.connection().await?, &self.name, "paused").await?;
        ensure!(known, "there is no open replay {}", self.name);
        output::print(&format!(
            "paused {name}; `valera-analytics replay resume {name}` goes on where it is\n",
            name = self.name
        ))
    }
}

fn show(bar: &ProgressBar, progress: &Progress) {
    bar.set_length((progress.last + 1).saturating_sub(progress.first));
    bar.set_position((progress.position + 1).saturating_sub(progress.first));
    let behind = progress.behind.map(|behind| format!("waiting: live traffic is {behind} messages behind"));
    bar.set_message(behind.unwrap_or_default());
}
