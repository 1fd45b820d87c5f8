//! Reads the steps of incidents back from the stream `ALERTS`.
//!
//! For a service that starts again and for whoever asks what happened. What stands there and is no alert was put there by
//! somebody else, and is left out. It does not write.

use super::{Alert, stretch};
use crate::consume::{Link, stored};
use anyhow::Context as _;
use async_nats::jetstream;
use chrono::{DateTime, Utc};

/// The stream that incidents stand on.
pub(crate) const STREAM: &str = "ALERTS";

/// Hands every step that was published at or after `since` to `each`, in order.
///
/// # Errors
/// When NATS does not answer or `topology apply` has not run.
pub async fn read(link: &Link, since: Option<DateTime<Utc>>, mut each: impl FnMut(Alert)) -> anyhow::Result<()> {
    let context = jetstream::new(link.connect().await?);
    let stream = context.get_stream(STREAM).await.with_context(|| {
        format!("asking for the stream {STREAM}; has `valera-analytics topology apply` been run on this server?")
    })?;
    let last = stream.cached_info().state.last_sequence;
    let from = match since {
        Some(since) => stored::received_from(&context, STREAM, since).await?,
        None => Some(1),
    };
    let Some(from) = from else { return Ok(()) };
    stretch::read(link, &context, STREAM, from..=last, |delivery| {
        if let Ok(alert) = serde_json::from_slice(&delivery.body) {
            each(alert);
        }
    })
    .await
}
