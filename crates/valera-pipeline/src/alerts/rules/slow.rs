//! `slow`: too many answers of the assistant within a window took too long.
//!
//! "More than a fifth took over three seconds" and "the 95th percentile is over three seconds" are one question: a
//! percentile is over a limit exactly when more than the rest of the answers are. So no histogram is kept, only counts a
//! minute, judged at each full minute and only where there were enough answers to mean something. It does not say the
//! percentile itself; `latency` does.

use super::{Facts, Judgement, Kind, Message, Notice, Window, fields::Fields, property};
use chrono::{DateTime, TimeDelta, Utc};
use std::collections::BTreeMap;

/// The event and the property that are measured.
const EVENT: &str = "ai_response_time";
const DURATION: &str = "duration_ms";

#[derive(Debug)]
struct Slow {
    over_ms: u64,
    group_by: Vec<String>,
    limits: Limits,
}

#[derive(Debug, Clone, Copy)]
struct Limits {
    /// More than this share is too much.
    percent: u64,
    at_least: u64,
    window: TimeDelta,
}

pub(super) fn read(fields: &mut Fields<'_>) -> Box<dyn Kind> {
    let over_ms = fields.number("over_ms", 1..=2_147_483_647, Some(3_000));
    let group_by = fields.group_by(EVENT);
    let percent = match (fields.has("share_percent"), fields.has("percentile")) {
        (true, false) => fields.number("share_percent", 0..=99, None),
        (false, true) => 100 - fields.number("percentile", 1..=99, None),
        (both, _) => {
            fields.one_of("share_percent", "percentile", both);
            0
        }
    };
    let at_least = fields.number("at_least", 1..=1_000_000, None);
    Box::new(Slow { over_ms, group_by, limits: Limits { percent, at_least, window: fields.window() } })
}

impl Kind for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    fn notice(&self, message: &Message<'_>) -> Option<Notice> {
        let Message::Accepted(event) = message else { return None };
        let duration = event.integer(DURATION).filter(|_| event.name == EVENT)?;
        let duration = u64::try_from(duration).ok()?;
        Some(Notice {
            group: property::group(event, &self.group_by),
            counts: duration > self.over_ms,
            value: duration,
            facts: Facts::new(),
        })
    }

    fn lookback(&self) -> TimeDelta {
        // The minute in which the window begins counts whole.
        self.limits.window + TimeDelta::minutes(1)
    }

    fn window(&self) -> Box<dyn Window> {
        Box::new(Minutes { over_ms: self.over_ms, limits: self.limits, minutes: BTreeMap::new() })
    }
}

#[derive(Debug)]
struct Minutes {
    over_ms: u64,
    limits: Limits,
    /// By minutes since 1970.
    minutes: BTreeMap<i64, Minute>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Minute {
    responses: u64,
    slow: u64,
    slowest: u64,
}

impl Window for Minutes {
    fn add(&mut self, at: DateTime<Utc>, notice: &Notice) -> Judgement {
        let minute = self.minutes.entry(at.timestamp().div_euclid(60)).or_default();
        minute.responses += 1;
        minute.slow += u64::from(notice.counts);
        minute.slowest = minute.slowest.max(notice.value);
        Judgement::Unchanged
    }

    fn tick(&mut self, at: DateTime<Utc>) -> Judgement {
        let first = at.timestamp().div_euclid(60) - self.limits.window.num_minutes();
        self.minutes = self.minutes.split_off(&first);
        let whole = self.minutes.values().fold(Minute::default(), |whole, minute| Minute {
            responses: whole.responses + minute.responses,
            slow: whole.slow + minute.slow,
            slowest: whole.slowest.max(minute.slowest),
        });
        if whole.slow * 100 <= whole.responses * self.limits.percent {
            return Judgement::Calm;
        }
        if whole.responses < self.limits.at_least {
            return Judgement::Unchanged;
        }
        let facts = [
            ("responses", whole.responses),
            ("slow_responses", whole.slow),
            ("slow_percent", whole.slow * 100 / whole.responses),
            ("slowest_ms", whole.slowest),
            ("over_ms", self.over_ms),
            ("window_seconds", self.limits.window.num_seconds().unsigned_abs()),
        ];
        let facts = facts.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        Judgement::Trouble { count: whole.slow, facts }
    }

    fn is_empty(&self) -> bool {
        self.minutes.is_empty()
    }
}
