//! `rebuild`: all rollups from zero, beside live traffic; shows what would change, and swaps on a yes.
//!
//! It also changes the zone in which days are cut, and fills a rollup that is new. It does not publish or store any event.

use super::stop;
use crate::{config::ServiceArgs, output, report};
use anyhow::{Context, ensure};
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use std::time::{Duration, Instant};
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
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    wait: u64,
    /// Print JSON: what differs, and what a swap did; asks nobody
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    config: ServiceArgs,
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
        let environment = self.config.environment()?;
        let patience = Duration::from_secs(self.wait);
        let shutdown = stop::on_signal()?;
        let bar = output::progress_bar("{pos}/{len} {per_sec}");
        let started = Instant::now();
        if self.swap_back {
            let swapped = rebuild::swap_back(&environment, patience, |stage| show(&bar, stage), &shutdown).await?;
            bar.finish_and_clear();
            return self.tell(None, Some(swapped));
        }
        let mut events = 0;
        let watch = |stage| {
            if let Stage::Folding { done, .. } = stage {
                events = done;
            }
            show(&bar, stage);
        };
        let rebuilt = rebuild::Rebuild::build(&environment, patience, watch, &shutdown).await?;
        bar.finish_and_clear();
        let seconds = started.elapsed().as_secs_f64();
        tracing::info!(events, seconds, per_second = events as f64 / seconds, zone = rebuilt.time_zone(), "rebuilt");
        let comparison = rebuilt.comparison().clone();
        let swapped = match self.answer(&rebuilt, &shutdown).await {
            Ok(Some(true)) => rebuilt.swap(|stage| show(&bar, stage)).await.map(Some),
            other => rebuilt.discard().await.and(refused(other)),
        };
        bar.finish_and_clear();
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

fn show(bar: &ProgressBar, stage: Stage) {
    let message = match stage {
        Stage::Folding { done, of } => {
            bar.set_length(of);
            bar.set_position(done);
            String::new()
        }
        Stage::GivingWay { behind } => format!("waiting: live folds are {behind} messages behind"),
        Stage::CatchingUp { left } => format!("catching up: {left} events"),
        Stage::AwaitingRaw { left } => format!("waiting for the persister: {left} events"),
        Stage::AwaitingReaders => "waiting for a long query or a recount".to_owned(),
        Stage::Comparing(rollup) => format!("comparing {rollup}"),
    };
    bar.set_message(message);
}
