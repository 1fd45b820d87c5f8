//! The way of a replay, whatever it reads: a batch is read and made ready while the one before commits.
//!
//! Reading and handing in both try for ever, so whoever watches is asked between the attempts of either whether to go on:
//! a replay that does not get through can be paused and cancelled like any other. It does not know where a batch comes
//! from, nor what becomes of it.

use super::{CONSUMER, preview::SessionLost};
use crate::{
    consume::{pause, pauses},
    handler::{Handler, Ours, Outcome},
    store::OtherZone,
};
use anyhow::Context;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio_util::sync::CancellationToken;

/// The longest sleep between two looks at whether to go on.
pub(super) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How far a replay is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// A stream sequence, or lines of files: up to it nothing is left unread.
    pub(crate) position: u64,
    /// Bytes of files; 0 for a stream.
    pub(crate) bytes: u64,
}

/// What is handed in, in order, and how far that is.
pub(crate) struct Read<T> {
    pub(crate) items: Vec<T>,
    pub(crate) upto: Place,
}

/// Where a replay reads from.
pub(super) trait Source {
    /// What a handler's batch is made of.
    type Item: Send + 'static;

    /// What comes next; `None` at the end and on shutdown.
    async fn next(&mut self, shutdown: &CancellationToken) -> anyhow::Result<Option<Read<Self::Item>>>;
}

/// Who watches a replay: hears of each batch once it is durable, and ends it.
pub(super) trait Watch {
    /// `upto` is how far everything is durable, `handed_in` when the batch was. `false` ends the replay here.
    async fn committed(&mut self, upto: Place, outcomes: &[Outcome], handed_in: Instant) -> anyhow::Result<bool>;

    /// Asked while nothing gets on; `false` ends the replay here.
    async fn goes_on(&mut self) -> anyhow::Result<bool>;
}

/// Hands all of it in; whether it came to the end.
pub(super) async fn drive<S: Source, H: Handler>(
    source: &mut S,
    decoder: impl Fn(Vec<S::Item>) -> H::Batch + Send + Sync + 'static,
    handler: &mut H,
    watch: &mut impl Watch,
    shutdown: &CancellationToken,
) -> anyhow::Result<bool> {
    let decoder = Arc::new(decoder);
    let mut ready: Option<(Place, H::Batch)> = None;
    let stop = shutdown.child_token();
    loop {
        let is_read = CancellationToken::new();
        let next = async {
            let _told_however_it_ends = is_read.clone().drop_guard();
            let Some(Read { items, upto }) = source.next(&stop).await? else { return Ok(None) };
            let decoder = decoder.clone();
            let decoded = tokio::task::spawn_blocking(move || decoder(items)).await;
            anyhow::Ok(Some((upto, decoded.context("decoding a batch")?)))
        };
        let commit = async {
            let goes_on = match ready.take() {
                Some((upto, batch)) => commit(handler, &batch, upto, watch, shutdown).await,
                None => Ok(true),
            };
            let goes_on = match goes_on {
                Ok(true) => wait_for(&is_read, watch).await,
                ended => ended,
            };
            if !matches!(goes_on, Ok(true)) {
                stop.cancel();
            }
            goes_on
        };
        let (next, goes_on) = futures::join!(next, commit);
        if !goes_on? {
            return Ok(false);
        }
        ready = next?;
        if ready.is_none() {
            return Ok(!shutdown.is_cancelled());
        }
    }
}

/// Makes a batch durable and tells of it; whether to go on.
async fn commit<H: Handler>(
    handler: &mut H,
    batch: &H::Batch,
    upto: Place,
    watch: &mut impl Watch,
    shutdown: &CancellationToken,
) -> anyhow::Result<bool> {
    match insist(handler, batch, watch, shutdown).await? {
        Some((outcomes, handed_in)) => watch.committed(upto, &outcomes, handed_in).await,
        None => Ok(false),
    }
}

/// Hands the batch in until it is durable, and says when that was; `None` when it is not to go on.
async fn insist<H: Handler>(
    handler: &mut H,
    batch: &H::Batch,
    watch: &mut impl Watch,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<(Vec<Outcome>, Instant)>> {
    let mut pauses = pauses();
    loop {
        let handed_in = Instant::now();
        match handler.handle(batch).await {
            Ok(outcomes) => return Ok(Some((outcomes, handed_in))),
            Err(Ours(cause)) if is_final(&cause) => return Err(cause),
            Err(Ours(cause)) => {
                tracing::warn!(consumer = CONSUMER, cause = format!("{cause:#}"), "not durable yet; again");
            }
        }
        pause(&mut pauses, shutdown).await;
        if shutdown.is_cancelled() || !watch.goes_on().await? {
            return Ok(None);
        }
    }
}

/// What the next attempt would only fail with again.
fn is_final(cause: &anyhow::Error) -> bool {
    cause.is::<OtherZone>() || cause.is::<SessionLost>()
}

/// Waits until the next batch is read; whether to go on.
async fn wait_for(is_read: &CancellationToken, watch: &mut impl Watch) -> anyhow::Result<bool> {
    loop {
        tokio::select! {
            () = is_read.cancelled() => return Ok(true),
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        if !watch.goes_on().await? {
            return Ok(false);
        }
    }
}
