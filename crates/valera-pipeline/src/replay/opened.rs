//! What a replay reads, opened at its place: the stream or files.
//!
//! It does not know whether anything becomes of what is read.

use super::{
    CONSUMER,
    drive::{Watch, drive},
    files::{self, Files},
    ledger::sequence,
    reader::Reader,
    restored::Restore,
};
use crate::{
    consume::{Limits, Link},
    service::Environment,
    store::replays::ReplayRow,
};
use sqlx::types::Json;
use tokio_util::sync::CancellationToken;

/// See the module.
pub(super) enum Opened {
    Stream(Box<Reader>),
    Files(Files),
}

impl Opened {
    pub(super) fn of(environment: &Environment, row: &ReplayRow, rate: Option<u32>) -> anyhow::Result<Self> {
        let limits = paced(environment.limits, rate);
        let (position, last) = (sequence(row.position), sequence(row.last_seq));
        if let Some(Json(listed)) = &row.files {
            files::require_same(listed)?;
            return Ok(Self::Files(Files::new(listed.clone(), position, limits)));
        }
        let reader = Reader::new(link(environment), CONSUMER, &row.subject, position, last, limits);
        Ok(Self::Stream(Box::new(reader)))
    }

    pub(super) async fn drive<H: Restore>(
        &mut self,
        handler: &mut H,
        watch: &mut impl Watch,
        shutdown: &CancellationToken,
    ) -> anyhow::Result<bool> {
        match self {
            Self::Stream(reader) => {
                let decoder = handler.decoder();
                drive(reader.as_mut(), decoder, handler, watch, shutdown).await
            }
            Self::Files(files) => {
                let restorer = handler.restorer();
                drive(files, restorer, handler, watch, shutdown).await
            }
        }
    }

    pub(super) async fn close(self) {
        if let Self::Stream(reader) = self {
            left_to_nats(reader.close().await);
        }
    }
}

/// A consumer that nobody reads by is in nobody's way: the next replay makes it anew, and the server forgets it.
pub(super) fn left_to_nats(removed: anyhow::Result<()>) {
    if let Err(cause) = removed {
        tracing::warn!(
            cause = format!("{cause:#}"),
            "the consumer replay was left to NATS, which forgets it in minutes"
        );
    }
}

pub(super) fn link(environment: &Environment) -> Link {
    Link::new(&environment.nats_url, "valera-replay")
}

/// With a rate, batches of a quarter of a second: it is kept between them.
fn paced(limits: Limits, rate: Option<u32>) -> Limits {
    let most = rate.map_or(limits.messages, |rate| usize::try_from(rate.div_ceil(4)).unwrap_or(limits.messages));
    Limits { messages: limits.messages.min(most), ..limits }
}
