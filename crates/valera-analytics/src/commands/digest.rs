//! `alerts digest`: what one local day came to, as the morning message tells it.
//!
//! It reads the rollups and needs nothing but Postgres. It does not know when the morning message is sent.

use super::period;
use crate::{
    config::{DatabaseArgs, LanguageArgs},
    output, report,
};
use anyhow::Context;
use chrono::{NaiveDate, Utc};
use clap::Args;
use serde::Serialize;
use valera_pipeline::{
    alerts::digest,
    store::{Writer, reports},
};

/// Show what a day came to, as the morning message tells it
#[derive(Debug, Args)]
pub struct Digest {
    /// Which local day, as 2026-11-24 [default: yesterday]
    #[arg(long, value_name = "DAY", value_parser = period::day)]
    day: Option<NaiveDate>,
    /// Print the message; it is what happens without any option too
    #[arg(long)]
    print: bool,
    /// Print the figures as JSON
    #[arg(long, conflicts_with = "print")]
    json: bool,
    #[command(flatten)]
    language: LanguageArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

/// The figures, and whether the day is over.
#[derive(Serialize)]
struct Figures {
    #[serde(flatten)]
    digest: reports::Digest,
    /// Whether more may still be counted for the day.
    is_over: bool,
}

impl Digest {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut writer = Writer::new(&self.database.database_url, "valera digest", "")?;
        let connection = writer.connection().await?;
        let now = Utc::now();
        let day = match self.day {
            Some(day) => day,
            None => {
                let today = reports::local_day(connection, now).await?;
                today.pred_opt().context("the calendar begins today")?
            }
        };
        let is_over = reports::end_of_day(connection, day).await?.is_some_and(|end| end <= now);
        let digest = reports::digest(connection, day).await?;
        if self.json {
            return output::print(&report::json(&Figures { digest, is_over })?);
        }
        output::print(&format!("{}\n", digest::message(&digest, is_over, self.language.language)?))
    }
}
