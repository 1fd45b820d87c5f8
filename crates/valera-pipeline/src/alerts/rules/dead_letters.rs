//! `dead_letters`: a type of event is rejected, so many times in a row.
//!
//! One bad event is its sender's fault; twenty in a row of a type that was accepted a while ago are ours, most likely: a
//! deploy changed what is sent, or what is expected. It is over with the next accepted event, or when the type has not
//! been heard of for a window. Types outside the catalogue are left out: anybody could make up any number of them.

use super::{Facts, Group, Judgement, Kind, Message, Notice, Window, fields::Fields};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::VecDeque;
use valera_events::catalogue;

#[derive(Debug)]
struct DeadLetters {
    /// Empty for all of the catalogue.
    events: Vec<String>,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    in_a_row: usize,
    window: TimeDelta,
    /// Whether one must have been accepted in the window before.
    used_to_be_accepted: bool,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Box<dyn Kind> {
    let events = fields.names("events", "an event of the catalogue", |name| catalogue::find(name).is_some());
    let in_a_row = fields.number("in_a_row", 1..=100_000, Some(20));
    let limits = Limits {
        in_a_row: usize::try_from(in_a_row).unwrap_or(usize::MAX),
        used_to_be_accepted: fields.flag("used_to_be_accepted", true),
        window: fields.window(),
    };
    Box::new(DeadLetters { events, limits })
}

impl Kind for DeadLetters {
    fn name(&self) -> &'static str {
        "dead_letters"
    }

    fn notice(&self, message: &Message<'_>) -> Option<Notice> {
        let (name, reasons) = match message {
            Message::Accepted(event) => (event.spec?.name, None),
            Message::Rejected { name, reasons } => (*name, reasons.first()),
        };
        if !self.events.is_empty() && !self.events.iter().any(|event| event == name) {
            return None;
        }
        let facts = reasons.map(|first| ("reason".to_owned(), first.reason.as_str().into()));
        Some(Notice {
            group: Group::from([("event".to_owned(), name.to_owned())]),
            counts: reasons.is_some(),
            value: 1,
            facts: facts.into_iter().collect(),
        })
    }

    fn lookback(&self) -> TimeDelta {
        self.limits.window
    }

    fn window(&self) -> Box<dyn Window> {
        Box::new(Row { limits: self.limits, rejected: VecDeque::new(), accepted: None })
    }
}

#[derive(Debug)]
struct Row {
    limits: Limits,
    /// The last `in_a_row` rejections since the last acceptance.
    rejected: VecDeque<DateTime<Utc>>,
    /// When one was last accepted.
    accepted: Option<DateTime<Utc>>,
}

impl Window for Row {
    fn add(&mut self, at: DateTime<Utc>, notice: &Notice) -> Judgement {
        let Limits { in_a_row, window, used_to_be_accepted } = self.limits;
        if !notice.counts {
            self.accepted = Some(at);
            self.rejected.clear();
            return Judgement::Calm;
        }
        self.rejected.push_back(at);
        while self.rejected.len() > in_a_row {
            self.rejected.pop_front();
        }
        let is_row =
            self.rejected.len() == in_a_row && self.rejected.front().is_some_and(|&first| first > at - window);
        let was_healthy = !used_to_be_accepted || self.accepted.is_some_and(|accepted| accepted > at - window);
        if !is_row || !was_healthy {
            return Judgement::Unchanged;
        }
        let mut facts: Facts = notice.facts.clone();
        facts.insert("in_a_row".to_owned(), in_a_row.into());
        Judgement::Trouble { count: in_a_row as u64, facts }
    }

    fn tick(&mut self, at: DateTime<Utc>) -> Judgement {
        let since = at - self.limits.window;
        self.accepted = self.accepted.filter(|accepted| *accepted > since);
        if self.rejected.back().is_some_and(|last| *last > since) {
            return Judgement::Unchanged;
        }
        self.rejected.clear();
        Judgement::Calm
    }

    fn is_empty(&self) -> bool {
        self.rejected.is_empty() && self.accepted.is_none()
    }
}
