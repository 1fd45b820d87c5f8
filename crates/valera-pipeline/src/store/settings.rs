//! The one row that every process must agree with: the zone in which days are cut, and the key of content hashes.
//!
//! `migrate` writes it, services compare themselves with it and refuse to start where they differ: a second zone or key
//! would count the same events differently without anything looking wrong. Nothing else writes it but retention.

use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use valera_events::ContentKey;

/// The row.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Settings {
    /// An IANA name.
    pub time_zone: String,
    /// Of the key of content hashes.
    pub content_key_fingerprint: String,
    /// Ids whose time lies before it have expired.
    pub horizon: DateTime<Utc>,
}

impl Settings {
    /// Reads the row.
    ///
    /// # Errors
    /// When Postgres does not answer or has not been migrated.
    pub async fn load(connection: &mut PgConnection) -> anyhow::Result<Self> {
        let row = sqlx::query_as("SELECT time_zone, content_key_fingerprint, horizon FROM settings")
            .fetch_optional(connection)
            .await
            .context("reading the settings; has `valera-analytics migrate` been run on this database?")?;
        row.context("the settings are empty: run `valera-analytics migrate`")
    }

    /// Refuses another zone or key than the database was made with.
    ///
    /// # Errors
    /// Names what differs and both values.
    pub fn require(&self, time_zone: Option<&str>, key: &ContentKey) -> anyhow::Result<()> {
        if let Some(wanted) = time_zone.filter(|wanted| *wanted != self.time_zone) {
            bail!(
                "VALERA_TIMEZONE, or --timezone, is {wanted}, but this database cuts its days in {}: use that, or run \
                 `valera-analytics rebuild`, which cuts them anew",
                self.time_zone
            );
        }
        let fingerprint = key.fingerprint();
        if fingerprint != self.content_key_fingerprint {
            bail!(
                "the key of VALERA_CONTENT_KEY_FILE, or --content-key-file, has the fingerprint {fingerprint}, but this \
                 database was made with {}: the key of content hashes is never rotated",
                self.content_key_fingerprint
            );
        }
        Ok(())
    }
}
