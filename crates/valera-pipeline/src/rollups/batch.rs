//! A batch made ready for folding: judged, deduplicated, and grouped so that Postgres touches each bucket once.
//!
//! The common case, that every id is new, is grouped and encoded here before any lock is taken. When some ids turn out
//! to be known, the facts are still at hand and the rest is grouped again. No database is asked.

use super::fact::{Dimensions, Fact, Step};
use crate::{
    handler::{Delivery, Outcome, covered},
    identity::{Identified, Identities},
    replay::restored::{self, FileLine, Refusals},
    store::{Calendar, copy::Rows, inbox, positions::Covered, raw::RawRow},
};
use anyhow::Context;
use bigdecimal::BigDecimal;
use chrono::{DateTime, NaiveDate, Utc};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;
use valera_events::{Event, Keys, Verdict};

/// See the module.
pub struct Batch {
    pub(super) events: Identities<Fact>,
    /// Final for rejected deliveries, to be judged for the others.
    pub(super) outcomes: Vec<Outcome>,
    /// Places in the stream; lines of files have none.
    pub(super) covered: Option<Covered>,
    all_new: Grouped,
}

/// Finished buffers of what is to be folded.
pub(crate) struct Grouped {
    /// The ids taken in.
    pub(super) inbox: Vec<u8>,
    /// One row a set of dimensions.
    pub(super) dimensions: Vec<u8>,
    /// One row a chat and day.
    pub(super) chats: Vec<u8>,
    events: usize,
}

impl Grouped {
    pub(super) fn is_empty(&self) -> bool {
        self.events == 0
    }

    /// Stored events, of distinct ids and in their order, as a batch of them would be grouped.
    ///
    /// # Errors
    /// When a row is not what the persister writes.
    pub(crate) fn of_stored(rows: &[RawRow], calendar: &Calendar) -> anyhow::Result<Self> {
        let facts: anyhow::Result<Vec<_>> = rows.iter().map(|row| stored(row, calendar)).collect();
        Ok(group(facts?.iter()))
    }
}

impl Batch {
    pub(super) fn decode(deliveries: &[Delivery], keys: &Keys, calendar: &Calendar) -> Self {
        let mut outcomes = vec![Outcome::Rejected; deliveries.len()];
        let mut accepted = Vec::with_capacity(deliveries.len());
        for (position, delivery) in deliveries.iter().enumerate() {
            if let Verdict::Accepted(event) = delivery.check() {
                outcomes[position] = Outcome::Later;
                accepted.push(Identified::of(position, delivery, event, keys));
            }
        }
        let events = Identities::of(accepted).map(|identified| {
            identified.event.pseudonymise(&keys.pseudonym);
            Fact::of(&identified.event, calendar)
        });
        let all_new = group(events.first.iter());
        Self { events, outcomes, covered: covered(deliveries), all_new }
    }

    /// What lines of exported files hold.
    pub(super) fn restore(lines: &[FileLine], keys: &Keys, calendar: &Calendar, refusals: &Refusals) -> Self {
        let (unsealed, mut outcomes) = restored::unseal(lines, &keys.content, refusals);
        let facts = unsealed.into_iter().filter_map(|line| {
            let Some(event) = line.event.event() else {
                outcomes[line.delivery] = Outcome::Rejected;
                return None;
            };
            let fact = Fact::of(&event, calendar);
            let Identified { delivery, sequence, event_id, content_hash, .. } = line;
            Some(Identified { delivery, sequence, event_id, content_hash, event: fact })
        });
        let events = Identities::of(facts.collect());
        let all_new = group(events.first.iter());
        Self { events, outcomes, covered: None, all_new }
    }

    /// Distinct ids, in order.
    pub(super) fn ids(&self) -> impl Iterator<Item = Uuid> {
        self.events.first.iter().map(|event| event.event_id)
    }

    /// Everything in the batch, for when all of it is new.
    pub(super) fn all_new(&self) -> &Grouped {
        &self.all_new
    }

    /// The batch without some ids.
    pub(super) fn group_without(&self, left_out: &HashSet<Uuid>) -> Grouped {
        group(self.events.first.iter().filter(|event| !left_out.contains(&event.event_id)))
    }
}

