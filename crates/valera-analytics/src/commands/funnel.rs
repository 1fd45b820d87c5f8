//! `funnel`: how many dialogs become bookings, by local day, from the rollups.

use crate::{
    config::DatabaseArgs,
    output::OutputArgs,
    report::{self, FunnelDay},
};
use anyhow::ensure;
use chrono::{Days, NaiveDate, Utc};
use clap::Args;
use valera_pipeline::store::{Writer, reports};

/// Show the funnel by day
#[derive(Debug, Args)]
pub struct Funnel {
    /// The last so many days, today among them
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u64).range(1..=36_600), conflicts_with = "from")]
    days: u64,
    /// First local day, as 2026-11-24
    #[arg(long, value_name = "DAY")]
    from: Option<NaiveDate>,
    /// Last local day [default: today]
    #[arg(long, value_name = "DAY")]
    to: Option<NaiveDate>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

impl Funnel {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut writer = Writer::new(&self.database.database_url, "valera funnel", "")?;
        let connection = writer.connection().await?;
        let to = match self.to {
            Some(day) => day,
            None => reports::local_day(connection, Utc::now()).await?,
        };
        let from = self.from.unwrap_or_else(|| to.checked_sub_days(Days::new(self.days - 1)).unwrap_or(to));
        ensure!(from <= to, "--from {from} is after --to {to}");
        let days: Vec<FunnelDay> = reports::funnel_daily(connection, from, to).await?;
        self.output.print(&days, report::funnel)
    }
}
