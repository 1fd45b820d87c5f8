//! The rollups' inbox: which ids have been folded, and the lock under which folds run one after another.
//!
//! Two folds of the same new chat at once would count it twice, so whoever writes rollups takes the lock first. A holder
//! that froze inside a COPY outlives its timeouts; who has waited for it for the whole `lock_timeout` ends its backend.
//! It does not know what is folded.

use super::{
    Failure,
    copy::{self, Rows},
};
use sqlx::PgConnection;
use std::collections::HashMap;
use tracing::warn;
use uuid::Uuid;
use valera_events::ContentHash;

/// The table whose key is the rollups' inbox.
pub const TABLE: &str = "rollups.inbox";

/// Appends one id.
pub fn encode(rows: &mut Rows, event_id: Uuid, content_hash: &ContentHash) {
    rows.push(2, |row| {
        row.put(event_id).put(content_hash.as_slice());
    });
}

/// Waits for the folds' lock, which the transaction then holds to its end.
///
/// # Errors
/// [`Failure::LockTimeout`] when it was not released within the session's `lock_timeout`.
pub async fn lock(connection: &mut PgConnection) -> Result<(), Failure> {
    sqlx::query("SELECT pg_advisory_xact_lock(20261, 1)").execute(connection).await?;
    Ok(())
}

/// What `pg_stat_activity` calls a session that repairs: its recount may hold the lock longer than a fold may.
pub const REPAIRING: &str = "valera repair";

/// Waits for the folds' lock, which the session then holds until [`unlock`] or its end: a snapshot taken under it shows
/// what the last fold left.
///
/// # Errors
/// [`Failure::LockTimeout`] when it was not released within the session's `lock_timeout`.
pub async fn lock_for_session(connection: &mut PgConnection) -> Result<(), Failure> {
    sqlx::query("SELECT pg_advisory_lock(20261, 1)").execute(connection).await?;
    Ok(())
}

/// Releases what [`lock_for_session`] took.
///
/// # Errors
/// [`Failure::Ours`].
pub async fn unlock(connection: &mut PgConnection) -> Result<(), Failure> {
    sqlx::query("SELECT pg_advisory_unlock(20261, 1)").execute(connection).await?;
    Ok(())
}

/// Ends the backend that holds the folds' lock and has made no step for longer than anyone may: a fold half a minute, a
/// repair ten. Steps count, not the transaction's age: it may have waited for the lock itself until now.
///
/// # Errors
/// [`Failure::Ours`].
pub async fn end_holder(connection: &mut PgConnection) -> Result<(), Failure> {
    let ended: Vec<i32> = sqlx::query_scalar(
        "SELECT a.pid
         FROM pg_locks l
         JOIN pg_stat_activity a USING (pid)
         WHERE l.locktype = 'advisory'
           AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
           AND l.classid = 20261
           AND l.objid = 1
           AND l.granted
           AND greatest(a.query_start, a.state_change) < clock_timestamp()
                - CASE WHEN a.application_name = $1 THEN interval '10 min' ELSE interval '25 s' END
           AND pg_terminate_backend(a.pid)",
    )
    .bind(REPAIRING)
    .fetch_all(connection)
    .await?;
    for pid in ended {
        warn!(postgres.pid = pid, "ended a session that kept the folds' lock");
    }
    Ok(())
}

/// Takes ids in; `copy` is the statement that says where.
///
/// # Errors
/// [`Failure::Duplicate`] when any of them was taken in before.
pub async fn insert(connection: &mut PgConnection, copy: &str, buffer: &[u8]) -> Result<(), Failure> {
    copy::send(connection, copy, buffer).await?;
    Ok(())
}

/// Which of these ids were taken in before, and with what content.
///
/// # Errors
/// [`Failure::Ours`].
pub async fn known(connection: &mut PgConnection, ids: &[Uuid]) -> Result<HashMap<Uuid, Vec<u8>>, Failure> {
    let known: Vec<(Uuid, Vec<u8>)> = sqlx::query_as(
        "SELECT i.event_id, i.content_hash
         FROM unnest($1::uuid[]) AS asked (event_id)
         JOIN rollups.inbox i USING (event_id)",
    )
    .bind(ids)
    .fetch_all(connection)
    .await?;
    Ok(known.into_iter().collect())
}
