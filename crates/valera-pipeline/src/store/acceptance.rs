//! How much of each event type is accepted: rollups beside dead letters, by local day.
//!
//! It reads small tables only. An event counts on the day on which it occurred, a refused message on the day on which it
//! was received: of that nothing else is certain.

use super::reports::Row;
use anyhow::Context;
use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Accepted events, refused messages, and of these the ones whose letter is closed, by event and local day.
///
/// # Errors
/// When Postgres does not answer.
pub async fn by_day<T: Row>(connection: &mut PgConnection, from: DateTime<Utc>) -> anyhow::Result<Vec<T>> {
    sqlx::query_as(
        "WITH accepted AS (
            SELECT event_name, (hour AT TIME ZONE time_zone)::date AS day, sum(events)::bigint AS accepted
            FROM rollups.event_counts_hourly
            CROSS JOIN settings
            WHERE hour >= $1
            GROUP BY 1, 2
         ),
         refused AS (
            SELECT coalesce(event_name, '') AS event_name, (received_at AT TIME ZONE time_zone)::date AS day,
                count(*) FILTER (WHERE status <> 'closed') AS rejected,
                count(*) FILTER (WHERE status = 'closed') AS repaired
            FROM dead_letters
            CROSS JOIN settings
            WHERE received_at >= $1
            GROUP BY 1, 2
         )
         SELECT event_name, day, coalesce(accepted, 0) AS accepted, coalesce(rejected, 0) AS rejected,
            coalesce(repaired, 0) AS repaired
         FROM accepted
         FULL JOIN refused USING (event_name, day)
         ORDER BY event_name, day",
    )
    .bind(from)
    .fetch_all(connection)
    .await
    .context("counting accepted and rejected events")
}

/// The hour of the newest accepted event of each type, ever.
///
/// # Errors
/// When Postgres does not answer.
pub async fn last_seen(connection: &mut PgConnection) -> anyhow::Result<Vec<(String, DateTime<Utc>)>> {
    sqlx::query_as("SELECT event_name, max(hour) FROM rollups.event_counts_hourly GROUP BY 1")
        .fetch_all(connection)
        .await
        .context("asking when each event was last seen")
}
