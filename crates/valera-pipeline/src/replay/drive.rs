//! The way of a replay, whatever it reads: a batch is read and made ready while the one before commits.
//!
//! It does not know where a batch comes from, nor what becomes of it.

use super::CONSUMER;
use crate::{
    consume::{pause, pauses},
    handler::{Handler, Outcome},
};
use anyhow::Context;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

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

/// What hears of each batch once it is durable.
pub(super) trait Committed {
    /// `upto` is how far everything is durable; `false` ends the replay here.
    async fn committed(&mut self, upto: Place, outcomes: &[Outcome]) -> anyhow::Result<bool>;
}

impl<F: FnMut(Place, &[Outcome])> Committed for F {
    async fn committed(&mut self, upto: Place, outcomes: &[Outcome]) -> anyhow::Result<bool> {
        self(upto, outcomes);
        Ok(true)
    }
}

/// Hands all of it in; whether it came to the end.
pub(super) async fn drive<S: Source, H: Handler>(
    source: &mut S,
    decoder: impl Fn(Vec<S::Item>) -> H::Batch + Send + Sync + 'static,
    handler: &mut H,
    watch: &mut impl Committed,
    shutdown: &CancellationToken,
) -> anyhow::Result<bool> {
    let decoder = Arc::new(decoder);
    let mut ready: Option<(Place, H::Batch)> = None;
    loop {
        let commit = async {
            let Some((upto, batch)) = ready.take() else { return Ok(true) };
            match insist(handler, &batch, shutdown).await {
                Some(outcomes) => watch.committed(upto, &outcomes).await,
                None => Ok(false),
            }
        };
        let next = async {
            let Some(Read { items, upto }) = source.next(shutdown).await? else { return Ok(None) };
            let decoder = decoder.clone();
            let decoded = tokio::task::spawn_blocking(move || decoder(items)).await;
            anyhow::Ok(Some((upto, decoded.context("decoding a batch")?)))
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

/// Hands the batch in until it is durable; `None` on shutdown.
async fn insist<H: Handler>(handler: &mut H, batch: &H::Batch, shutdown: &CancellationToken) -> Option<Vec<Outcome>> {
    let mut pauses = pauses();
    loop {
        match handler.handle(batch).await {
            Ok(outcomes) => return Some(outcomes),
            Err(cause) => {
                tracing::warn!(consumer = CONSUMER, cause = format!("{:#}", cause.0), "not durable yet; again");
                if shutdown.is_cancelled() {
                    return None;
                }
                pause(&mut pauses, shutdown).await;
            }
        }
    }
}
