//! `migrate`: brings the database to this program's schema and says in which zone its days are cut.

use crate::{
    config::{ContentKeyArgs, DatabaseArgs, ZoneArgs},
    output,
};
use clap::Args;
use valera_pipeline::store::migrate;

/// Bring the database to this program's schema
#[derive(Debug, Args)]
pub struct Migrate {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    zone: ZoneArgs,
    #[command(flatten)]
    content_key: ContentKeyArgs,
}

impl Migrate {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let key = self.content_key.load()?;
        let settings = migrate::migrate(&self.database.database_url, self.zone.time_zone.as_deref(), &key).await?;
        output::print(&format!("migrated; days are cut in {}\n", settings.time_zone))
    }
}
