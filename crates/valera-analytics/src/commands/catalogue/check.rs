//! `catalogue check`: tries a changed catalogue on the recorded stream and the dead letters, and refuses one that would
//! refuse what is accepted today.

use super::read;
use crate::{
    config::{DatabaseArgs, NatsArgs},
    output, report,
    since::Since,
};
use anyhow::{bail, ensure};
use chrono::SecondsFormat;
use clap::Args;
use std::path::PathBuf;
use valera_events::Catalogue;
use valera_pipeline::{consume::Link, service::STREAM, store::Writer, trial::Trial};

/// Try a changed catalogue on what was recorded; exit 1 when it would refuse too much of what is accepted, or nothing is there
#[derive(Debug, Args)]
pub(super) struct Check {
    /// The changed catalogue, as schemas/catalogue.json renders it
    file: PathBuf,
    /// How far back the stream is read: so long ago, for example 30d or 12h, or a time in RFC 3339
    #[arg(long, default_value = "30d", value_name = "WHEN")]
    against: Since,
    /// The catalogue that judges now [default: this program's, which is FILE's where it is built from the changed source]
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// The greatest share of an event's messages accepted now that may be refused anew, in percent
    #[arg(long, default_value = "0.1", value_name = "PERCENT", value_parser = percent)]
    max_share: f64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    nats: NatsArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

fn percent(text: &str) -> Result<f64, &'static str> {
    let number = text.strip_suffix('%').unwrap_or(text).parse().ok();
    number.filter(|percent| (0.0..=100.0).contains(percent)).ok_or("expected percent, from 0 to 100")
}

impl Check {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let after = read(&self.file)?;
        let before = self.from.as_deref().map_or(Ok(Catalogue::OURS), read)?;
        let mut trial = Trial::new(before, after);
        let progress = output::progress_bar("{pos}/{len} messages");
        let link = Link::new(&self.nats.nats_url, "valera-catalogue-check");
        let read_stream = trial.read_stream(&link, self.against.0, |read, of| {
            progress.set_length(of);
            progress.set_position(read);
        });
        read_stream.await?;
        progress.finish_and_clear();
        let mut writer = Writer::new(&self.database.database_url, "valera catalogue check", "")?;
        trial.read_letters(writer.connection().await?).await?;

        let rows = trial.into_rows();
        if self.json {
            output::print(&report::json(&rows)?)?;
        } else {
            output::print(&report::tried(&rows, output::style()))?;
        }
        // Green without evidence would be worse than red: this stands in CI. Letters alone say nothing of what is accepted.
        ensure!(
            rows.iter().any(|row| row.messages > 0),
            "there was nothing to judge by: {STREAM} has no message that was received since {}; give --against a longer span",
            self.against.0.to_rfc3339_opts(SecondsFormat::Secs, true)
        );
        let excessive: Vec<_> =
            rows.iter().filter(|row| row.exceeds(self.max_share)).map(report::accusation).collect();
        if !excessive.is_empty() {
            bail!("this catalogue would refuse more than {} % of {}", self.max_share, excessive.join("; "));
        }
        Ok(())
    }
}
