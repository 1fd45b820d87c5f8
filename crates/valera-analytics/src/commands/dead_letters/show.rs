//! `dead-letters show`: one letter whole, with its bytes.
//!
//! The payload is what was sent, personal values included: it is for operators.

use super::letter_id;
use crate::{config::DatabaseArgs, output, report};
use anyhow::Context;
use clap::Args;
use uuid::Uuid;
use valera_pipeline::store::{
    Writer,
    letters::desk::{self, Filter},
};

/// Show one letter with its payload: personal values included
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The letter's id, as `list` gives it
    #[arg(value_parser = letter_id)]
    id: Uuid,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    database: DatabaseArgs,
}

impl Show {
    pub(super) async fn run(self) -> anyhow::Result<()> {
        let mut writer = Writer::new(&self.database.database_url, "valera dead-letters", "")?;
        let filter = Filter { ids: vec![self.id], ..Filter::default() };
        let found = desk::page(writer.connection().await?, &filter, None, 1).await?;
        let letter = found.into_iter().next().with_context(|| format!("there is no letter {}", self.id))?;
        if self.json {
            return output::print(&report::json(&report::letter_json(&letter))?);
        }
        output::print(&report::letter(&letter))
    }
}
