//! `latency`: how fast the assistant answered, by hour, day or over a period, and by model, from the rollups.

use crate::{
    config::DatabaseArgs,
    output::OutputArgs,
    report::{self, LatencyRow},
};
use chrono::{TimeDelta, Utc};
use clap::{Args, ValueEnum};
use valera_pipeline::store::{
    Writer,
    reports::{self, Grain},
};

/// Show response times by model
#[derive(Debug, Args)]
pub struct Latency {
    /// The last so many hours
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=900_000), conflicts_with = "days")]
    hours: u32,
    /// The last so many days, counted as 24 hours
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_600))]
    days: Option<u32>,
    /// How to group [default: hour, or day with --days]
    #[arg(long, value_enum)]
    by: Option<By>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    Hour,
    Day,
    /// The whole period as one row a model
    Whole,
}

impl Latency {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut writer = Writer::new(&self.database.database_url, "valera latency", "")?;
        let connection = writer.connection().await?;
        let hours = self.days.map_or(self.hours, |days| days * 24);
        let grain = match (self.by, self.days) {
            (Some(By::Hour), _) | (None, None) => Grain::Hour,
            (Some(By::Day), _) | (None, Some(_)) => Grain::Day,
            (Some(By::Whole), _) => Grain::Whole,
        };
        let to = Utc::now();
        let from = to - TimeDelta::hours(i64::from(hours));
        let rows: Vec<LatencyRow> = reports::response_times(connection, grain, from, to).await?;
        self.output.print(&rows, |rows, style| report::latency(rows, None, style))
    }
}
