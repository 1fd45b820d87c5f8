//! A simulated bot: the messages that the assistant of a car body shop would publish, and what they must add up to.
//!
//! A demo on uniform random numbers proves little and looks like nothing. This bot has days and nights, customers who come
//! back, a slow hour, a funnel that narrows, and the faults of real publishers: duplicates, disorder, late events and
//! mistakes. The same seed and moment give the same bytes, so that a count that differs can be looked at twice.
//!
//! It does not publish: the caller does, in the order given.

mod expected;
mod journey;
mod mistakes;
mod noise;
mod rhythm;
mod vocabulary;
mod wire;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use valera_events::Origin;

pub use expected::Expected;
pub use rhythm::moscow_day;

/// The clock of the contract accepts no older event; the longest simulated past stays a day inside it.
const MOST_DAYS: u32 = 365;

/// What a message is to the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A catalogued event, sent for the first time.
    Good,
    /// The same bytes again: with the same `Nats-Msg-Id`, or without one, so that the broker lets it through.
    Duplicate,
    /// A catalogued event that occurred 40 to 300 days before it is published.
    Late,
    /// A developer's mistake, with the one reason for which it is rejected (a `ReasonCode` as it is written).
    Bad(&'static str),
    /// An event whose name is outside the catalogue, late or not: accepted, stored and counted.
    Undeclared,
}

/// On which way a message is sent. All of a chat's go one way: pseudonyms are made before the gateway hands an event on, and for
/// the others after, so that a duplicate on the other way would be another content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Published to the subject.
    Nats,
    /// Posted to the gateway, which makes subject and `Nats-Msg-Id` of the body.
    Gateway,
}

/// One chat in so many belongs to an application that speaks HTTP.
const BY_GATEWAY: i64 = 5;

impl Way {
    fn of(chat_id: i64) -> Self {
        if chat_id.rem_euclid(BY_GATEWAY) == 0 { Self::Gateway } else { Self::Nats }
    }
}

/// One message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The NATS subject.
    pub subject: String,
    /// The header `Nats-Msg-Id`, where the publisher sends one.
    pub msg_id: Option<String>,
    /// The header `Valera-Origin`; always [`Origin::Demo`], so that nobody is alerted.
    pub origin: Origin,
    /// The bytes of the event.
    pub body: Vec<u8>,
    /// What the pipeline should make of it.
    pub kind: Kind,
    pub way: Way,
}

/// A bot's messages in the order of publishing, all in memory (about half a kilobyte each).
#[derive(Debug, Clone)]
pub struct Simulation {
    messages: Vec<Message>,
}

impl Simulation {
    /// Simulates `days` days (held to 1..=365) that end at `now`, to the millisecond. Exactly `events` distinct events are
    /// acceptable; about 3 % duplicates and a few mistakes come on top. Nothing but one kind of mistake lies in the future.
    #[must_use]
    pub fn new(seed: u64, events: usize, days: u32, now: DateTime<Utc>) -> Self {
        let now = now.duration_trunc(TimeDelta::milliseconds(1)).unwrap_or(now);
        let period = rhythm::Period::ending(now, days.clamp(1, MOST_DAYS));
        let mut rng = generator(seed, now);
        let drafts = journey::generate(&mut rng, events, &period);
        Self { messages: noise::publish(&mut rng, &drafts, now) }
    }

    /// The messages, in the order of publishing.
    #[must_use]
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// What these messages must add up to once all are settled, with days cut by `local_day`.
    #[must_use]
    pub fn expected(&self, local_day: impl Fn(DateTime<Utc>) -> chrono::NaiveDate) -> Expected {
        Expected::of(&self.messages, local_day)
    }
}

/// ChaCha rather than rand's standard generator, whose algorithm may change with a release. The moment is part of the seed:
/// the same id a minute later, on another event, would be swallowed by the broker.
fn generator(seed: u64, now: DateTime<Utc>) -> ChaCha8Rng {
    let mut bytes = [0; 32];
    for (byte, part) in
        bytes.iter_mut().zip(seed.to_le_bytes().into_iter().chain(now.timestamp_millis().to_le_bytes()))
    {
        *byte = part;
    }
    ChaCha8Rng::from_seed(bytes)
}

impl IntoIterator for Simulation {
    type Item = Message;
    type IntoIter = std::vec::IntoIter<Message>;

    fn into_iter(self) -> Self::IntoIter {
        self.messages.into_iter()
    }
}

#[cfg(test)]
mod tests;
