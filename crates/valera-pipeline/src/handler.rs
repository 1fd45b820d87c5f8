//! What a consumer does with a batch, and the two ways in which that can fail.
//!
//! A handler answers with one [`Outcome`] per delivery, and only once the effects are durable: the loop acks on that
//! answer. A fault of an event is an outcome (its neighbours go on); a fault of ours is an error, after which nothing
//! is acked and the same batch is handed in again. A handler does not ack, does not retry and does not see NATS.

use crate::store::positions::Covered;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use std::future::Future;
use uuid::Uuid;
use valera_events::{
    Arrival, Catalogue, Headers, Origin, Verdict,
    check::{check_under, parse_rfc3339},
    headers,
};

/// One message as JetStream delivered it.
#[derive(Debug, Clone)]
pub struct Delivery {
    pub stream: String,
    /// Stream sequence. A hint for people: a stream that lost its tail hands the same one out again.
    pub sequence: u64,
    /// When JetStream received the message, not when it was delivered.
    pub received_at: DateTime<Utc>,
    pub subject: String,
    /// As sent, in the order of their names, the values of one name in the order they were sent in.
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

impl Delivery {
    /// The first value of a header spelled exactly so, which is how the broker reads its own. Two spellings of one name
    /// are two headers; a rule that took either could take another one at the next delivery.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The headers a verdict depends on.
    #[must_use]
    pub fn contract_headers(&self) -> Headers<'_> {
        let origin = self.header(headers::ORIGIN).map(Origin::parse).unwrap_or_default();
        Headers { msg_id: self.header(headers::MSG_ID), origin }
    }

    /// The sequence as Postgres keeps it.
    #[must_use]
    pub fn stream_seq(&self) -> i64 {
        i64::try_from(self.sequence).unwrap_or(i64::MAX)
    }

    /// Where and when the message entered the stream.
    #[must_use]
    pub fn arrival(&self) -> Arrival<'_> {
        Arrival { stream: &self.stream, sequence: self.sequence, received_at: self.received_at }
    }

    /// The dead letter that the message republishes.
    #[must_use]
    pub fn dead_letter(&self) -> Option<Uuid> {
        self.header(headers::DEAD_LETTER).and_then(valera_events::id::parse)
    }

    /// When JetStream received the event for the first time: a retry comes long after what it repairs, and is held to the
    /// clock of then. Whether the letter is there is not asked, since a verdict knows no database and no key: a stranger who
    /// names one can set the clock of his own message back, hence reach as far as the horizon, as imports do; never forward.
    #[must_use]
    pub fn first_received_at(&self) -> DateTime<Utc> {
        let named = self.dead_letter().and_then(|_| self.header(headers::RECEIVED_AT)).and_then(parse_rfc3339);
        named.map_or(self.received_at, |named| named.min(self.received_at))
    }

    /// The contract's verdict, the same in every consumer.
    #[must_use]
    pub fn check(&self) -> Verdict<'_> {
        self.check_under(Catalogue::OURS)
    }

    /// What the contract's verdict would be if this were our catalogue.
    #[must_use]
    pub fn check_under(&self, catalogue: Catalogue) -> Verdict<'_> {
        check_under(catalogue, &self.subject, &self.contract_headers(), &self.body, self.first_received_at())
    }
}

/// The places of messages in the stream, as the transaction that makes them durable notes them.
pub(crate) fn covered(deliveries: &[Delivery]) -> Option<Covered> {
    Covered::of(deliveries.iter().map(|delivery| (delivery.stream_seq(), delivery.received_at)))
}

/// How one message ended in one consumer. Each ends in exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// Its effect is durable, and new.
    Stored,
    /// The same id with the same content was there before.
    Duplicate,
    /// The same id with other content was there before.
    Conflicting,
    /// The contract or the database refuses it.
    Rejected,
    /// Its id lies below the horizon.
    Expired,
    /// Its chat has asked to be forgotten.
    Erased,
    /// Not decided: to be delivered again.
    Later,
}

impl Outcome {
    /// Every outcome, in the order of their discriminants.
    pub const ALL: [Self; 7] =
        [Self::Stored, Self::Duplicate, Self::Conflicting, Self::Rejected, Self::Expired, Self::Erased, Self::Later];

    /// The word used in logs, metrics and reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stored => "stored",
            Self::Duplicate => "duplicate",
            Self::Conflicting => "conflicting",
            Self::Rejected => "rejected",
            Self::Expired => "expired",
            Self::Erased => "erased",
            Self::Later => "later",
        }
    }
}

/// A fault of ours: a connection, a lock, a full disk, a bug. Nothing of the batch may be acked.
#[derive(Debug, thiserror::Error)]
#[error("{0:#}")]
pub struct Ours(#[from] pub anyhow::Error);

/// The work of one durable consumer.
pub trait Handler: Send {
    /// A batch made ready: everything that needs no database is done.
    type Batch: Send + Sync + 'static;

    /// Makes a batch ready: pure, CPU-bound, and run on a thread of its own while the batch before it commits.
    fn decoder(&self) -> impl Fn(Vec<Delivery>) -> Self::Batch + Send + Sync + 'static;

    /// Makes the batch durable and says how each delivery ended, in the order of the deliveries.
    ///
    /// Called again with the same batch after an error: what an earlier call may have committed must then count as
    /// [`Outcome::Duplicate`], never twice.
    ///
    /// # Errors
    /// [`Ours`] when the outcome is not known to be durable, for all or for some of the batch.
    fn handle(&mut self, batch: &Self::Batch) -> impl Future<Output = Result<Vec<Outcome>, Ours>> + Send;

    /// Whether the last attempt, which failed, got further than the one before it. Pauses then begin anew: they grow while
    /// nothing works, not with the number of failures that a large batch comes to.
    fn has_advanced(&mut self) -> bool {
        false
    }

    /// What does not get through although the batch is settled; readiness says so.
    fn complaint(&self) -> Option<String> {
        None
    }
}
