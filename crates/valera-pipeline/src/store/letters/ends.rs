//! How dead letters end: closed by the event that was stored after all, or opened again by a retry that was refused.
//!
//! What was closed stays closed, and what an operator discarded is not opened again, so a message that is delivered again
//! changes nothing. Only where the retry of a discarded letter was under way and is stored after all is the letter closed:
//! the event counts, and its row must not say otherwise. It does not decide which event ends which letter.

use super::{Kept, Letter, columns};
use sqlx::PgConnection;
use std::collections::HashMap;
use uuid::Uuid;

/// The events of all letters that wait for an end; `None` where there are more than `most`.
///
/// # Errors
/// Whatever Postgres refuses.
pub async fn unfinished(connection: &mut PgConnection, most: u32) -> sqlx::Result<Option<Vec<Uuid>>> {
    let event_ids: Vec<Uuid> =
        sqlx::query_scalar("SELECT event_id FROM dead_letters WHERE status IN ('open', 'retried') LIMIT $1")
            .bind(i64::from(most) + 1)
            .fetch_all(connection)
            .await?;
    Ok((event_ids.len() <= most as usize).then_some(event_ids))
}

/// Locks these letters; gives the event's id of each that there is.
///
/// # Errors
/// Whatever Postgres refuses.
pub async fn lock(connection: &mut PgConnection, ids: &[Uuid]) -> sqlx::Result<HashMap<Uuid, Uuid>> {
    let found: Vec<(Uuid, Uuid)> =
        sqlx::query_as("SELECT id, event_id FROM dead_letters WHERE id = ANY ($1) ORDER BY id FOR UPDATE")
            .bind(ids)
            .fetch_all(connection)
            .await?;
    Ok(found.into_iter().collect())
}

/// Unfinished letters of these events that still have their payload.
///
/// # Errors
/// Whatever Postgres refuses.
pub async fn unfinished_of(connection: &mut PgConnection, event_ids: &[Uuid]) -> sqlx::Result<Vec<Kept>> {
    sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        " FROM dead_letters
         WHERE status IN ('open', 'retried') AND payload_cleared_at IS NULL AND event_id = ANY ($1)"
    ))
    .bind(event_ids)
    .fetch_all(connection)
    .await
}

/// Closes letters, each with what became of its event.
///
/// # Errors
/// Whatever Postgres refuses.
pub async fn close(connection: &mut PgConnection, ends: &[(Uuid, &str)]) -> sqlx::Result<()> {
    if ends.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE dead_letters AS letter
         SET status = 'closed', status_reason = ended.reason, closed_at = now(), updated_at = now()
         FROM unnest($1::uuid[], $2::text[]) AS ended (id, reason)
         WHERE letter.id = ended.id
            AND (letter.status IN ('open', 'retried')
                OR (letter.status = 'discarded' AND ended.reason IN ('stored', 'duplicate')))",
    )
    .bind(ends.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(ends.iter().map(|(_, reason)| *reason).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(drop)
}

/// Opens letters again whose retry was refused, with the reasons of now: the letter, which attempt it was, and what it
/// would be as a letter of its own. While a later attempt is under way its verdict is waited for: opened before, the letter
/// could be retried as another event, and both be stored.
///
/// # Errors
/// Whatever Postgres refuses.
pub async fn reopen(connection: &mut PgConnection, refused: &[(Uuid, i32, &Letter)]) -> sqlx::Result<()> {
    if refused.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE dead_letters AS letter
         SET status = 'open', status_reason = NULL, reasons = refused.reasons, updated_at = now()
         FROM unnest($1::uuid[], $2::int[], $3::jsonb[]) AS refused (id, attempt, reasons)
         WHERE letter.id = refused.id
            AND letter.status IN ('open', 'retried')
            AND letter.attempts <= refused.attempt",
    )
    .bind(refused.iter().map(|(id, ..)| *id).collect::<Vec<_>>())
    .bind(refused.iter().map(|(_, attempt, _)| *attempt).collect::<Vec<_>>())
    .bind(refused.iter().map(|(.., letter)| letter.reasons_json()).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(drop)
}
