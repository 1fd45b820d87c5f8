//! `conversion`: too few events of one type for those of another, within a window.
//!
//! For a step of the funnel that people no longer take, or that is no longer reported: dialogs go on, and suggestions or
//! bookings have stopped. Events are counted, not chats, a minute at a time, and judged at each full minute where there
//! are enough to mean something. What is usual on a Tuesday it does not know; the floor is the rule's.

use super::{Facts, Group, Judgement, Kind, Message, Notice, Window, fields::Fields};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;
use valera_events::subject;

#[derive(Debug)]
struct Conversion {
    from: String,
    to: String,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    below_percent: u64,
    at_least: u64,
    window: TimeDelta,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Box<dyn Kind> {
    let mut event = |field| {
        let read = |name: &str| subject::of_event(name).map(|_| name.to_owned());
        fields.required(field, "an event's name", read).unwrap_or_default()
    };
    let (from, to) = (event("from"), event("to"));
    let limits = Limits {
        below_percent: fields.number("below_percent", 1..=100, None),
        at_least: fields.number("at_least", 1..=1_000_000, None),
        window: fields.window(),
    };
    Box::new(Conversion { from, to, limits })
}

impl Kind for Conversion {
    fn name(&self) -> &'static str {
        "conversion"
    }

    fn notice(&self, message: &Message<'_>) -> Option<Notice> {
        let Message::Accepted(event) = message else { return None };
        let is_from = event.name == self.from;
        (is_from || event.name == self.to).then(|| Notice {
            group: Group::new(),
            counts: is_from,
            value: 1,
            facts: Facts::new(),
        })
    }

    fn lookback(&self) -> TimeDelta {
        // The minute in which the window begins counts whole.
        self.limits.window + TimeDelta::minutes(1)
    }

    fn window(&self) -> Box<dyn Window> {
        Box::new(Minutes { limits: self.limits, minutes: BTreeMap::new() })
    }
}

#[derive(Debug)]
struct Minutes {
    limits: Limits,
    /// Events of both types, by minutes since 1970.
    minutes: BTreeMap<i64, (u64, u64)>,
}

impl Window for Minutes {
    fn add(&mut self, at: DateTime<Utc>, notice: &Notice) -> Judgement {
        let (from, to) = self.minutes.entry(at.timestamp().div_euclid(60)).or_default();
        *(if notice.counts { from } else { to }) += 1;
        Judgement::Unchanged
    }

    fn tick(&mut self, at: DateTime<Utc>) -> Judgement {
        let Limits { below_percent, at_least, window } = self.limits;
        let first = at.timestamp().div_euclid(60) - window.num_minutes();
        self.minutes = self.minutes.split_off(&first);
        let from: u64 = self.minutes.values().map(|(from, _)| from).sum();
        let to: u64 = self.minutes.values().map(|(_, to)| to).sum();
        if to * 100 >= from * below_percent {
            return Judgement::Calm;
        }
        if from < at_least {
            return Judgement::Unchanged;
        }
        let facts = [
            ("from_events", from),
            ("to_events", to),
            ("percent", to * 100 / from),
            ("below_percent", below_percent),
            ("window_seconds", window.num_seconds().unsigned_abs()),
        ];
        let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        Judgement::Trouble { count: from, facts }
    }

    fn is_empty(&self) -> bool {
        self.minutes.is_empty()
    }
}
