//! Funnels by local day, by week, by cohort and over a whole period.
//!
//! Chats of several days are counted anew from the chats' days: the sum of days would count a chat that came twice twice.
//! It does not fill in days or weeks without events.

use super::Row;
use anyhow::Context;
use chrono::NaiveDate;
use sqlx::PgConnection;

/// `rollups.funnel_daily` from one day to another, both included; only days with events.
///
/// # Errors
/// When Postgres does not answer.
pub async fn funnel_daily<T: Row>(
    connection: &mut PgConnection,
    from: NaiveDate,
    to: NaiveDate,
) -> anyhow::Result<Vec<T>> {
    sqlx::query_as(
        "SELECT day, chats, dialogs, suggestions, services_added, carts_confirmed, bookings, dialogs_with_suggestion,
            dialogs_with_booking, conversion_rate::text
         FROM rollups.funnel_daily
         WHERE day BETWEEN $1 AND $2
         ORDER BY day",
    )
    .bind(from)
    .bind(to)
    .fetch_all(connection)
    .await
    .context("reading rollups.funnel_daily")
}

/// `rollups.funnel_weekly` for the weeks that begin from one day to another, both included; only weeks with events.
///
/// # Errors
/// When Postgres does not answer.
pub async fn funnel_weekly<T: Row>(
    connection: &mut PgConnection,
    from: NaiveDate,
    to: NaiveDate,
) -> anyhow::Result<Vec<T>> {
    sqlx::query_as(
        "SELECT week, chats, dialogs, suggestions, services_added, carts_confirmed, bookings, dialogs_with_suggestion,
            dialogs_with_booking, conversion_rate::text
         FROM rollups.funnel_weekly
         WHERE week BETWEEN $1 AND $2
         ORDER BY week",
    )
    .bind(from)
    .bind(to)
    .fetch_all(connection)
    .await
    .context("reading rollups.funnel_weekly")
}

/// The funnel over a period, both days included, each chat counted once.
///
/// # Errors
/// When Postgres does not answer.
pub async fn funnel_period<T: Row>(
    connection: &mut PgConnection,
    from: NaiveDate,
    to: NaiveDate,
) -> anyhow::Result<T> {
    sqlx::query_as(
        "SELECT $1::date AS from_day, $2::date AS to_day, chats, dialogs, suggestions, services_added, carts_confirmed,
            bookings, dialogs_with_suggestion, dialogs_with_booking, conversion_rate::text, conversion_of_chats::text
         FROM rollups.funnel_period($1, $2)",
    )
    .bind(from)
    .bind(to)
    .fetch_one(connection)
    .await
    .context("asking rollups.funnel_period")
}

/// `rollups.weekly_cohorts` for the weeks that begin from one day to another, the earliest first; only weeks in which
/// chats had their first dialog of the period.
///
/// # Errors
/// When Postgres does not answer.
pub async fn weekly_cohorts<T: Row>(
    connection: &mut PgConnection,
    from: NaiveDate,
    to: NaiveDate,
) -> anyhow::Result<Vec<T>> {
    sqlx::query_as(
        "SELECT week, started_dialogs, received_suggestions, created_bookings, conversion_rate::text
         FROM rollups.weekly_cohorts($1, $2)
         ORDER BY week",
    )
    .bind(from)
    .bind(to)
    .fetch_all(connection)
    .await
    .context("asking rollups.weekly_cohorts")
}
