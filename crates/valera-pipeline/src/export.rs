//! Raw events as sealed lines, as they are at one moment.
//!
//! Constant memory, whatever history there is: pages come out of one snapshot and leave before the next is read. Only rows
//! leave whose content hash this key made, for the seal vouches for it. It does not know where the lines go.

use crate::store::{
    Settings, Writer,
    export::{self, ExportRow, Wanted},
};
use anyhow::{Context, ensure};
use tokio_util::sync::CancellationToken;
use valera_events::{ContentKey, id, recorded::Recorded};

/// How far an export is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Events that have left.
    pub events: u64,
    /// Milliseconds of the ids that have been passed, and that there are in all.
    pub passed: u64,
    pub of: u64,
}

/// Hands each page's lines to `write`, and returns how many events there were.
///
/// # Errors
/// When Postgres does not answer or was made with another key, `write` fails, or it is told to stop before the end.
pub async fn export(
    database_url: &str,
    key: &ContentKey,
    wanted: &Wanted,
    mut write: impl FnMut(&[u8]) -> anyhow::Result<()>,
    mut watch: impl FnMut(Progress),
    shutdown: &CancellationToken,
) -> anyhow::Result<u64> {
    let mut writer = Writer::new(database_url, "valera export", export::SESSION)?;
    let connection = writer.connection().await?;
    Settings::load(connection).await?.require(None, key)?;
    let mut snapshot = export::snapshot(connection).await?;
    let Some((first, last)) = export::span(&mut snapshot, wanted).await? else { return Ok(0) };
    let millis = |until| u64::try_from(id::millis(until) - id::millis(first)).unwrap_or(0);
    let (mut events, mut from, mut lines) = (0, (first, false), Vec::new());
    loop {
        ensure!(!shutdown.is_cancelled(), "stopped after {events} events");
        let page = export::page(&mut snapshot, wanted, from, last).await?;
        let Some(end) = page.last() else { break };
        from = (end.event_id, true);
        lines.clear();
        for row in &page {
            recorded(row)?.write(key, &mut lines);
        }
        write(&lines).with_context(|| format!("writing, after {events} events"))?;
        events += page.len() as u64;
        watch(Progress { events, passed: millis(from.0), of: millis(last) });
    }
    snapshot.rollback().await.context("closing the snapshot")?;
    Ok(events)
}

fn recorded(row: &ExportRow) -> anyhow::Result<Recorded<'_>> {
    let content_hash = row.content_hash.as_slice().try_into();
    Ok(Recorded {
        event_id: row.event_id,
        event_name: row.event_name.as_str().into(),
        chat_id: row.chat_id,
        occurred_at: row.occurred_at,
        session_id: row.session_id.as_str().into(),
        platform: row.platform.as_str().into(),
        properties: &row.properties,
        content_hash: content_hash
            .with_context(|| format!("event {}: its content hash is not 16 bytes", row.event_id))?,
        stream_seq: row.stream_seq,
    })
}
