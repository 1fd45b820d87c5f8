//! `funnel`: how many dialogs become bookings, by local day, week or cohort or over a whole period, from the rollups.

use super::period::{Period, PeriodArgs};
use crate::{
    config::DatabaseArgs,
    output::{self, OutputArgs},
    report::{self, FunnelCohort, FunnelCounts, FunnelDay, FunnelPeriod, FunnelWeek},
};
use chrono::{NaiveDate, Weekday};
use clap::{Args, ValueEnum};
use valera_pipeline::store::{Writer, reports};

/// Show the funnel: how many dialogs become bookings
///
/// Of a period in local days: --days N, or --from and --to. Without either it is the last 14 days, with --by week or
/// cohort the last 8 weeks. Counts are of chats.
#[derive(Debug, Args)]
pub struct Funnel {
    #[command(flatten)]
    period: PeriodArgs,
    /// How to group
    #[arg(long, value_enum, default_value_t = By::Day)]
    by: By,
    #[command(flatten)]
    output: OutputArgs,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// What each day's chats did on that day
    Day,
    /// What each week's chats did in that week; weeks are whole, from Monday
    Week,
    /// By the week of a chat's first dialog in the period, whenever the rest came; weeks are whole
    Cohort,
    /// One row over the period, each chat counted once
    Whole,
}

impl By {
    fn default_days(self) -> u64 {
        match self {
            Self::Day | Self::Whole => 14,
            Self::Week | Self::Cohort => 8 * 7 - 6,
        }
    }
}

impl Funnel {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let mut writer = Writer::new(&self.database.database_url, "valera funnel", "")?;
        let asked = self.period.resolve(&mut writer, self.by.default_days()).await?;
        let Period { from, to } = match self.by {
            By::Day | By::Whole => asked,
            By::Week | By::Cohort => whole_weeks(asked),
        };
        let period = Period { from, to }.to_string();
        let connection = writer.connection().await?;
        match self.by {
            By::Day => {
                let days: Vec<FunnelDay> = reports::funnel_daily(connection, from, to).await?;
                if self.output.print_for_programs(&days)? {
                    return Ok(());
                }
                let total: FunnelCounts = reports::funnel_period(connection, from, to).await?;
                output::print(&report::funnel(&days, &total, &period, output::style()))
            }
            By::Week => {
                let weeks: Vec<FunnelWeek> = reports::funnel_weekly(connection, from, to).await?;
                if self.output.print_for_programs(&weeks)? {
                    return Ok(());
                }
                let total: FunnelCounts = reports::funnel_period(connection, from, to).await?;
                output::print(&report::funnel_weeks(&weeks, &total, &period, output::style()))
            }
            By::Cohort => {
                let cohorts: Vec<FunnelCohort> = reports::weekly_cohorts(connection, from, to).await?;
                self.output.print(&cohorts, |cohorts, style| report::funnel_cohorts(cohorts, &period, style))
            }
            By::Whole => {
                let whole: FunnelPeriod = reports::funnel_period(connection, from, to).await?;
                // As in every report, nothing is no row.
                let rows = Vec::from_iter((whole.counts.chats > 0).then_some(whole));
                self.output.print(&rows, |rows, style| report::funnel_whole(rows.first(), &period, style))
            }
        }
    }
}

/// The weeks that a period touches, from their first Monday to their last Sunday.
fn whole_weeks(period: Period) -> Period {
    let week = |day: NaiveDate| day.week(Weekday::Mon);
    Period {
        from: week(period.from).checked_first_day().unwrap_or(period.from),
        to: week(period.to).checked_last_day().unwrap_or(period.to),
    }
}