fn stored(row: &RawRow, calendar: &Calendar) -> anyhow::Result<Identified<Fact>> {
    let RawRow { event_id, event_name, chat_id, properties, occurred_at, platform, content_hash } = row;
    let event = Event::recorded(event_name, *chat_id, *occurred_at, platform, properties);
    let event = event.with_context(|| format!("the properties of event {event_id} are no object"))?;
    Ok(Identified {
        delivery: 0,
        sequence: 0,
        event_id: *event_id,
        content_hash: (content_hash.as_slice().try_into())
            .with_context(|| format!("the content hash of event {event_id} is not 16 bytes"))?,
        event: Fact::of(&event, calendar),
    })
}

fn group<'a>(events: impl Iterator<Item = &'a Identified<Fact>>) -> Grouped {
    let mut ids = Rows::default();
    let mut dimensions: HashMap<&Dimensions, Sums> = HashMap::new();
    let mut chats: HashMap<(NaiveDate, i64), ChatDay> = HashMap::new();
    for Identified { event_id, content_hash, event, .. } in events {
        inbox::encode(&mut ids, *event_id, content_hash);
        dimensions.entry(&event.dimensions).or_default().add(event);
        chats.entry((event.dimensions.day, event.chat_id)).or_default().add(event);
    }
    let mut dimension_rows = Rows::default();
    for (dimensions, sums) in &dimensions {
        sums.encode(dimensions, &mut dimension_rows);
    }
    let mut chat_rows = Rows::default();
    for ((day, chat_id), chat_day) in &chats {
        chat_day.encode(*day, *chat_id, &mut chat_rows);
    }
    Grouped { events: ids.len(), inbox: ids.finish(), dimensions: dimension_rows.finish(), chats: chat_rows.finish() }
}

/// First and last of some instants.
#[derive(Debug, Default, Clone, Copy)]
struct Between {
    first: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
}

impl Between {
    fn add(&mut self, at: DateTime<Utc>) {
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }
}

/// What a batch adds to one bucket.
#[derive(Debug, Default)]
struct Sums {
    events: i32,
    slow: i32,
    total_ms: i64,
    min_ms: Option<i32>,
    max_ms: Option<i32>,
    confidence: Option<BigDecimal>,
    at: Between,
}

impl Sums {
    fn add(&mut self, fact: &Fact) {
        self.events += 1;
        self.slow += i32::from(fact.is_slow());
        if let Some(duration) = fact.duration_ms {
            self.total_ms += i64::from(duration);
            self.min_ms = Some(self.min_ms.map_or(duration, |min| min.min(duration)));
            self.max_ms = Some(self.max_ms.map_or(duration, |max| max.max(duration)));
        }
        if let Some(confidence) = &fact.confidence {
            self.confidence =
                Some(self.confidence.as_ref().map_or_else(|| confidence.clone(), |sum| sum + confidence));
        }
        self.at.add(fact.occurred_at);
    }

    fn encode(&self, dimensions: &Dimensions, rows: &mut Rows) {
        let confidence = self.confidence.as_ref().map(BigDecimal::to_plain_string);
        rows.push(17, |row| {
            row.put(dimensions.hour)
                .put(dimensions.day)
                .put(dimensions.event_name.as_str())
                .put(dimensions.platform.as_str())
                .put(dimensions.model_used.as_deref())
                .put(dimensions.bin)
                .put(dimensions.service_name.as_deref())
                .put(dimensions.error_class.as_deref())
                .put(dimensions.context.as_deref())
                .put(self.events)
                .put(self.slow)
                .put(self.total_ms)
                .put(self.min_ms)
                .put(self.max_ms)
                .put(confidence.as_deref())
                .put(self.at.first)
                .put(self.at.last);
        });
    }
}

/// What a batch adds to one chat's day.
#[derive(Debug, Default)]
struct ChatDay {
    week: NaiveDate,
    events: i32,
    errors: i32,
    bookings: i32,
    at: Between,
    steps: [Between; 5],
}

impl ChatDay {
    fn add(&mut self, fact: &Fact) {
        self.week = fact.week;
        self.events += 1;
        self.errors += i32::from(fact.is_error);
        self.bookings += i32::from(fact.step == Some(Step::Booking));
        self.at.add(fact.occurred_at);
        if let Some(step) = fact.step {
            self.steps[step as usize].add(fact.occurred_at);
        }
    }

    fn encode(&self, day: NaiveDate, chat_id: i64, rows: &mut Rows) {
        rows.push(13, |row| {
            row.put(day)
                .put(self.week)
                .put(chat_id)
                .put(self.events)
                .put(self.errors)
                .put(self.bookings)
                .put(self.at.first)
                .put(self.at.last);
            for step in self.steps {
                row.put(step.first);
            }
        });
    }
}
