//! Single messages of a stream through the JetStream API, whose answers are JSON.
//!
//! Slow beside a consumer, but it reads what the client library cannot, and finds the message at a time or after a
//! sequence. It does not know who asks.

use super::{headers, source::in_order};
use crate::handler::Delivery;
use anyhow::{Context, bail};
use async_nats::jetstream::{self, ErrorCode, response::Response, stream::RawMessage};
use chrono::{DateTime, Utc};
use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Found {
    message: RawMessage,
}

/// A message as it was published.
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    pub(crate) headers: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) received_at: DateTime<Utc>,
}

/// The message that a request for one asks for, as `{"seq": 7}`; `None` when there is none.
///
/// # Errors
/// When NATS does not answer or refuses.
pub(crate) async fn get(
    context: &jetstream::Context,
    stream: &str,
    request: Value,
) -> anyhow::Result<Option<Stored>> {
    let answer = context.request(format!("STREAM.MSG.GET.{stream}"), &request).await;
    let message = match answer.with_context(|| format!("getting message {request}"))? {
        Response::Ok(Found { message }) => message,
        Response::Err { error } if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => return Ok(None),
        Response::Err { error } => bail!("getting message {request}: {error}"),
    };
    let decode = |text: &str| BASE64.decode(text.as_bytes()).with_context(|| format!("decoding message {request}"));
    Ok(Some(Stored {
        headers: decode(message.headers.as_deref().unwrap_or_default())?,
        body: decode(&message.payload)?,
        subject: message.subject,
        sequence: message.sequence,
        received_at: message.time,
    }))
}

/// The first message received at or after `at`; `None` when there is none.
///
/// # Errors
/// As [`get`].
pub(crate) async fn received_from(
    context: &jetstream::Context,
    stream: &str,
    at: DateTime<Utc>,
) -> anyhow::Result<Option<u64>> {
    let found = get(context, stream, json!({"start_time": at})).await?;
    // A server that knows no message that late may answer with its last one.
    Ok(found.filter(|message| message.received_at >= at).map(|message| message.sequence))
}

impl Stored {
    /// The same as a consumer would deliver it; what is not text becomes text, with U+FFFD.
    pub(crate) fn delivery(self, stream: &str) -> Delivery {
        Delivery {
            stream: stream.to_owned(),
            sequence: self.sequence,
            received_at: self.received_at,
            subject: self.subject,
            headers: in_order(headers::parse(&self.headers).pairs),
            body: self.body.into(),
        }
    }
}
