//! `dead-letters list`: how many there are by event and reason, and the newest of them.

use super::{Narrowed, Status, reason_codes, statuses};
use crate::{
    config::DatabaseArgs,
    output,
    report::{self, LetterGroup, LetterLine},
};
use clap::Args;
use serde::Serialize;
use valera_pipeline::store::{
    Writer,
    letters::{UNFINISHED, desk},
};

/// Count letters by event and reason, and list the newest
#[derive(Debug, Args)]
pub(super) struct List {
    #[command(flatten)]
    narrowed: Narrowed,
    /// Only with this reason
    #[arg(long, value_name = "CODE", hide_possible_values = true, value_parser = reason_codes())]
    reason: Option<String>,
    /// Only in these statuses [default: open,retried]
    #[arg(long, value_name = "STATUS", value_delimiter = ',')]
    status: Vec<Status>,
    /// How many letters are listed
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u32).range(..=100_000))]
    limit: u32,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Serialize)]
struct Listed {
    groups: Vec<LetterGroup>,
    letters: Vec<LetterLine>,
}

impl List {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut writer = Writer::new(&self.database.database_url, "valera dead-letters", "")?;
        let connection = writer.connection().await?;
        let filter = self.narrowed.filter(Vec::new(), self.reason, &statuses(&self.status, &UNFINISHED));
        let groups: Vec<LetterGroup> = desk::groups(connection, &filter).await?;
        let letters: Vec<LetterLine> = desk::newest(connection, &filter, i64::from(self.limit)).await?;
        if self.json {
            return output::print(&report::json(&Listed { groups, letters })?);
        }
        if groups.is_empty() {
            return output::print("no dead letters of this kind\n");
        }
        let style = output::style();
        output::print(&format!("{}\n{}", report::letters(&groups, style), report::letter_lines(&letters, style)))
    }
}
