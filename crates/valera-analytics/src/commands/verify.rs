//! `verify`: recounts every rollup bucket from raw events and names what differs; beside live traffic.

use crate::{
    config::{DatabaseArgs, NatsArgs},
    output, report,
};
use anyhow::bail;
use clap::Args;
use indicatif::ProgressBar;
use std::time::Duration;
use valera_pipeline::{consume::Link, verify};

/// Recount every rollup from raw events; exit 1 when anything differs
#[derive(Debug, Args)]
pub struct Verify {
    /// Seconds to wait for events that the rollups have and raw has not
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    wait: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    nats: NatsArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

impl Verify {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let link = Link::new(&self.nats.nats_url, "valera-verify");
        let progress = ProgressBar::new_spinner().with_message("comparing raw with the inbox");
        progress.enable_steady_tick(Duration::from_millis(100));
        let wait = Duration::from_secs(self.wait);
        let verdict = verify::verify(&link, &self.database.database_url, wait, |rollup| {
            progress.set_message(format!("recounting {rollup}"));
        })
        .await?;
        progress.finish_and_clear();
        if self.json {
            output::print(&(serde_json::to_string_pretty(&verdict)? + "\n"))?;
        } else {
            output::print(&report::verdict(&verdict, output::style()))?;
        }
        if !verdict.agrees() {
            bail!("raw events and rollups differ");
        }
        Ok(())
    }
}
