//! The kinds of rules: each is one file of pure code over events, minutes and readings of consumers.
//!
//! A rule sees one message at a time and says what it means for a group; a window remembers what the group needs to be
//! judged. A window holds no more than its lookback, so whoever reads that far back in the stream has it again after a
//! restart. What becomes of a judgement (incidents, cooldown, quiet hours) is the same for all kinds and stands in
//! `incident`. It does no I/O and reads no clock.

mod burst;
mod conversion;
mod dead_letters;
mod duration;
mod event;
mod fields;
mod file;
mod full;
mod lag;
mod property;
mod quiet;
mod slow;

pub use duration::parse_duration;
pub use fields::Fault;
pub use file::SHIPPED;
pub(crate) use quiet::{QuietHours, local_time};

use super::Severity;
use crate::{progress::Progress, room::Room};
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};
use std::{collections::BTreeMap, fmt};
use valera_events::{Event, Reason};

/// What a rule groups by, with the values of one group.
pub(crate) type Group = BTreeMap<String, String>;
/// What an alert says beside its count.
pub(crate) type Facts = Map<String, Value>;

/// The rules of one file.
#[derive(Debug)]
pub struct Rules(pub(crate) Vec<Rule>);

/// What all kinds have in common, and the kind.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) severity: Severity,
    /// For so long after a group's last told step another incident of it is not told.
    pub(crate) cooldown: TimeDelta,
    pub(crate) quiet_hours: Option<QuietHours>,
    pub(crate) kind: Box<dyn Kind>,
}

/// A live message, received soon after it occurred, as the contract judged it.
pub(crate) enum Message<'a> {
    Accepted(&'a Event<'a>),
    /// Of a type that the catalogue knows.
    Rejected {
        name: &'a str,
        reasons: &'a [Reason],
    },
}

/// What JetStream says of now. No message leads to it again, and no catch-up repeats it.
pub(crate) enum Reading<'a> {
    Consumer(&'a Progress),
    /// By its name.
    Stream(&'a str, Room),
}

/// Kinds that judge readings.
pub(crate) const READERS: [&str; 2] = ["lag", "full"];

/// What one message or reading means to a rule.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Notice {
    pub(crate) group: Group,
    /// Whether it is one of those that an incident counts.
    pub(crate) counts: bool,
    pub(crate) value: u64,
    pub(crate) facts: Facts,
}

/// What a window says of its group.
#[derive(Debug, PartialEq)]
pub(crate) enum Judgement {
    Unchanged,
    /// An incident that is over as it begins.
    Once(Facts),
    /// There is trouble, made of so many events if it begins now.
    Trouble {
        count: u64,
        facts: Facts,
    },
    Calm,
}

/// How a rule judges.
pub(crate) trait Kind: fmt::Debug + Send + Sync {
    /// As the rule file spells it.
    fn name(&self) -> &'static str;

    /// What a message means to the rule; `None` for nothing.
    fn notice(&self, message: &Message<'_>) -> Option<Notice>;

    /// What a reading means to the rule.
    fn reading(&self, _: &Reading<'_>) -> Option<Notice> {
        None
    }

    /// Consumers whose progress it wants to know.
    fn consumers(&self) -> &[String] {
        &[]
    }

    /// How far back a window may remember.
    fn lookback(&self) -> TimeDelta {
        TimeDelta::zero()
    }

    /// An empty window for a new group.
    fn window(&self) -> Box<dyn Window>;
}

/// What is remembered of one group.
pub(crate) trait Window: fmt::Debug + Send {
    /// Takes a notice in, of a message received at `at`; later than those before it.
    fn add(&mut self, at: DateTime<Utc>, notice: &Notice) -> Judgement;

    /// Asked at each full minute, after everything received before it.
    fn tick(&mut self, at: DateTime<Utc>) -> Judgement;

    /// Whether a new window would do as well.
    fn is_empty(&self) -> bool;
}

impl Rules {
    /// How far back the stream has to be read to have every window again.
    pub(crate) fn lookback(&self) -> TimeDelta {
        self.0.iter().map(|rule| rule.kind.lookback()).max().unwrap_or_default()
    }

    /// The position of a rule.
    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|rule| rule.name == name)
    }

    /// Consumers whose progress some rule wants to know, each once.
    pub(crate) fn consumers(&self) -> Vec<&str> {
        let mut consumers: Vec<&str> =
            self.0.iter().flat_map(|rule| rule.kind.consumers()).map(String::as_str).collect();
        consumers.sort_unstable();
        consumers.dedup();
        consumers
    }

    /// The names of the rules, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|rule| rule.name.as_str())
    }
}
