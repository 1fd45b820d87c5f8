//! `rebuild`: all rollups from zero, beside live traffic; shows what would change, and swaps on a yes.
//!
//! It also changes the zone in which days are cut, and fills a rollup that is new. It does not publish or store any event.

use super::stop;
use crate::{config::ServiceArgs, output, report};
use anyhow::bail;
use clap::Args;
use indicatif::ProgressBar;
use std::time::{Duration, Instant};
use valera_pipeline::rebuild::{self, Stage, Swapped};

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
    /// Print the differences as JSON
    #[arg(long, conflicts_with = "swap_back")]
    json: bool,
    #[command(flatten)]
    config: ServiceArgs,
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
            return output::print(&done(&swapped));
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
        if self.json {
            output::print(&report::json(rebuilt.comparison())?)?;
        } else {
            output::print(&report::differences(rebuilt.comparison(), output::style()))?;
        }
        let question = format!("swap them in? days are cut in {}", rebuilt.time_zone());
        let answer = if self.yes { Some(true) } else { output::ask(&question)? };
        if answer != Some(true) {
            rebuilt.discard().await?;
            match answer {
                None => bail!("not swapped in, there is no terminal to ask at: --yes swaps without asking"),
                _ => return output::print("not swapped in\n"),
            }
        }
        let swapped = rebuilt.swap(|stage| show(&bar, stage)).await?;
        bar.finish_and_clear();
        if self.json {
            tracing::info!(held = ?swapped.held, zone = swapped.time_zone, "swapped in");
            return Ok(());
        }
        output::print(&done(&swapped))
    }
}

fn done(swapped: &Swapped) -> String {
    let Swapped { held, time_zone, refused } = swapped;
    let refused = match refused.len() {
        0 => String::new(),
        count => format!("left out, because Postgres refused to store them: {count} events, in the dead letters\n"),
    };
    format!(
        "{refused}swapped in; folds waited {} ms; days are cut in {time_zone}\n\
         what was replaced is in the schema rollups_previous; `valera-analytics rebuild --swap-back` puts it back\n",
        held.as_millis()
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
