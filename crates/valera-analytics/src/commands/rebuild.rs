//! `rebuild`: all rollups from zero, beside live traffic; shows what would change, and swaps on a yes.
//!
//! It also changes the zone in which days are cut, and fills a rollup that is new. It does not publish or store any event.

use super::stop;
use crate::{
    config::ServiceArgs,
    output::{self, WrongUsage},
    report,
};
use anyhow::{Context, ensure};
use clap::{ArgMatches, Args, Command, FromArgMatches, parser::ValueSource};
use indicatif::ProgressBar;
use serde::Serialize;
use std::{
    mem::{self, Discriminant},
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;
use valera_pipeline::rebuild::{self, Comparison, Stage, Swapped};

/// Build all rollups anew from raw events, show what differs, and swap them in
#[derive(Debug, Args)]
pub struct Rebuild {
    /// Swap without asking
    #[arg(long)]
    yes: bool,
    /// Put back what the last rebuild replaced, caught up with what came since
    #[arg(long)]
    swap_back: bool,
    /// Seconds to wait for events that the rollups have and raw has not, once the persister has nothing older to do
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    wait: u64,
    /// Print JSON: what differs, and what a swap did; asks nobody
    #[arg(long)]
    json: bool,
    // Before what it looks for: arguments are taken out of the matches in this order.
    #[command(flatten)]
    asked: Asked,
    #[command(flatten)]
    config: ServiceArgs,
}

/// Whether a zone was asked for on the command line. One from the environment is there for all commands alike, so clap's
/// `conflicts_with`, which does not tell them apart, would forbid every swap back.
#[derive(Debug)]
struct Asked {
    zone: bool,
}

impl FromArgMatches for Asked {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self { zone: matches.value_source("time_zone") == Some(ValueSource::CommandLine) })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Args for Asked {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Told {
    /// A swap back compares nothing.
    #[serde(flatten)]
    comparison: Option<Comparison>,
    swapped: Option<Swapped>,
}

impl Rebuild {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let wrong = "--swap-back puts back the zone in which the replaced rollups cut days: leave out --timezone";
        ensure!(!(self.swap_back && self.asked.zone), WrongUsage(wrong.to_owned()));
        let environment = self.config.environment()?;
        let patience = Duration::from_secs(self.wait);
        let shutdown = stop::on_signal()?;
        let mut watch = Watch { bar: output::progress_bar("{pos}/{len} {per_sec}"), told: Vec::new() };
        let started = Instant::now();
        if self.swap_back {
            let swapped = rebuild::swap_back(&environment, patience, |stage| watch.show(stage), &shutdown).await?;
            watch.bar.finish_and_clear();
            return self.tell(None, Some(swapped));
        }
        let mut events = 0;
        let on_stage = |stage| {
            if let Stage::Folding { done, .. } = stage {
                events = done;
            }
            watch.show(stage);
        };
        let rebuilt = rebuild::Rebuild::build(&environment, patience, on_stage, &shutdown).await?;
        watch.bar.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        tracing::info!(events, seconds, per_second = events as f64 / seconds, zone = rebuilt.time_zone(), "rebuilt");
        let comparison = rebuilt.comparison().clone();
        let swapped = match self.answer(&rebuilt, &shutdown).await {
            Ok(Some(true)) => rebuilt.swap(|stage| watch.show(stage)).await.map(Some),
            other => rebuilt.discard().await.and(refused(other)),
        };
        watch.bar.finish_and_clear();
        match swapped {
            Ok(swapped) => self.tell(Some(comparison), swapped),
            Err(cause) if self.json => self.tell(Some(comparison), None).and(Err(cause)),
            Err(cause) => Err(cause),
        }
    }

    /// Shows what differs and asks; `None` where nobody can answer.
    async fn answer(&self, rebuilt: &rebuild::Rebuild, shutdown: &CancellationToken) -> anyhow::Result<Option<bool>> {
        if !self.json {
            output::print(&report::differences(rebuilt.comparison(), output::style()))?;
        }
        let question = format!("swap them in? days are cut in {}", rebuilt.time_zone());
        match (self.yes, self.json) {
            (true, _) => Ok(Some(true)),
            (false, true) => Ok(None),
            (false, false) => output::ask(&question, shutdown).await,
        }
    }

    fn tell(&self, comparison: Option<Comparison>, swapped: Option<Swapped>) -> anyhow::Result<()> {
        output::print(&match swapped {
            swapped if self.json => report::json(&Told { comparison, swapped })?,
            Some(swapped) => done(&swapped),
            None => "not swapped in\n".to_owned(),
        })
    }
}

/// What a rebuild comes to that is not swapped in.
fn refused(answer: anyhow::Result<Option<bool>>) -> anyhow::Result<Option<Swapped>> {
    let answer = answer.context("not swapped in")?;
    ensure!(answer.is_some(), "not swapped in, there is nobody to ask: --yes swaps without asking");
    Ok(None)
}

fn done(swapped: &Swapped) -> String {
    let Swapped { held_ms, time_zone, refused } = swapped;
    let refused = match refused.len() {
        0 => String::new(),
        count => format!("left out, because Postgres refused to store them: {count} events, in the dead letters\n"),
    };
    format!(
        "{refused}swapped in; folds waited {held_ms} ms; days are cut in {time_zone}\n\
         what was replaced is in the schema rollups_previous; `valera-analytics rebuild --swap-back` puts it back\n"
    )
}

/// Shows what a rebuild is at.
struct Watch {
    bar: ProgressBar,
    /// The waits that were told where there is no bar.
    told: Vec<Discriminant<Stage>>,
}

impl Watch {
    fn show(&mut self, stage: Stage) {
        let (message, is_wait) = match stage {
            Stage::Folding { done, of } => {
                self.bar.set_length(of);
                self.bar.set_position(done);
                (String::new(), false)
            }
            Stage::GivingWay { behind } => (format!("waiting: live folds are {behind} messages behind"), true),
            Stage::CatchingUp { left } => (format!("catching up: {left} events"), false),
            Stage::AwaitingRaw { left } => (format!("waiting for the persister: {left} events"), true),
            Stage::AwaitingReaders => ("waiting for a long query or a recount".to_owned(), true),
            Stage::Comparing(rollup) => (format!("comparing {rollup}"), false),
        };
        let which = mem::discriminant(&stage);
        // A wait has no end of its own: the log of a job has to say what it is for, and not four times a second.
        if is_wait && self.bar.is_hidden() && !self.told.contains(&which) {
            self.told.push(which);
            output::note(&message);
        }
        self.bar.set_message(message);
    }
}
