//! What operators ask of the dead letters, and decide about them.
//!
//! A retry is claimed before it is published: the attempt is counted first, so two retries at once never share a
//! `Nats-Msg-Id`, and a letter whose retry was never published can be claimed again. Nobody can tell that one from a letter
//! whose retry is on its way, so until the verdict is in it is claimed as the same event only. It does not publish, and
//! does not close a letter: the persister does.

use super::{Kept, columns, ends};
use crate::store::reports::Row;
use anyhow::Context;
use chrono::{DateTime, Utc};
use sqlx::{Connection, PgConnection};
use std::collections::HashSet;
use uuid::Uuid;

/// Which letters are meant. What is `None` or empty does not narrow.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub ids: Vec<Uuid>,
    pub event_name: Option<String>,
    /// A reason code that is among the letter's.
    pub reason: Option<String>,
    /// Received at this moment or later.
    pub since: Option<DateTime<Utc>>,
    pub statuses: Vec<String>,
}

/// The condition of a [`Filter`], whose values are $1 to $5.
macro_rules! wanted {
    () => {
        "(cardinality($1::uuid[]) = 0 OR id = ANY ($1))
            AND ($2::text IS NULL OR event_name = $2)
            AND ($3::text IS NULL OR reasons @> jsonb_build_array(jsonb_build_object('reason', $3)))
            AND ($4::timestamptz IS NULL OR received_at >= $4)
            AND (cardinality($5::text[]) = 0 OR status = ANY ($5))"
    };
}

macro_rules! filtered {
    ($query:expr, $filter:expr) => {
        $query
            .bind(&$filter.ids)
            .bind(&$filter.event_name)
            .bind(&$filter.reason)
            .bind($filter.since)
            .bind(&$filter.statuses)
    };
}

/// Letters by event and reason, the most frequent first, each with one example. A letter counts once for each of its
/// reasons, however often it has it.
///
/// # Errors
/// When Postgres does not answer.
pub async fn groups<T: Row>(connection: &mut PgConnection, filter: &Filter) -> anyhow::Result<Vec<T>> {
    let query = sqlx::query_as(concat!(
        "SELECT coalesce(event_name, '') AS event_name, reason.value ->> 'reason' AS reason, count(DISTINCT id) AS count,
            min(reason.value ->> 'path') AS path, min(reason.value ->> 'expected') AS expected
         FROM dead_letters
         CROSS JOIN LATERAL jsonb_array_elements(reasons) AS reason
         WHERE ",
        wanted!(),
        " GROUP BY 1, 2
         ORDER BY count(DISTINCT id) DESC, 1, 2"
    ));
    filtered!(query, filter).fetch_all(connection).await.context("counting dead letters")
}

/// The newest letters, at most `limit`, without their payload.
///
/// # Errors
/// When Postgres does not answer.
pub async fn newest<T: Row>(connection: &mut PgConnection, filter: &Filter, limit: i64) -> anyhow::Result<Vec<T>> {
    let query = sqlx::query_as(concat!(
        "SELECT id, event_id, coalesce(event_name, '') AS event_name, received_at, status, status_reason, attempts,
            payload_cleared_at IS NOT NULL AS payload_cleared,
            ARRAY(SELECT reason.value ->> 'reason' FROM jsonb_array_elements(reasons) AS reason) AS reasons
         FROM dead_letters
         WHERE ",
        wanted!(),
        " ORDER BY received_at DESC, id
         LIMIT $6"
    ));
    filtered!(query, filter).bind(limit).fetch_all(connection).await.context("listing dead letters")
}

/// Letters in the order of their ids, those after `after`, at most `limit`.
///
/// # Errors
/// When Postgres does not answer.
pub async fn page(
    connection: &mut PgConnection,
    filter: &Filter,
    after: Option<Uuid>,
    limit: i64,
) -> anyhow::Result<Vec<Kept>> {
    let query = sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM dead_letters
         WHERE ",
        wanted!(),
        " AND ($6::uuid IS NULL OR id > $6)
         ORDER BY id
         LIMIT $7"
    ));
    filtered!(query, filter).bind(after).bind(limit).fetch_all(connection).await.context("reading dead letters")
}

/// How many letters are meant.
///
/// # Errors
/// When Postgres does not answer.
pub async fn count(connection: &mut PgConnection, filter: &Filter) -> anyhow::Result<u64> {
    let query = sqlx::query_scalar(concat!("SELECT count(*) FROM dead_letters WHERE ", wanted!()));
    let count: i64 = filtered!(query, filter).fetch_one(connection).await.context("counting dead letters")?;
    Ok(count.unsigned_abs())
}

