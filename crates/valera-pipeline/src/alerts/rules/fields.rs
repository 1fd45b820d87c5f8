//! Reads the fields of one rule and notes every fault, instead of ending at the first.
//!
//! Whoever mends a rule file wants to do so once. A field is taken out as it is read, so what is left over at the end is
//! unknown: a misspelled `cooldwon` would else be silence. It does not know the kinds.

use super::{duration::parse_duration, property};
use chrono::TimeDelta;
use std::{fmt, ops::RangeInclusive};
use toml::{Table, Value};
use valera_events::subject;

/// One thing that is wrong with a rule file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The rule, or empty where the file itself is wrong.
    pub rule: String,
    /// The field, or empty.
    pub field: String,
    /// What should stand there, and what does.
    pub expected: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for place in [&self.rule, &self.field] {
            if !place.is_empty() {
                write!(f, "{place}: ")?;
            }
        }
        f.write_str(&self.expected)
    }
}

/// The fields of one rule that are still to be read.
pub(crate) struct Fields<'a> {
    rule: &'a str,
    table: Table,
    faults: &'a mut Vec<Fault>,
}

/// Which events a rule is about, and what it takes from them.
#[derive(Debug)]
pub(super) struct EventFields {
    pub(super) event: String,
    pub(super) group_by: Vec<String>,
    pub(super) facts: Vec<String>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(rule: &'a str, table: Table, faults: &'a mut Vec<Fault>) -> Self {
        Self { rule, table, faults }
    }

    pub(super) fn has(&self, field: &str) -> bool {
        self.table.contains_key(field)
    }

    /// A text that `read` understands. Where it is missing or wrong, the file is refused and what is returned for it
    /// does not matter.
    pub(super) fn text<T>(&mut self, field: &str, expected: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        let found = self.table.remove(field)?;
        let value = found.as_str().and_then(read);
        if value.is_none() {
            self.fault(field, format!("expected {expected}, found {found}"));
        }
        value
    }

    pub(super) fn required<T>(&mut self, field: &str, expected: &str, read: impl Fn(&str) -> Option<T>) -> Option<T> {
        if !self.has(field) {
            self.fault(field, format!("missing; expected {expected}"));
        }
        self.text(field, expected, read)
    }

    /// A span of time; `None` as the default makes the field required.
    pub(super) fn duration(&mut self, field: &str, default: Option<TimeDelta>) -> TimeDelta {
        let expected = "a span of time such as \"90s\", \"10m\" or \"2h\"";
        match default {
            Some(default) => self.text(field, expected, parse_duration).unwrap_or(default),
            None => self.required(field, expected, parse_duration).unwrap_or_default(),
        }
    }

    /// The window that most kinds have.
    pub(super) fn window(&mut self) -> TimeDelta {
        let expected = "a window of \"1m\" to \"1d\" in whole minutes, such as \"10m\"";
        let read = |text: &str| {
            let window = parse_duration(text)?;
            let is_whole = window.num_seconds() % 60 == 0;
            (is_whole && (TimeDelta::minutes(1)..=TimeDelta::days(1)).contains(&window)).then_some(window)
        };
        self.required("window", expected, read).unwrap_or_default()
    }

    /// A whole number; `None` as the default makes the field required.
    pub(super) fn number(&mut self, field: &str, range: RangeInclusive<u64>, default: Option<u64>) -> u64 {
        let expected = format!("expected a whole number from {} to {}", range.start(), range.end());
        let Some(found) = self.table.remove(field) else {
            if default.is_none() {
                self.fault(field, format!("missing; {expected}"));
            }
            return default.unwrap_or_default();
        };
        let number = found.as_integer().and_then(|number| u64::try_from(number).ok());
        number.filter(|number| range.contains(number)).unwrap_or_else(|| {
            self.fault(field, format!("{expected}, found {found}"));
            0
        })
    }

    pub(super) fn flag(&mut self, field: &str, default: bool) -> bool {
        let Some(found) = self.table.remove(field) else { return default };
        found.as_bool().unwrap_or_else(|| {
            self.fault(field, format!("expected true or false, found {found}"));
            default
        })
    }

    /// A list of texts, each of which has to be `good`; empty where there is none.
    pub(super) fn names(&mut self, field: &str, expected: &str, good: impl Fn(&str) -> bool) -> Vec<String> {
        let Some(found) = self.table.remove(field) else { return Vec::new() };
        let Value::Array(items) = found else {
            self.fault(field, format!("expected a list, each item {expected}, found {found}"));
            return Vec::new();
        };
        let mut names = Vec::new();
        for item in items {
            match item.as_str().filter(|name| good(name)) {
                Some(name) => names.push(name.to_owned()),
                None => self.fault(field, format!("expected {expected}, found {item}")),
            }
        }
        names
    }

    /// `event`, `group_by` and `facts`.
    pub(super) fn event(&mut self, default: Option<&str>) -> EventFields {
        let expected = "an event's name";
        let read = |name: &str| subject::of_event(name).map(|_| name.to_owned());
        let event = match default {
            Some(default) => self.text("event", expected, read).unwrap_or_else(|| default.to_owned()),
            None => self.required("event", expected, read).unwrap_or_default(),
        };
        let group_by = self.group_by(&event);
        let expected = format!("a property that the catalogue declares for {event} and marks plain");
        let facts = self.names("facts", &expected, |name| property::may_be_shown(&event, name));
        EventFields { event, group_by, facts }
    }

    pub(super) fn group_by(&mut self, event: &str) -> Vec<String> {
        let expected = format!("a text property that the catalogue declares for {event} and marks plain");
        self.names("group_by", &expected, |name| property::may_group(event, name))
    }

    /// Notes that exactly one of two fields should be there, and takes `both` out where they are.
    pub(super) fn one_of(&mut self, one: &str, other: &str, both: bool) {
        let found = if both { "found both" } else { "found neither" };
        self.table.remove(one);
        self.table.remove(other);
        self.fault(one, format!("expected this or {other}, {found}"));
    }

    /// Notes what nobody has read.
    pub(super) fn finish(mut self) {
        for (field, _) in std::mem::take(&mut self.table) {
            self.fault(&field, "unknown field".to_owned());
        }
    }

    fn fault(&mut self, field: &str, expected: String) {
        self.faults.push(Fault { rule: self.rule.to_owned(), field: field.to_owned(), expected });
    }
}
