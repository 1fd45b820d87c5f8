//! Brings a database to this program's schema, and writes what all processes must agree on.
//!
//! Safe to run again and by several at once (sqlx takes a lock). It refuses to change the zone or the key of a database
//! that has them already.

use super::Settings;
use anyhow::Context;
use sqlx::{Connection, PgConnection, migrate::Migrator};
use valera_events::{ContentKey, catalogue};

static MIGRATIONS: Migrator = sqlx::migrate!("../../migrations");

/// Migrates, fills calendar and catalogue, and returns the settings now in force.
///
/// # Errors
/// When Postgres refuses, is older than 15, does not know the zone, or was made with another encoding, zone or key.
pub async fn migrate(database_url: &str, time_zone: Option<&str>, key: &ContentKey) -> anyhow::Result<Settings> {
    let mut connection = PgConnection::connect(database_url).await.context("connecting to Postgres")?;
    require_version(&mut connection).await?;
    require_utf8(&mut connection).await?;
    MIGRATIONS.run(&mut connection).await.context("migrating")?;
    // One transaction: a zone that cuts no days must not stay behind as this database's.
    let mut transaction = connection.begin().await?;
    let zone = time_zone.unwrap_or("UTC");
    let added = sqlx::query(
        "INSERT INTO settings (time_zone, content_key_fingerprint) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    )
    .bind(zone)
    .bind(key.fingerprint())
    .execute(&mut *transaction)
    .await?
    .rows_affected();
    let settings = Settings::load(&mut transaction).await?;
    settings.require(time_zone, key)?;
    if added > 0 || calendar_is_empty(&mut transaction).await? {
        sqlx::query("SELECT rollups.fill_calendar($1)")
            .bind(&settings.time_zone)
            .execute(&mut *transaction)
            .await
            .with_context(|| {
                format!("cutting days in the zone {} (VALERA_TIMEZONE, or --timezone)", settings.time_zone)
            })?;
    }
    transaction.commit().await?;
    let names: Vec<&str> = catalogue::EVENTS.iter().map(|event| event.name).collect();
    sqlx::query("INSERT INTO catalogue_events (event_name) SELECT unnest($1::text[]) ON CONFLICT DO NOTHING")
        .bind(names)
        .execute(&mut connection)
        .await?;
    Ok(settings)
}

/// Whether Postgres lacks what the migrations make, a table, a column, a function or a schema, and `cause` comes of that.
#[must_use]
pub fn is_needed(cause: &anyhow::Error) -> bool {
    const UNDEFINED: [&str; 4] = ["42P01", "42703", "42883", "3F000"];
    let mut codes = cause.chain().filter_map(|link| link.downcast_ref::<sqlx::Error>()?.as_database_error()?.code());
    codes.any(|code| UNDEFINED.iter().any(|undefined| code == *undefined))
}

async fn require_version(connection: &mut PgConnection) -> anyhow::Result<()> {
    let version: i32 =
        sqlx::query_scalar("SELECT current_setting('server_version_num')::int").fetch_one(connection).await?;
    anyhow::ensure!(version >= 150_000, "Postgres {} is too old: 15 or newer is needed", version / 10_000);
    Ok(())
}

/// In another encoding Postgres would refuse most of what people write, and each event would seem to be at fault.
async fn require_utf8(connection: &mut PgConnection) -> anyhow::Result<()> {
    let encoding: String = sqlx::query_scalar("SHOW server_encoding").fetch_one(connection).await?;
    anyhow::ensure!(
        encoding == "UTF8",
        "the database is encoded in {encoding}: make one with CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0"
    );
    Ok(())
}

async fn calendar_is_empty(connection: &mut PgConnection) -> anyhow::Result<bool> {
    Ok(sqlx::query_scalar("SELECT NOT EXISTS (SELECT FROM rollups.calendar)").fetch_one(connection).await?)
}
