//! `catalogue report`: which declared events never come, which come undeclared, which went silent, and how much of each is
//! accepted.

use crate::{
    config::DatabaseArgs,
    output,
    report::{self, EventDay, EventReport},
};
use chrono::{TimeDelta, Utc};
use clap::Args;
use serde::Serialize;
use valera_events::Catalogue;
use valera_pipeline::store::{Writer, acceptance};

/// Show which declared events come, which do not, and how much of each is accepted
#[derive(Debug, Args)]
#[command(after_help = report::CLOCKS)]
pub(super) struct Report {
    /// The last so many days, by the clock
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=36_600))]
    days: u32,
    /// After how many hours without an accepted event a type counts as silent
    #[arg(long, default_value_t = 48, value_name = "HOURS")]
    silent: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Serialize)]
struct Reported {
    events: Vec<EventReport>,
    days: Vec<EventDay>,
}

impl Report {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let now = Utc::now();
        let mut writer = Writer::new(&self.database.database_url, "valera catalogue report", "")?;
        let connection = writer.connection().await?;
        let days: Vec<EventDay> = acceptance::by_day(connection, now - TimeDelta::days(i64::from(self.days))).await?;
        let last_seen = acceptance::last_seen(connection).await?;
        let silent_since = now - TimeDelta::hours(i64::from(self.silent));
        let events = report::event_reports(Catalogue::OURS, &days, &last_seen, silent_since);
        if self.json {
            return output::print(&report::json(&Reported { events, days })?);
        }
        let style = output::style();
        output::print(&format!(
            "{}\n{}\n{}\n",
            report::events(&events, style),
            report::event_days(&days, style),
            report::CLOCKS
        ))
    }
}
