//! The rows of replays, and the lock that lets only one be at work.
//!
//! There is one consumer `replay`, so two at once would take each other's messages. The lock belongs to the session
//! that writes the row: a killed replay's is free as soon as Postgres notices, one that ends lets it go itself, and every
//! step asks for it anew, since a session may break.
//! It does not know what a replay does.

use crate::handler::Outcome;
use anyhow::{Context, bail};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use sqlx::{FromRow, PgConnection, types::Json};

/// A replay.
#[derive(Debug, Clone, PartialEq, Eq, FromRow, Serialize)]
pub struct ReplayRow {
    pub name: String,
    /// Whose handler gets the messages.
    pub consumer: String,
    pub subject: String,
    /// As the operator gave it.
    pub asked_from: String,
    pub asked_to: String,
    /// Stream sequences, both included; lines of files, of which the last is known in the end.
    pub first_seq: i64,
    pub last_seq: i64,
    /// Everything up to this one is durable.
    pub position: i64,
    pub status: String,
    /// Whether some process is at it now.
    pub at_work: bool,
    pub stored: i64,
    pub duplicate: i64,
    pub conflicting: i64,
    pub rejected: i64,
    pub expired: i64,
    pub erased: i64,
    pub updated_at: DateTime<Utc>,
    /// Which files are read instead of the stream.
    #[serde(serialize_with = "paths")]
    pub files: Option<Json<Vec<ReplayFile>>>,
    /// How much of them, compressed as they are.
    pub read_bytes: i64,
}

/// A file, as it is known again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayFile {
    /// From the root.
    pub path: String,
    pub bytes: u64,
    /// A hash of its first and its last bytes.
    pub ends: String,
}

/// As people name them.
fn paths<S: Serializer>(files: &Option<Json<Vec<ReplayFile>>>, serializer: S) -> Result<S::Ok, S::Error> {
    let paths =
        files.as_ref().map(|files| files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>().join(", "));
    paths.serialize(serializer)
}

impl ReplayRow {
    /// One of nothing, not begun yet.
    #[must_use]
    pub fn new(consumer: &str) -> Self {
        Self {
            name: String::new(),
            consumer: consumer.to_owned(),
            subject: "-".to_owned(),
            asked_from: "-".to_owned(),
            asked_to: "-".to_owned(),
            first_seq: 1,
            last_seq: 0,
            position: 0,
            status: "running".to_owned(),
            at_work: true,
            stored: 0,
            duplicate: 0,
            conflicting: 0,
            rejected: 0,
            expired: 0,
            erased: 0,
            updated_at: Utc::now(),
            files: None,
            read_bytes: 0,
        }
    }

    /// Of all its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().flat_map(|files| files.iter()).map(|file| file.bytes).sum()
    }

    /// As people are told: `status`, or `interrupted` where it says `running` and nobody is at it.
    #[must_use]
    pub fn state(&self) -> &str {
        match (self.status.as_str(), self.at_work) {
            ("running", false) => "interrupted",
            (status, _) => status,
        }
    }

    /// Whether there is something left to do.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.status.as_str(), "running" | "paused")
    }
}

macro_rules! lock {
    () => {
        "pg_try_advisory_lock(20261, 2)"
    };
}

macro_rules! columns {
    () => {
        "name, consumer, subject, asked_from, asked_to, first_seq, last_seq, position, status, EXISTS (
            SELECT
            FROM pg_locks l
            WHERE l.locktype = 'advisory'
                AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
                AND l.classid = 20261
                AND l.objid = 2
                AND l.granted
                AND l.pid = replays.backend_pid
        ) AS at_work, stored, duplicate, conflicting, rejected, expired, erased, updated_at, files, read_bytes"
    };
}

/// Every replay, the latest first.
///
/// # Errors
/// When Postgres does not answer.
pub async fn all(connection: &mut PgConnection) -> anyhow::Result<Vec<ReplayRow>> {
    sqlx::query_as(concat!("SELECT ", columns!(), " FROM replays ORDER BY started_at DESC, name"))
        .fetch_all(connection)
        .await
        .context("reading the replays")
}

/// The replay of that name.
///
/// # Errors
/// When Postgres does not answer.
pub async fn find(connection: &mut PgConnection, name: &str) -> anyhow::Result<Option<ReplayRow>> {
    sqlx::query_as(concat!("SELECT ", columns!(), " FROM replays WHERE name = $1"))
        .bind(name)
        .fetch_optional(connection)
        .await
        .with_context(|| format!("reading the replay {name}"))
}

/// Takes the lock for this session; it may be taken again.
///
/// # Errors
/// When another session has it, which is named if it can be, or Postgres does not answer.
pub async fn lock(connection: &mut PgConnection) -> anyhow::Result<()> {
    let locked: bool = sqlx::query_scalar(concat!("SELECT ", lock!())).fetch_one(&mut *connection).await?;
    if locked {
        return Ok(());
    }
    match all(connection).await?.into_iter().find(|replay| replay.at_work) {
        Some(other) => bail!(
            "the replay {name} is at work, at {}; there is one consumer for all replays: wait for it, or stop it \
             with `valera-analytics replay pause {name}`",
            other.position,
            name = other.name
        ),
        None => bail!("another replay is at work, a dry run; there is one consumer for all replays: wait for it"),
    }
}

