//! `lag`: a consumer falls behind: its oldest unsettled event is older than it may be.
//!
//! Age and not number: ten thousand pending events are a second's work or an hour's outage. It is read every few
//! seconds from what JetStream says of the consumer now, so there is nothing to remember but the incident. A catch-up does not repeat
//! it: the past state of a consumer is written nowhere.

use super::{Facts, Group, Judgement, Kind, Message, Notice, Reading, Window, fields::Fields};
use crate::{alerts, persister, rollups};
use chrono::{DateTime, TimeDelta, Utc};

/// Consumers of the events' stream.
const CONSUMERS: [&str; 3] = [alerts::NAME, persister::NAME, rollups::NAME];

#[derive(Debug)]
struct Lag {
    consumers: Vec<String>,
    older_than: TimeDelta,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Box<dyn Kind> {
    let mut consumers = fields.names("consumers", "persister, rollups or alerts", |name| CONSUMERS.contains(&name));
    if consumers.is_empty() {
        consumers = [persister::NAME, rollups::NAME].map(str::to_owned).into();
    }
    Box::new(Lag { consumers, older_than: fields.duration("older_than", None) })
}

impl Kind for Lag {
    fn name(&self) -> &'static str {
        "lag"
    }

    fn notice(&self, _: &Message<'_>) -> Option<Notice> {
        None
    }

    fn reading(&self, reading: &Reading<'_>) -> Option<Notice> {
        let Reading::Consumer(progress) = reading else { return None };
        if !self.consumers.contains(&progress.consumer) {
            return None;
        }
        let oldest = progress.oldest_seconds.unwrap_or_default();
        let unsettled = progress.pending + progress.ack_pending;
        let facts: Facts = [("oldest_seconds".to_owned(), oldest.into()), ("unsettled".to_owned(), unsettled.into())]
            .into_iter()
            .collect();
        Some(Notice {
            group: Group::from([("consumer".to_owned(), progress.consumer.clone())]),
            counts: oldest > self.older_than.num_seconds().unsigned_abs(),
            value: unsettled,
            facts,
        })
    }

    fn consumers(&self) -> &[String] {
        &self.consumers
    }

    fn window(&self) -> Box<dyn Window> {
        Box::new(Now)
    }
}

/// A window that remembers nothing: each reading says it all.
#[derive(Debug)]
pub(super) struct Now;

impl Window for Now {
    fn add(&mut self, _: DateTime<Utc>, notice: &Notice) -> Judgement {
        if notice.counts {
            return Judgement::Trouble { count: notice.value, facts: notice.facts.clone() };
        }
        Judgement::Calm
    }

    fn tick(&mut self, _: DateTime<Utc>) -> Judgement {
        Judgement::Unchanged
    }

    fn is_empty(&self) -> bool {
        true
    }
}
