//! `alerts digest`: what one local day came to, as the morning message tells it; shown here, or sent to a channel now.
//!
//! It reads the rollups and needs nothing but Postgres. What is sent by hand is sent each time that it is asked for: it goes
//! past the claims of the morning message, and does not stand in its way.

use crate::{
    commands::period,
    config::{DatabaseArgs, DeliveryArgs, ZoneArgs},
    output, report,
};
use anyhow::Context;
use chrono::{NaiveDate, Utc};
use clap::Args;
use serde::Serialize;
use uuid::Uuid;
use valera_pipeline::{
    alerts::delivery::{Configured, Notifier},
    store::{Writer, reports},
};

/// Show what a day came to, as the morning message tells it
#[derive(Debug, Args)]
pub(super) struct Digest {
    /// Which local day, for example 2026-11-24 [default: yesterday]
    #[arg(long, value_name = "DAY", value_parser = period::day)]
    day: Option<NaiveDate>,
    /// Print the message; it is what happens without any option too
    #[arg(long)]
    print: bool,
    /// Print the figures as JSON
    #[arg(long, conflicts_with = "print")]
    json: bool,
    /// Send the message to this channel now
    #[arg(long, value_name = "CHANNEL", value_parser = Configured::NAMES, conflicts_with_all = ["print", "json"])]
    to: Option<String>,
    #[command(flatten)]
    delivery: DeliveryArgs,
    #[command(flatten)]
    zone: ZoneArgs,
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
        // Before Postgres is asked for anything.
        let channel = self.to.as_deref().map(|name| self.delivery.channel(name)).transpose()?;
        let texts = self.delivery.texts(self.zone.time_zone.as_deref())?;
        let figures = self.figures().await?;
        if self.json {
            return output::print(&report::json(&figures)?);
        }
        let Figures { digest, is_over } = figures;
        // Each call is another message.
        let key = format!("digest/{}/{}", digest.day, Uuid::now_v7());
        let message = texts.digest(&digest, is_over, key)?;
        let Some(channel) = channel else { return output::print(&format!("{}\n", message.text)) };
        Notifier::show(channel.open()?.as_mut(), &message).await?;
        output::print(&format!("{}: shown\n", channel.name()))
    }

    async fn figures(&self) -> anyhow::Result<Figures> {
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
        Ok(Figures { digest: reports::digest(connection, day).await?, is_over })
    }
}
