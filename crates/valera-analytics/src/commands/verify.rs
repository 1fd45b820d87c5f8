//! `verify`: recounts every rollup bucket from raw events and names what differs; beside live traffic. It mends nothing
//! unless `--repair` asks for it.

use crate::{
    config::{DatabaseArgs, NatsArgs},
    output, report,
};
use anyhow::{bail, ensure};
use clap::Args;
use indicatif::ProgressBar;
use serde::Serialize;
use std::time::Duration;
use valera_pipeline::{
    consume::Link,
    verify::{self, Position, Repaired, Verdict},
};

/// Recount every rollup from raw events; exit 1 when anything differs
#[derive(Debug, Args)]
pub struct Verify {
    /// Seconds to wait for events that the rollups have and raw has not, at most 240
    #[arg(long, default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(..=240))]
    wait: u64,
    /// Write the recount over buckets that differ; folds wait meanwhile, events are kept
    #[arg(long)]
    repair: bool,
    /// Only hold what the consumers have acknowledged against what Postgres has: one put back to an earlier point has less
    #[arg(long, conflicts_with_all = ["repair", "wait"])]
    position: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    nats: NatsArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// What is printed as JSON.
#[derive(Serialize)]
struct Told {
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired: Option<Repaired>,
    #[serde(flatten)]
    verdict: Verdict,
}

impl Verify {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if self.position {
            return self.held_against_acknowledged().await;
        }
        let progress = ProgressBar::new_spinner();
        progress.enable_steady_tick(Duration::from_millis(100));
        let mut verdict = self.verdict(&progress).await?;
        let mut repaired = None;
        if self.repair && verdict.is_repairable() {
            progress.set_message("waiting for the folds");
            let on_rollup = |rollup| progress.set_message(format!("repairing {rollup}"));
            repaired = Some(verify::repair(&self.database.database_url, self.patience(), on_rollup).await?);
            verdict = self.verdict(&progress).await?;
        }
        progress.finish_and_clear();
        let told = Told { repaired, verdict };
        if self.json {
            output::print(&report::json(&told)?)?;
        } else {
            output::print(&report::verdict(&told.verdict, output::style()))?;
            output::print(&told.repaired.map(report::repaired).unwrap_or_default())?;
        }
        if !told.verdict.agrees() {
            bail!("raw events and rollups differ");
        }
        Ok(())
    }

    async fn held_against_acknowledged(&self) -> anyhow::Result<()> {
        let found = verify::positions(&self.link(), &self.database.database_url).await?;
        output::print(&if self.json { report::json(&found)? } else { report::positions(&found) })?;
        ensure!(found.iter().all(Position::agrees), "Postgres and the stream do not go together, see above");
        Ok(())
    }

    fn link(&self) -> Link {
        Link::new(&self.nats.nats_url, "valera-verify")
    }

    async fn verdict(&self, progress: &ProgressBar) -> anyhow::Result<Verdict> {
        progress.set_message("comparing raw with the inbox");
        let on_rollup = |rollup| progress.set_message(format!("recounting {rollup}"));
        verify::verify(&self.link(), &self.database.database_url, self.patience(), on_rollup).await
    }

    fn patience(&self) -> Duration {
        Duration::from_secs(self.wait)
    }
}
