//! A story: what happened, how it reached each consumer, and what became of the workers; shown as a list to read.
//!
//! Every event carries its own copies and its places in the orders of arrival, so that a story from which an event is
//! taken away is a story still, and shrinking needs to know no more. It does not know what the tables should hold.

use super::vocabulary::{HORIZON, RECEIVED_AT};
use chrono::{DateTime, TimeDelta, Utc};
use std::fmt;
use uuid::Uuid;
use valera_events::{Verdict, id};
use valera_pipeline::{handler::Delivery, service::STREAM};

/// Where an event comes in an order of arrival, among others of the same place by its place in the story.
pub(super) type Place = u8;

/// Places in the stream and in what each consumer gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Places {
    pub(super) stream: Place,
    pub(super) consumers: [Place; 2],
}

/// How an event is known again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum By {
    /// An id in its body.
    Id,
    /// A `Nats-Msg-Id`.
    Key,
    /// Nothing but its place in the stream.
    Arrival,
}

/// One event and everything that is delivered of it.
#[derive(Debug, Clone)]
pub(super) struct Told {
    pub(super) at: &'static str,
    pub(super) chat: i64,
    pub(super) kind: (&'static str, &'static str),
    pub(super) platform: Option<&'static str>,
    pub(super) by: By,
    pub(super) places: Places,
    pub(super) copies: Vec<Copied>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Copied {
    /// The same message once more.
    Redelivered(Places),
    /// The same event under another sequence.
    Resent(Places),
    /// Another event under the same identity.
    Twisted(Places),
}

/// What becomes of the worker that gets a batch; a batch whose worker died comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Lives,
    DiesBeforeCommit,
    DiesBeforeAck,
}

/// How a consumer works: with how many workers, in batches of these sizes, over and over; with none, in a single one.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) workers: usize,
    pub(super) cuts: Vec<(usize, Fate)>,
}

/// See the module.
#[derive(Clone)]
pub(super) struct Story {
    pub(super) told: Vec<Told>,
    pub(super) plans: [Plan; 2],
}

/// A batch and what becomes of its worker.
#[derive(Debug, Clone)]
pub(super) struct Batch {
    pub(super) deliveries: Vec<Delivery>,
    pub(super) fate: Fate,
}

/// A message in the stream, and its places in what each consumer gets.
struct Arrival {
    event: usize,
    stream: Place,
    consumers: Vec<[Place; 2]>,
    is_twisted: bool,
}

impl Story {
    pub(super) fn plan(&self, consumer: usize) -> &Plan {
        &self.plans[consumer]
    }

    /// Every event as it was first told, in one batch.
    pub(super) fn plainly(&self) -> Batch {
        let mut firsts: Vec<Option<Delivery>> = vec![None; self.told.len()];
        for (arrival, delivery) in self.stream() {
            if !arrival.is_twisted {
                firsts[arrival.event].get_or_insert(delivery);
            }
        }
        Batch { deliveries: firsts.into_iter().flatten().collect(), fate: Fate::Lives }
    }

    /// What a consumer gets, in batches.
    pub(super) fn batches(&self, consumer: usize) -> Vec<Batch> {
        let mut deliveries: Vec<(Place, Delivery)> = Vec::new();
        for (arrival, delivery) in self.stream() {
            deliveries.extend(arrival.consumers.iter().map(|places| (places[consumer], delivery.clone())));
        }
        deliveries.sort_by_key(|(place, _)| *place);
        let mut left = deliveries.into_iter().map(|(_, delivery)| delivery).peekable();
        let mut cuts = self.plans[consumer].cuts.iter().cycle();
        let mut batches = Vec::new();
        while left.peek().is_some() {
            let (size, fate) = cuts.next().copied().unwrap_or((usize::MAX, Fate::Lives));
            batches.push(Batch { deliveries: left.by_ref().take(size).collect(), fate });
        }
        batches
    }

