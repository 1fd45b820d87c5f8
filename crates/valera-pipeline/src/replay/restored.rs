//! Lines of exported files as the handlers take them: what is under a seal that holds, as it was stored.
//!
//! Nothing is judged, cleaned or hashed again; identity, horizon and what is there already decide as they do live. A line
//! whose seal does not hold is named and counted as rejected. It has no dead letter: it is no event of ours, and stands in
//! its file.

use crate::{
    handler::{Delivery, Handler, Outcome},
    identity::Identified,
    lines::Line,
    service::STREAM,
};
use bytes::Bytes;
use chrono::DateTime;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};
use tracing::warn;
use valera_events::{
    ContentKey, Origin, headers,
    recorded::{LONGEST_LINE, Recorded},
    subject,
};

/// How many refused lines are named.
const NAMED: u64 = 20;

/// A line of an exported file.
pub(crate) struct FileLine {
    pub(crate) file: Arc<Path>,
    pub(crate) line: Line,
}

/// A handler that takes lines of exported files, too.
pub(crate) trait Restore: Handler {
    /// Makes a batch ready, as [`Handler::decoder`] does.
    fn restorer(&self) -> impl Fn(Vec<FileLine>) -> Self::Batch + Send + Sync + 'static;
}

/// How many lines have been refused, by all batches of a replay.
#[derive(Default)]
pub(crate) struct Refusals(AtomicU64);

impl Refusals {
    fn name(&self, line: &FileLine, reason: &str) {
        let before = self.0.fetch_add(1, Ordering::Relaxed);
        let file = line.file.display();
        if before < NAMED {
            warn!(%file, line = line.line.number, reason, "refused");
        } else if before == NAMED {
            warn!(%file, line = line.line.number, reason, "refused; further ones are only counted");
        }
    }
}

/// What the seals cover, and how each line would end but for that: [`Outcome::Rejected`] where a seal does not hold.
/// Of two lines of one id in a batch the first speaks for it.
pub(crate) fn unseal<'a>(
    lines: &'a [FileLine],
    key: &ContentKey,
    refusals: &Refusals,
) -> (Vec<Identified<Recorded<'a>>>, Vec<Outcome>) {
    let mut outcomes = vec![Outcome::Rejected; lines.len()];
    let mut unsealed = Vec::with_capacity(lines.len());
    for (position, line) in lines.iter().enumerate() {
        let Line { text, whole, .. } = &line.line;
        let recorded = match whole {
            true => Recorded::read(text, key).map_err(|cause| cause.to_string()),
            false => Err(format!("it is longer than {LONGEST_LINE} bytes, and `export` writes no such line")),
        };
        match recorded {
            Ok(recorded) => {
                outcomes[position] = Outcome::Later;
                unsealed.push(Identified {
                    delivery: position,
                    sequence: position as u64,
                    event_id: recorded.event_id,
                    content_hash: recorded.content_hash,
                    event: recorded,
                });
            }
            Err(reason) => refusals.name(line, &reason),
        }
    }
    (unsealed, outcomes)
}

/// In the place of a line that is refused.
pub(crate) fn nothing() -> Delivery {
    Delivery {
        stream: STREAM.to_owned(),
        sequence: 0,
        received_at: DateTime::UNIX_EPOCH,
        subject: subject::INVALID.to_owned(),
        headers: Vec::new(),
        body: Bytes::new(),
    }
}

/// A message that would carry what is stored, for the letter of what cannot be put back.
pub(crate) fn delivery(recorded: &Recorded<'_>) -> Delivery {
    Delivery {
        sequence: u64::try_from(recorded.stream_seq).unwrap_or(0),
        // When it was received is not kept.
        received_at: recorded.occurred_at,
        subject: subject::of_event_or_invalid(&recorded.event_name),
        headers: vec![(headers::ORIGIN.to_owned(), Origin::Import.as_str().to_owned())],
        body: recorded.body().into(),
        ..nothing()
    }
}
