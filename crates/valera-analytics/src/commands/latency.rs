//! `latency`: how fast the assistant answered, by hour, day, model or over a whole period, from the rollups.

use super::period::PeriodArgs;
use crate::{
    config::DatabaseArgs,
    output::{self, OutputArgs},
    report::{self, LatencyRow},
};
use chrono::{DateTime, TimeDelta, Utc};
use clap::{Args, ValueEnum};
use valera_pipeline::store::{
    Writer,
    reports::{self, Grain},
};

/// Show response times
///
/// Of a period in local days: --days N, or --from and --to; or of the last --hours N. Without any it is the last 24 hours.
#[derive(Debug, Args)]
pub struct Latency {
    /// The last so many hours [default: 24]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=900_000),
        conflicts_with_all = ["days", "from", "to"]
    )]
    hours: Option<u32>,
    #[command(flatten)]
    period: PeriodArgs,
    /// How to group [default: hour, or day for a period of days]
    #[arg(long, value_enum)]
    by: Option<By>,
    /// Only this model, as it is named in the reports
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum By {
    /// A row for each hour and model
    Hour,
    /// A row for each local day and model
    Day,
    /// A row for each model
    Model,
    /// One row over everything
    Whole,
}

impl Latency {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut writer = Writer::new(&self.database.database_url, "valera latency", "")?;
        let grain = match (self.by, self.period.is_given()) {
            (Some(By::Hour), _) | (None, false) => Grain::Hour,
            (Some(By::Day), _) | (None, true) => Grain::Day,
            (Some(By::Model), _) => Grain::Model,
            (Some(By::Whole), _) => Grain::Whole,
        };
        let (between, period) = self.resolve(&mut writer, grain).await?;
        let connection = writer.connection().await?;
        let model = self.model.as_deref();
        let rows: Vec<LatencyRow> = reports::response_times(connection, grain, between, model).await?;
        if self.output.print_for_programs(&rows)? {
            return Ok(());
        }
        // A single row is its own total.
        let total: Vec<LatencyRow> = match rows.len() {
            0 | 1 => Vec::new(),
            _ => reports::response_times(connection, Grain::Whole, between, model).await?,
        };
        let period = model.map_or_else(|| period.clone(), |model| format!("of {model} {period}"));
        output::print(&report::latency(&rows, total.first(), &period, output::style()))
    }

    /// From when to when, and how that is said. Days are whole, so that the total is over the hours that the rows are over.
    async fn resolve(
        &self,
        writer: &mut Writer,
        grain: Grain,
    ) -> anyhow::Result<((DateTime<Utc>, DateTime<Utc>), String)> {
        if self.period.is_given() {
            let period = self.period.resolve(writer, 1).await?;
            let between = reports::hours_of_days(writer.connection().await?, period.from, period.to).await?;
            return Ok((between, period.to_string()));
        }
        let (hours, now) = (self.hours.unwrap_or(24), Utc::now());
        let (from, said) = (now - TimeDelta::hours(i64::from(hours)), format!("in the last {hours} hours"));
        if grain != Grain::Day {
            return Ok(((from, now), said));
        }
        let connection = writer.connection().await?;
        let days = (reports::local_day(connection, from).await?, reports::local_day(connection, now).await?);
        Ok((
            reports::hours_of_days(connection, days.0, days.1).await?,
            format!("on the days of the last {hours} hours"),
        ))
    }
}