    /// The messages of the stream, by sequence.
    fn stream(&self) -> impl Iterator<Item = (Arrival, Delivery)> {
        let mut arrivals: Vec<Arrival> =
            self.told.iter().enumerate().flat_map(|(n, told)| told.arrivals(n)).collect();
        arrivals.sort_by_key(|arrival| arrival.stream);
        (1..).zip(arrivals).map(|(sequence, arrival)| {
            let delivery = self.told[arrival.event].delivery(arrival.event, sequence, arrival.is_twisted);
            (arrival, delivery)
        })
    }
}

impl Told {
    fn arrivals(&self, event: usize) -> Vec<Arrival> {
        let arrival = |places: Places, is_twisted| Arrival {
            event,
            stream: places.stream,
            consumers: vec![places.consumers],
            is_twisted,
        };
        let mut arrivals = vec![arrival(self.places, false)];
        for copied in &self.copies {
            match *copied {
                // Sent again, an event that is known by its arrival alone would be another one.
                Copied::Resent(places) if self.by != By::Arrival => arrivals.push(arrival(places, false)),
                Copied::Twisted(places) if self.by != By::Arrival => arrivals.push(arrival(places, true)),
                Copied::Redelivered(places) | Copied::Resent(places) | Copied::Twisted(places) => {
                    arrivals[0].consumers.push(places.consumers);
                }
            }
        }
        arrivals
    }

    /// Twisted, it is another event of another chat, and two hours later where the id does not hang on the time.
    fn delivery(&self, event: usize, sequence: u64, is_twisted: bool) -> Delivery {
        let at = time(self.at);
        let (name, properties) = if is_twisted { ("cart_confirmed", r#"{"services_count":2}"#) } else { self.kind };
        let chat = if is_twisted { self.chat + 10 } else { self.chat };
        let said_at = if is_twisted && self.by == By::Id { at + TimeDelta::hours(2) } else { at };
        let platform = self.platform.map(|platform| format!(r#","platform":"{platform}""#)).unwrap_or_default();
        let event_id = match self.by {
            By::Id => format!(r#","event_id":"{}""#, id::mint(at, [u8::try_from(event).unwrap(); 10])),
            By::Key | By::Arrival => String::new(),
        };
        let key = (self.by == By::Key).then(|| ("Nats-Msg-Id".to_owned(), format!("key/{event}")));
        let properties = properties.replace("LONG", &"ж".repeat(200));
        let said_at = said_at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
        Delivery {
            stream: STREAM.to_owned(),
            sequence,
            received_at: time(RECEIVED_AT) + TimeDelta::milliseconds(sequence.cast_signed()),
            subject: format!("analytics.{name}"),
            headers: key.into_iter().collect(),
            body: format!(
                r#"{{"chat_id":{chat},"occurred_at":"{said_at}"{platform}{event_id},"properties":{properties}}}"#
            )
            .into(),
        }
    }
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The id under which a delivery is to be stored; none where it is to be rejected or has expired.
pub(super) fn stored_as(delivery: &Delivery) -> Option<Uuid> {
    let Verdict::Accepted(event) = delivery.check() else { return None };
    let event_id = event.event_id(&delivery.arrival());
    (id::millis(event_id) >= time(HORIZON).timestamp_millis()).then_some(event_id)
}

/// As a list: the stream by sequence, then the batches of each consumer.
impl fmt::Debug for Story {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for (arrival, delivery) in self.stream() {
            let Told { by, .. } = self.told[arrival.event];
            let key = delivery.header("Nats-Msg-Id").unwrap_or_default();
            let body = String::from_utf8_lossy(&delivery.body).replace(&"ж".repeat(200), "LONG");
            writeln!(f, "{:>3}  {}  {body}  known by {by:?} {key}", delivery.sequence, delivery.subject)?;
        }
        for (consumer, name) in ["persister", "rollups"].into_iter().enumerate() {
            writeln!(f, "{name}, {} workers:", self.plans[consumer].workers)?;
            for Batch { deliveries, fate } in self.batches(consumer) {
                let sequences: Vec<_> = deliveries.iter().map(|delivery| delivery.sequence).collect();
                writeln!(f, "     {sequences:?} {fate:?}")?;
            }
        }
        Ok(())
    }
}
