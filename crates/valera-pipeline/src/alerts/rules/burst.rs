//! `burst`: so many events of a type within a window, in one group.
//!
//! It is judged at each event, because a burst of errors is told at once and not at the next minute, and is over when a
//! whole window has passed without one. The window keeps the last few times only, as many as make a burst: more would
//! not change the judgement, and a storm would fill the memory.

use super::{
    Facts, Judgement, Kind, Message, Notice, Window,
    fields::{EventFields, Fields},
};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::VecDeque;

#[derive(Debug)]
struct Burst {
    events: EventFields,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    at_least: usize,
    window: TimeDelta,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Box<dyn Kind> {
    let events = fields.event(Some("error_occurred"));
    let at_least = fields.number("at_least", 1..=100_000, None);
    let limits = Limits { at_least: usize::try_from(at_least).unwrap_or(usize::MAX), window: fields.window() };
    Box::new(Burst { events, limits })
}

impl Kind for Burst {
    fn name(&self) -> &'static str {
        "burst"
    }

    fn notice(&self, message: &Message<'_>) -> Option<Notice> {
        let Message::Accepted(event) = message else { return None };
        self.events.notice(event)
    }

    fn lookback(&self) -> TimeDelta {
        self.limits.window
    }

    fn window(&self) -> Box<dyn Window> {
        Box::new(Latest { limits: self.limits, times: VecDeque::new() })
    }
}

#[derive(Debug)]
struct Latest {
    limits: Limits,
    /// The last `at_least` times, in order.
    times: VecDeque<DateTime<Utc>>,
}

impl Window for Latest {
    fn add(&mut self, at: DateTime<Utc>, notice: &Notice) -> Judgement {
        let Limits { at_least, window } = self.limits;
        self.times.push_back(at);
        while self.times.len() > at_least {
            self.times.pop_front();
        }
        let is_burst = self.times.len() == at_least && self.times.front().is_some_and(|&first| first > at - window);
        if !is_burst {
            return Judgement::Unchanged;
        }
        let mut facts: Facts = notice.facts.clone();
        facts.insert("window_seconds".to_owned(), window.num_seconds().into());
        Judgement::Trouble { count: at_least as u64, facts }
    }

    fn tick(&mut self, at: DateTime<Utc>) -> Judgement {
        let is_past = |last: &DateTime<Utc>| *last <= at - self.limits.window;
        if self.times.back().is_some_and(|last| !is_past(last)) {
            return Judgement::Unchanged;
        }
        self.times.clear();
        Judgement::Calm
    }

    fn is_empty(&self) -> bool {
        self.times.is_empty()
    }
}
