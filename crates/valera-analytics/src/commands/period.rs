//! The period of a report: the last so many days, or from one day to another, in local days.
//!
//! It does not know which report.

use crate::output::WrongUsage;
use anyhow::ensure;
use chrono::{Days, NaiveDate, Utc};
use clap::Args;
use std::fmt;
use valera_pipeline::store::{Writer, reports};

/// How a period is asked for.
#[derive(Debug, Clone, Args)]
pub(super) struct PeriodArgs {
    /// The last so many days, today (or the day of --to) among them
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=36_600), conflicts_with = "from")]
    days: Option<u64>,
    /// First local day, for example 2026-11-24
    #[arg(long, value_name = "DAY", value_parser = day)]
    from: Option<NaiveDate>,
    /// Last local day, for example 2026-11-24 [default: today]
    #[arg(long, value_name = "DAY", value_parser = day)]
    to: Option<NaiveDate>,
}

/// Local days, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Period {
    pub(super) from: NaiveDate,
    pub(super) to: NaiveDate,
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} to {}", self.from, self.to)
    }
}

/// A day as it is given.
pub(super) fn day(text: &str) -> Result<NaiveDate, &'static str> {
    // chrono would take years of any length.
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| text.len() == 10);
    day.ok_or("expected a day, for example 2026-11-24")
}

impl PeriodArgs {
    /// Whether anything was asked for.
    pub(super) fn is_given(&self) -> bool {
        self.days.is_some() || self.from.is_some() || self.to.is_some()
    }

    /// The period, of `default_days` where neither `--days` nor `--from` says another.
    ///
    /// # Errors
    /// [`WrongUsage`] when it would end before it begins; else when Postgres does not say what day it is.
    pub(super) async fn resolve(&self, writer: &mut Writer, default_days: u64) -> anyhow::Result<Period> {
        if let (Some(from), Some(to)) = (self.from, self.to) {
            ensure!(from <= to, WrongUsage(format!("--from {from} is after --to {to}")));
            return Ok(Period { from, to });
        }
        let to = match self.to {
            Some(to) => to,
            None => reports::local_day(writer.connection().await?, Utc::now()).await?,
        };
        let before = Days::new(self.days.unwrap_or(default_days) - 1);
        let from = self.from.unwrap_or_else(|| to.checked_sub_days(before).unwrap_or(to));
        ensure!(from <= to, WrongUsage(format!("--from {from} is after today, {to}")));
        Ok(Period { from, to })
    }
}