/// Counts an attempt at each of these letters, which is about to be published as the event beside it; gives the number of
/// the attempt. It leaves out those that are finished, and those that are retried as another event and not judged yet.
///
/// # Errors
/// When Postgres does not answer.
pub async fn claim(connection: &mut PgConnection, retries: &[(Uuid, Uuid)]) -> anyhow::Result<Vec<(Uuid, i32)>> {
    let (ids, event_ids): (Vec<Uuid>, Vec<Uuid>) = retries.iter().copied().unzip();
    let claiming = async {
        let mut transaction = connection.begin().await?;
        // In one order: two who claim the same letters must not wait for each other.
        ends::lock(&mut transaction, &ids).await?;
        let claimed: Vec<(Uuid, i32)> = sqlx::query_as(
            "UPDATE dead_letters AS letter
             SET status = 'retried', status_reason = NULL, retried_as = retry.event_id, attempts = letter.attempts + 1,
                updated_at = now()
             FROM unnest($1::uuid[], $2::uuid[]) AS retry (id, event_id)
             WHERE letter.id = retry.id
                AND (letter.status = 'open'
                    OR (letter.status = 'retried'
                        AND coalesce(letter.retried_as, retry.event_id) = retry.event_id))
             RETURNING letter.id, letter.attempts",
        )
        .bind(&ids)
        .bind(event_ids)
        .fetch_all(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok::<_, sqlx::Error>(claimed)
    };
    claiming.await.context("claiming dead letters for a retry")
}

/// Those of the retried letters whose verdict is in: their status and why.
///
/// # Errors
/// When Postgres does not answer.
pub async fn settled(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> anyhow::Result<Vec<(Uuid, String, Option<String>)>> {
    sqlx::query_as("SELECT id, status, status_reason FROM dead_letters WHERE id = ANY ($1) AND status <> 'retried'")
        .bind(ids)
        .fetch_all(connection)
        .await
        .context("asking what became of the retries")
}

/// An event as it is to be stored.
#[derive(Debug, Clone)]
pub struct Content {
    pub event_id: Uuid,
    pub event_name: String,
    pub chat_id: i64,
    /// `None` where the persister derives it.
    pub session_id: Option<String>,
    pub platform: String,
    pub occurred_at: DateTime<Utc>,
    /// JSON, without personal values.
    pub properties: String,
}

/// Those letters whose event is stored with other content than is given here.
///
/// # Errors
/// When Postgres does not answer.
pub async fn stored_otherwise(
    connection: &mut PgConnection,
    meant: &[(Uuid, &Content)],
) -> anyhow::Result<HashSet<Uuid>> {
    if meant.is_empty() {
        return Ok(HashSet::new());
    }
    let of = |part: fn(&Content) -> &str| meant.iter().map(|(_, content)| part(content)).collect::<Vec<_>>();
    let others: Vec<Uuid> = sqlx::query_scalar(
        "SELECT meant.letter_id
         FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::text[], $6::text[], $7::timestamptz[], $8::text[])
            AS meant (letter_id, event_id, event_name, chat_id, session_id, platform, occurred_at, properties)
         JOIN analytics_events AS stored ON stored.event_id = meant.event_id
         WHERE (stored.event_name, stored.chat_id, stored.platform, stored.occurred_at, stored.properties)
                IS DISTINCT FROM
                (meant.event_name, meant.chat_id, meant.platform, meant.occurred_at, meant.properties::jsonb)
            OR stored.session_id <> meant.session_id",
    )
    .bind(meant.iter().map(|(letter_id, _)| *letter_id).collect::<Vec<_>>())
    .bind(meant.iter().map(|(_, content)| content.event_id).collect::<Vec<_>>())
    .bind(of(|content| &content.event_name))
    .bind(meant.iter().map(|(_, content)| content.chat_id).collect::<Vec<_>>())
    .bind(meant.iter().map(|(_, content)| content.session_id.as_deref()).collect::<Vec<_>>())
    .bind(of(|content| &content.platform))
    .bind(meant.iter().map(|(_, content)| content.occurred_at).collect::<Vec<_>>())
    .bind(of(|content| &content.properties))
    .fetch_all(connection)
    .await
    .context("comparing the retries with what is stored")?;
    Ok(others.into_iter().collect())
}

/// Discards letters that are not finished for a reason in the operator's words; gives their ids, and the status that each
/// had.
///
/// # Errors
/// When Postgres does not answer.
pub async fn discard(
    connection: &mut PgConnection,
    filter: &Filter,
    reason: &str,
) -> anyhow::Result<Vec<(Uuid, String)>> {
    let query = sqlx::query_as(concat!(
        "WITH meant AS (
            SELECT id, status
            FROM dead_letters
            WHERE status IN ('open', 'retried') AND ",
        wanted!(),
        "
            ORDER BY id
            FOR UPDATE
         )
         UPDATE dead_letters AS letter
         SET status = 'discarded', status_reason = $6, closed_at = now(), updated_at = now()
         FROM meant
         WHERE letter.id = meant.id
         RETURNING letter.id, meant.status"
    ));
    filtered!(query, filter).bind(reason).fetch_all(connection).await.context("discarding dead letters")
}
