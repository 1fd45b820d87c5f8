//! `event`: every event of a type is an incident of its own, over as it begins.
//!
//! For what a person wants to hear of each time, such as a booking. There is nothing to remember: the incident is named
//! after the event, so any redelivery names it again. It does not count.

use super::{
    Judgement, Kind, Message, Notice, Window,
    fields::{EventFields, Fields},
    property,
};
use chrono::{DateTime, Utc};

#[derive(Debug)]
struct EachEvent(EventFields);

pub(super) fn read(fields: &mut Fields<'_>) -> Box<dyn Kind> {
    Box::new(EachEvent(fields.event(None)))
}

impl Kind for EachEvent {
    fn name(&self) -> &'static str {
        "event"
    }

    fn notice(&self, message: &Message<'_>) -> Option<Notice> {
        let Message::Accepted(event) = message else { return None };
        self.0.notice(event)
    }

    fn window(&self) -> Box<dyn Window> {
        Box::new(Nothing)
    }
}

impl EventFields {
    /// What an event of this type means, when each counts.
    pub(super) fn notice(&self, event: &valera_events::Event<'_>) -> Option<Notice> {
        (event.name == self.event).then(|| Notice {
            group: property::group(event, &self.group_by),
            counts: true,
            value: 1,
            facts: property::facts(event, &self.facts),
        })
    }
}

#[derive(Debug)]
struct Nothing;

impl Window for Nothing {
    fn add(&mut self, _: DateTime<Utc>, notice: &Notice) -> Judgement {
        Judgement::Once(notice.facts.clone())
    }

    fn tick(&mut self, _: DateTime<Utc>) -> Judgement {
        Judgement::Unchanged
    }

    fn is_empty(&self) -> bool {
        true
    }
}
