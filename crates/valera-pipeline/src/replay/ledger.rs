//! The row of a replay, and the session that writes it, which holds the lock of replays.
//!
//! It does not know how a replay is run.

use super::{Bound, End, FilesRequest, Request, files, opened::link, request::Part};
use crate::{
    consume::stored,
    service::{Environment, STREAM},
    store::{
        Writer, previewed,
        replays::{self, ReplayRow},
    },
};
use anyhow::{Context, ensure};
use async_nats::jetstream;
use serde_json::json;
use sqlx::types::Json;
use std::future::Future;

/// Where a replay is written down.
pub(super) fn session(environment: &Environment) -> anyhow::Result<Writer> {
    Writer::new(&environment.database_url, "valera replay", "")
}

/// Where a dry run counts.
pub(super) fn dry_session(environment: &Environment) -> anyhow::Result<Writer> {
    Writer::new(&environment.database_url, "valera replay, dry run", previewed::SESSION)
}

/// The same session, which holds the lock of replays.
pub(super) async fn locked(mut ledger: Writer) -> anyhow::Result<Writer> {
    replays::lock(ledger.connection().await?).await?;
    Ok(ledger)
}

/// Lets the lock of replays go, so that the next one need not wait until Postgres misses this session.
pub(super) async fn released<T>(mut ledger: Writer, ended: anyhow::Result<T>) -> anyhow::Result<T> {
    let unlocked = async { replays::unlock(ledger.connection().await?).await };
    if let Err(cause) = unlocked.await {
        tracing::debug!(cause = format!("{cause:#}"), "could not let the lock of replays go");
    }
    ended
}

/// The row of an open replay that asked for the same, or a new one.
pub(super) async fn written_down(
    environment: &Environment,
    row: impl Future<Output = anyhow::Result<ReplayRow>>,
    ledger: &mut Writer,
) -> anyhow::Result<ReplayRow> {
    let row = row.await?;
    if let Some(open) = replays::find(ledger.connection().await?, &row.name).await?.filter(ReplayRow::is_open) {
        let asked = |row: &ReplayRow| {
            let ReplayRow { consumer, subject, asked_from, asked_to, files, .. } = row.clone();
            (consumer, subject, asked_from, asked_to, files)
        };
        ensure!(
            asked(&open) == asked(&row),
            "the replay {name} is open and asked for something else: `valera-analytics replay resume {name}` goes on \
             with it, `replay cancel {name}` ends it, --name gives this one another name",
            name = open.name
        );
        return Ok(open);
    }
    require_messages(environment, &row).await?;
    replays::begin(ledger.connection().await?, &row).await?;
    Ok(row)
}

/// Fails where nothing that is in the stream was asked for: a replay of nothing would look like a success. What is in files
/// is known when they have been read, and an export of no events is one.
pub(super) async fn require_messages(environment: &Environment, row: &ReplayRow) -> anyhow::Result<()> {
    if row.files.is_some() {
        return Ok(());
    }
    let ReplayRow { subject, first_seq, last_seq, .. } = row;
    ensure!(first_seq <= last_seq, "there is no message in this part of the stream: --from and --to say which it is");
    let context = jetstream::new(link(environment).connect().await?);
    let first = stored::get(&context, STREAM, json!({"seq": first_seq, "next_by_subj": subject})).await?;
    ensure!(
        first.is_some_and(|first| first.sequence <= sequence(*last_seq)),
        "no message from {first_seq} to {last_seq} in the stream has a subject that --subject {subject} matches: is it \
         spelt as in the catalogue, and was it published then?"
    );
    Ok(())
}

pub(super) async fn row(environment: &Environment, request: &Request) -> anyhow::Result<ReplayRow> {
    let context = jetstream::new(link(environment).connect().await?);
    let part = Part::of(&context, request.from, request.to).await?;
    let asked = |bound: Option<Bound>| bound.map_or_else(|| "-".to_owned(), |bound| bound.to_string());
    let seq = |sequence: u64| i64::try_from(sequence).unwrap_or(i64::MAX);
    let into = request.into.name();
    Ok(ReplayRow {
        name: request.name.clone().unwrap_or_else(|| format!("{into}-{}-{}", part.first, part.last)),
        subject: request.subject.clone(),
        asked_from: asked(request.from),
        asked_to: asked(request.to),
        first_seq: seq(part.first),
        last_seq: seq(part.last),
        position: seq(part.first - 1),
        ..ReplayRow::new(into)
    })
}

pub(super) fn row_of_files(request: &FilesRequest) -> anyhow::Result<ReplayRow> {
    let listed: Vec<_> = request.files.iter().map(|file| files::identify(file)).collect::<anyhow::Result<_>>()?;
    ensure!(!listed.is_empty(), "there is no file to replay");
    let into = request.into.name();
    let name = request.name.clone().unwrap_or_else(|| format!("{into}-{}", files::name(&listed)));
    Ok(ReplayRow { name, files: Some(Json(listed)), ..ReplayRow::new(into) })
}

/// Writes the end down, unless there is more to do, and gives the row.
pub(super) async fn write_end(
    ledger: &mut Writer,
    begun: &ReplayRow,
    is_all: bool,
) -> anyhow::Result<(End, ReplayRow)> {
    let name = &begun.name;
    let connection = ledger.connection().await?;
    if is_all {
        replays::end(connection, name, begun.bytes()).await?;
    }
    let row = replays::find(connection, name).await?.with_context(|| format!("the replay {name} is gone"))?;
    let end = match row.status.as_str() {
        "done" => End::Done,
        "paused" => End::Paused,
        "cancelled" => End::Cancelled,
        _ => End::Stopped,
    };
    // The lock is let go next.
    Ok((end, ReplayRow { at_work: false, ..row }))
}

pub(super) fn sequence(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}