/// Lets the lock go, however often this session has taken it: Postgres notices a closed connection only a moment later,
/// and until then would refuse the next replay.
///
/// # Errors
/// When Postgres does not answer; the lock goes with the session then.
pub async fn unlock(connection: &mut PgConnection) -> anyhow::Result<()> {
    // A session of a replay takes no other.
    sqlx::query("SELECT pg_advisory_unlock_all()")
        .execute(connection)
        .await
        .context("letting the lock of replays go")?;
    Ok(())
}

/// Writes a new replay; one of the same name that has come to its end gives way.
///
/// # Errors
/// When Postgres refuses.
pub async fn begin(connection: &mut PgConnection, replay: &ReplayRow) -> anyhow::Result<()> {
    let mut transaction = sqlx::Connection::begin(connection).await?;
    sqlx::query("DELETE FROM replays WHERE name = $1").bind(&replay.name).execute(&mut *transaction).await?;
    sqlx::query(
        "INSERT INTO replays
            (name, consumer, subject, asked_from, asked_to, first_seq, last_seq, position, files, backend_pid)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, pg_backend_pid())",
    )
    .bind(&replay.name)
    .bind(&replay.consumer)
    .bind(&replay.subject)
    .bind(&replay.asked_from)
    .bind(&replay.asked_to)
    .bind(replay.first_seq)
    .bind(replay.last_seq)
    .bind(replay.position)
    .bind(&replay.files)
    .execute(&mut *transaction)
    .await?;
    transaction.commit().await.with_context(|| format!("writing the replay {}", replay.name))
}

/// Moves the position and adds the outcomes, in the order of [`Outcome::ALL`]; returns the status, which an operator
/// may have changed. `None` when the lock is another session's by now.
///
/// # Errors
/// When Postgres does not answer.
pub async fn advance(
    connection: &mut PgConnection,
    name: &str,
    position: u64,
    read_bytes: u64,
    ended: &[u64; Outcome::ALL.len()],
) -> anyhow::Result<Option<String>> {
    let count = |outcome: Outcome| i64::try_from(ended[outcome as usize]).unwrap_or(i64::MAX);
    sqlx::query_scalar(concat!(
        "UPDATE replays
         SET position = greatest(position, $2),
            stored = stored + $3,
            duplicate = duplicate + $4,
            conflicting = conflicting + $5,
            rejected = rejected + $6,
            expired = expired + $7,
            erased = erased + $8,
            read_bytes = greatest(read_bytes, $9),
            backend_pid = pg_backend_pid(),
            updated_at = now()
         WHERE name = $1
            AND ",
        lock!(),
        " RETURNING status"
    ))
    .bind(name)
    .bind(i64::try_from(position).unwrap_or(i64::MAX))
    .bind(count(Outcome::Stored))
    .bind(count(Outcome::Duplicate))
    .bind(count(Outcome::Conflicting))
    .bind(count(Outcome::Rejected))
    .bind(count(Outcome::Expired))
    .bind(count(Outcome::Erased))
    .bind(i64::try_from(read_bytes).unwrap_or(i64::MAX))
    .fetch_optional(connection)
    .await
    .with_context(|| format!("writing how far the replay {name} is"))
}

/// Writes down that this session is at an open replay; `false` when there is no open one of that name.
///
/// # Errors
/// When Postgres does not answer.
pub async fn take(connection: &mut PgConnection, name: &str) -> anyhow::Result<bool> {
    let taken = sqlx::query(
        "UPDATE replays
         SET status = 'running', backend_pid = pg_backend_pid(), updated_at = now()
         WHERE name = $1
            AND status IN ('running', 'paused')",
    )
    .bind(name)
    .execute(connection)
    .await
    .with_context(|| format!("taking the replay {name} up"))?;
    Ok(taken.rows_affected() > 0)
}

/// Ends an open replay that has come to its end: all of its files have been read, up to the line that it is at.
///
/// # Errors
/// When Postgres does not answer.
pub async fn end(connection: &mut PgConnection, name: &str, bytes: u64) -> anyhow::Result<()> {
    sqlx::query(
        "UPDATE replays
         SET status = 'done',
            last_seq = CASE WHEN files IS NULL THEN last_seq ELSE position END,
            read_bytes = $2,
            updated_at = now()
         WHERE name = $1
            AND status IN ('running', 'paused')",
    )
    .bind(name)
    .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
    .execute(connection)
    .await
    .with_context(|| format!("ending the replay {name}"))?;
    Ok(())
}

/// Gives an open replay another status; `false` when there is no open one of that name.
///
/// # Errors
/// When Postgres does not answer.
pub async fn set_status(connection: &mut PgConnection, name: &str, status: &str) -> anyhow::Result<bool> {
    let changed = sqlx::query(
        "UPDATE replays SET status = $2, updated_at = now() WHERE name = $1 AND status IN ('running', 'paused')",
    )
    .bind(name)
    .bind(status)
    .execute(connection)
    .await
    .with_context(|| format!("changing the replay {name}"))?;
    Ok(changed.rows_affected() > 0)
}
