//! The one place that acks.
//!
//! It is called with the outcomes of a batch, which a handler gives only once they are durable. JetStream's acks are a
//! hint (a killed server forgets them), so a lost one costs a redelivery that counts as a duplicate, never an event.

use crate::{counters::Counters, handler::Outcome};
use anyhow::Context;
use async_nats::{Client, Subject};
use bytes::Bytes;

const ACK: Bytes = Bytes::from_static(b"+ACK");
/// Five seconds, in nanoseconds: a plain NAK would come back at once and spin.
const LATER: Bytes = Bytes::from_static(b"-NAK {\"delay\": 5000000000}");
const AT_ONCE: Bytes = Bytes::from_static(b"-NAK");
const PROGRESS: Bytes = Bytes::from_static(b"+WPI");

/// Acks every settled message and counts its outcome. Explicit, one ack a message: an ack of all before it would
/// cover what another worker of the same consumer has not committed.
pub(crate) async fn settle(
    client: &Client,
    counters: &Counters,
    receipts: Vec<Subject>,
    outcomes: &[Outcome],
) -> anyhow::Result<()> {
    // All of them first: they stand whether or not an ack gets through.
    for &outcome in outcomes {
        counters.add_outcome(outcome);
    }
    for (receipt, &outcome) in receipts.into_iter().zip(outcomes) {
        let reply = if outcome == Outcome::Later { LATER } else { ACK };
        client.publish(receipt, reply).await.context("acking a message")?;
    }
    Ok(())
}

/// Gives back what was never handled: it is delivered again at once, to whoever pulls. Only for a consumer that has
/// stopped pulling, which would get it itself.
pub(crate) async fn give_back(client: &Client, receipts: impl Iterator<Item = Subject>) -> anyhow::Result<()> {
    for receipt in receipts {
        client.publish(receipt, AT_ONCE).await.context("giving a message back")?;
    }
    client.flush().await.context("flushing the last acks")
}

/// Asks JetStream for more time while a batch waits for its store.
pub(crate) async fn extend(client: &Client, receipts: &[Subject]) -> anyhow::Result<()> {
    for receipt in receipts {
        client.publish(receipt.clone(), PROGRESS).await.context("asking for more time")?;
    }
    Ok(())
}
