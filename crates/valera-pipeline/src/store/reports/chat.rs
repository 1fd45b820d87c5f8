//! What an application asks of one chat while it answers there: what it did so far, and whether today's dialog was seen.
//!
//! By keys only, so that it may be asked with every message of a chat. It lags behind what was published by as much as the
//! rollups do. It does not say when a chat was seen, or what it bought.

use anyhow::Context;
use chrono::{DateTime, NaiveDate, Utc};
use sqlx::{FromRow, PgConnection};

/// One chat; of an unknown one there are no events.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Chat {
    pub chat_id: i64,
    /// The local day that was asked about.
    pub day: NaiveDate,
    /// Whether a dialog of the chat began on that day.
    pub dialog_today: bool,
    /// All its events.
    pub events: i64,
    /// `new`, `engaged` or `returning`.
    pub user_segment: String,
}

/// What is known of a chat, on the local day of an instant.
///
/// # Errors
/// When Postgres does not answer, or the instant lies before the calendar.
pub async fn chat(connection: &mut PgConnection, chat_id: i64, at: DateTime<Utc>) -> anyhow::Result<Chat> {
    // The week first: the key of chat_days begins with it.
    sqlx::query_as(
        "SELECT $1 AS chat_id, today.day, coalesce(chats.events, 0) AS events,
            coalesce(chats.user_segment, 'new') AS user_segment,
            EXISTS (
                SELECT FROM rollups.chat_days AS here
                WHERE here.week = today.week AND here.chat_id = $1 AND here.day = today.day
                    AND here.first_dialog_at IS NOT NULL
            ) AS dialog_today
         FROM (
            SELECT day, week FROM rollups.calendar WHERE starts_at <= $2 ORDER BY starts_at DESC LIMIT 1
         ) AS today
         LEFT JOIN rollups.chats ON chats.chat_id = $1",
    )
    .bind(chat_id)
    .bind(at)
    .fetch_one(connection)
    .await
    .context("asking the rollups about a chat; has `valera-analytics migrate` been run on this database?")
}
