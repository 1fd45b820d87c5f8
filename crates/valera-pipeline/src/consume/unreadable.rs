//! Messages that the client library cannot read: it drops its connection at one, and again at every redelivery.
//!
//! The broker takes header lines without a colon or with a carriage return in them, headers and subjects that are not
//! UTF-8, and hands them on. One such message, from anybody with a socket, would hold a consumer up for good. So where pulling has failed, they are
//! looked for among what is delivered and not acked, through the JetStream API, whose answers are JSON; made text, with
//! U+FFFD for what is none; and take the way of every other message, to be stored or refused with their bytes. What
//! acks one was lost with the connection, and is spelled anew. It does not fetch what the library can read.

use super::{
    headers,
    source::Pulled,
    stored::{self, Stored},
};
use crate::topology;
use async_nats::{Client, Subject, jetstream};
use futures::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use tracing::warn;

/// Requests in flight.
const AT_ONCE: usize = 64;
/// How far above the lowest unacked message is searched; what lies beyond comes within reach when that is acked.
const FARTHEST: u64 = 200_000;

/// Fetches the unreadable messages that a consumer has in flight; `None` where there is none.
///
/// # Errors
/// When NATS does not answer.
pub(super) async fn fetch(client: &Client, stream: &str, consumer: &str) -> anyhow::Result<Option<Pulled>> {
    let context = jetstream::new(client.clone());
    let bound = topology::bind(&context, stream, consumer).await?;
    let info = bound.cached_info();
    let lowest = info.ack_floor.stream_sequence + 1;
    let highest = info.delivered.stream_sequence.min(lowest + FARTHEST);
    let unreadable: Vec<Stored> = stream::iter(lowest..=highest)
        .map(|sequence| stored::get(&context, stream, json!({"seq": sequence})))
        .buffered(AT_ONCE)
        .try_filter_map(|message| async { Ok(message.filter(|message| !is_readable(message))) })
        .try_collect()
        .await?;
    if unreadable.is_empty() {
        return Ok(None);
    }
    let receipts = unreadable.iter().map(|message| receipt(stream, consumer, message.sequence)).collect();
    let deliveries = unreadable.into_iter().map(|message| message.delivery(stream)).collect::<Vec<_>>();
    for delivery in &deliveries {
        warn!(consumer, stream.seq = delivery.sequence, "fetched a message whose headers or subject are malformed");
    }
    Ok(Some(Pulled { deliveries, receipts, client: client.clone() }))
}

/// Whether the library reads it for certain. A false "no" only has a message handed in twice.
fn is_readable(message: &Stored) -> bool {
    headers::parse(&message.headers).is_readable && !message.subject.contains(char::REPLACEMENT_CHARACTER)
}

/// The subject that acks a message. The server goes by the stream's sequence; the other figures (deliveries, the
/// consumer's sequence, time, pending) are for clients.
fn receipt(stream: &str, consumer: &str, sequence: u64) -> Subject {
    format!("$JS.ACK.{stream}.{consumer}.1.{sequence}.1.0.0").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(subject: &str, headers: &[u8]) -> Stored {
        Stored {
            subject: subject.to_owned(),
            sequence: 7,
            headers: headers.to_vec(),
            body: b"{}".to_vec(),
            received_at: chrono::DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_message_is_unreadable_by_its_headers_or_its_subject() {
        assert!(is_readable(&published("analytics.a", b"NATS/1.0\r\nA: b\r\n\r\n")));
        assert!(!is_readable(&published("analytics.a", b"NATS/1.0\r\nno colon\r\n\r\n")));
        assert!(!is_readable(&published("analytics.\u{fffd}", b"")));
    }

    #[test]
    fn an_unreadable_message_is_acked_by_its_sequence() {
        assert_eq!(receipt("ANALYTICS", "persister", 7).as_str(), "$JS.ACK.ANALYTICS.persister.1.7.1.0.0");
    }
}
