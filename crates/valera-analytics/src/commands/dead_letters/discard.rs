//! `dead-letters discard`: an operator's decision that letters shall not be stored, with his reason.
//!
//! The rows stay, so that a replay does not bring them back. A letter that is being retried is not discarded: its verdict is
//! on its way.

use super::{Narrowed, Status};
use crate::{config::DatabaseArgs, output};
use anyhow::ensure;
use clap::{ArgGroup, Args};
use uuid::Uuid;
use valera_pipeline::store::{Writer, letters::desk};

/// Decide that open letters shall not be stored
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(["ids", "event", "since", "all"]))]
pub(super) struct Discard {
    /// Ids of letters
    #[arg(value_name = "ID")]
    ids: Vec<Uuid>,
    /// All open letters
    #[arg(long, conflicts_with = "ids")]
    all: bool,
    #[command(flatten)]
    narrowed: Narrowed,
    /// Why, in words that are kept with them
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    reason: String,
    #[command(flatten)]
    database: DatabaseArgs,
}

impl Discard {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut writer = Writer::new(&self.database.database_url, "valera dead-letters", "")?;
        let named = self.ids.len();
        let filter = self.narrowed.filter(self.ids, None, &[Status::Open.as_str()]);
        let discarded = desk::discard(writer.connection().await?, &filter, &self.reason).await?.len();
        output::print(&format!("{discarded} letters discarded\n"))?;
        ensure!(named <= discarded, "{} of the letters named are not open", named - discarded);
        Ok(())
    }
}
