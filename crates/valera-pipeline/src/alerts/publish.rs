//! Puts a step on the stream `ALERTS`, under the name by which the broker takes it once.
//!
//! It does not wait for the PubAck: whoever sends many has them in flight at once.

use super::Alert;
use anyhow::Context as _;
use async_nats::{
    HeaderMap,
    jetstream::{self, context::PublishAckFuture},
};
use valera_events::{headers, subject};

/// Sends it; with `over`, it is taken only where that is still the sequence of the subject's last message, 0 for none.
///
/// # Errors
/// When there is no connection.
pub(super) async fn send(
    context: &jetstream::Context,
    step: &Alert,
    over: Option<u64>,
) -> anyhow::Result<PublishAckFuture> {
    let subject = subject::of_alert(&step.rule).context("spelling an alert's subject")?;
    let mut headers = HeaderMap::new();
    headers.insert(headers::MSG_ID, step.msg_id());
    if let Some(over) = over {
        headers.insert(async_nats::header::NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, over.to_string());
    }
    let body = serde_json::to_vec(step).context("writing an alert")?;
    context.publish_with_headers(subject, headers, body.into()).await.context("publishing an alert")
}
