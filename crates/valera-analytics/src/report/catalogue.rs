//! The catalogue in practice: events that do not come, or come undeclared, and how much of each is accepted; and what a
//! changed catalogue would refuse.
//!
//! It does not judge anything.

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use std::collections::{BTreeMap, HashMap};
use valera_events::Catalogue;
use valera_pipeline::trial::Tried;

use super::{
    percent,
    table::{self, Column, alarming, figure, number, text, two_lines},
};
use crate::terminal::Style;

/// Two clocks stand side by side: of a refused message only the receipt is certain, and rollups keep no receipt.
pub const CLOCKS: &str = "\
Accepted are counted on the day on which they occurred; rejected and repaired on the day on which they were received.
After an import or an outage these are other days, and the share of a day says nothing then.";

/// One event on one local day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct EventDay {
    /// The event name; empty where the subject held no legal one.
    pub event_name: String,
    pub day: NaiveDate,
    /// Events that occurred on the day.
    pub accepted: i64,
    /// Messages received on the day, whenever they occurred, whose letter is not closed.
    pub rejected: i64,
    /// Those whose letter is closed: they came to their end as events.
    pub repaired: i64,
}

/// How an event does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum EventState {
    /// Declared and seen lately.
    Seen,
    /// Declared, and never accepted.
    NeverSeen,
    /// Not declared.
    Undeclared,
    /// Seen before, not lately.
    Silent,
}

/// One event over the period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EventReport {
    /// The event name; empty where the subject held no legal one.
    pub event_name: String,
    pub state: EventState,
    pub accepted: i64,
    pub rejected: i64,
    pub repaired: i64,
    /// Of what came, in percent with two decimals; `None` of nothing.
    pub rejected_percent: Option<String>,
    /// The hour of the newest accepted event, ever.
    pub last_seen: Option<DateTime<Utc>>,
}

/// Every declared event, and every other that came; what is wrong first.
#[must_use]
pub fn event_reports(
    catalogue: Catalogue,
    days: &[EventDay],
    last_seen: &[(String, DateTime<Utc>)],
    silent_since: DateTime<Utc>,
) -> Vec<EventReport> {
    let last_seen: HashMap<&str, DateTime<Utc>> = last_seen.iter().map(|(name, at)| (name.as_str(), *at)).collect();
    let mut counts: BTreeMap<&str, [i64; 3]> = catalogue.events().iter().map(|spec| (spec.name, [0; 3])).collect();
    counts.extend(last_seen.keys().map(|name| (*name, [0; 3])));
    for day in days {
        let count = counts.entry(&day.event_name).or_default();
        *count = [count[0] + day.accepted, count[1] + day.rejected, count[2] + day.repaired];
    }
    let reports = counts.into_iter().map(|(name, [accepted, rejected, repaired])| {
        let seen = last_seen.get(name).copied();
        let state = match (catalogue.find(name), seen) {
            (None, _) => EventState::Undeclared,
            (Some(_), None) => EventState::NeverSeen,
            (Some(_), Some(at)) if at < silent_since => EventState::Silent,
            (Some(_), Some(_)) => EventState::Seen,
        };
        let rejected_percent = percent(rejected, accepted + rejected);
        let event_name = name.to_owned();
        EventReport { event_name, state, accepted, rejected, repaired, rejected_percent, last_seen: seen }
    });
    let mut reports: Vec<_> = reports.collect();
    reports.sort_by_key(|report| (report.state == EventState::Seen && report.rejected == 0, -report.rejected));
    reports
}

/// The events as a table.
#[must_use]
pub fn events(events: &[EventReport], style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Named("Event, state"),
        Column::Number("Accepted"),
        Column::Number("Rejected"),
        Column::Number("%"),
        Column::Number("Repaired"),
        Column::Name("Last seen (UTC)"),
    ];
    let rows = events.iter().map(|event| {
        let seen = event.last_seen.map_or_else(|| table::NONE.to_owned(), |at| at.format("%F %H:00").to_string());
        vec![
            named_with_state(event),
            number(event.accepted),
            counted(event.rejected),
            share(event.rejected_percent.clone()),
            number(event.repaired),
            text(&seen),
        ]
    });
    table::table(COLUMNS, rows.collect(), None, style)
}

/// The days as a table.
#[must_use]
pub fn event_days(days: &[EventDay], style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Name("Event"),
        Column::Name("Day"),
        Column::Number("Accepted"),
        Column::Number("Rejected"),
        Column::Number("%"),
        Column::Number("Repaired"),
    ];
    if days.is_empty() {
        return "no events in this period\n".to_owned();
    }
    let rows = days.iter().map(|day| {
        vec![
            text(shown(&day.event_name)),
            text(&day.day.to_string()),
            number(day.accepted),
            counted(day.rejected),
            share(percent(day.rejected, day.accepted + day.rejected)),
            number(day.repaired),
        ]
    });
    table::table(COLUMNS, rows.collect(), None, style)
}

/// What a changed catalogue would do, as a table of the messages and lines of the dead letters.
#[must_use]
pub fn tried(rows: &[Tried], style: Style) -> String {
    const COLUMNS: &[Column] = &[
        Column::Named("Event, because"),
        Column::Number("Accepted now"),
        Column::Number("Refused anew"),
        Column::Number("%"),
        Column::Number("Accepted anew"),
    ];
    if rows.is_empty() {
        return "nothing was recorded in this period\n".to_owned();
    }
    let letters = letters_mended(rows);
    let rows = rows.iter().map(|row| {
        let name = shown(&row.event_name);
        let event = if row.faults.is_empty() { text(name) } else { two_lines(name, &faults(row)) };
        vec![
            event,
            number(row.accepted),
            counted(i64::try_from(row.refused).unwrap_or(i64::MAX)),
            share(share_of(row)),
            number(row.mended),
        ]
    });
    table::table(COLUMNS, rows.collect(), None, style) + &letters
}

/// Most letters were messages of the stream too, so they are not added to those.
fn letters_mended(rows: &[Tried]) -> String {
    let mended = rows.iter().filter(|row| row.letters_mended > 0).map(|row| {
        let name = shown(&row.event_name);
        format!("dead letters that it mends: {} of {}\n", row.letters_mended, table::harmless(name))
    });
    let mended: String = mended.collect();
    if mended.is_empty() { "dead letters that it mends: none\n".to_owned() } else { mended }
}

/// One event of a refused catalogue: its name, the share and what it is for.
#[must_use]
pub fn accusation(row: &Tried) -> String {
    format!("{}: {} % ({})", row.event_name, share_of(row).unwrap_or_default(), faults(row))
}

fn faults(row: &Tried) -> String {
    let faults = row.faults.iter().map(|fault| format!("{} at {}: {}", fault.reason, fault.path, fault.messages));
    faults.collect::<Vec<_>>().join(", ")
}

fn share_of(row: &Tried) -> Option<String> {
    percent(i64::try_from(row.refused).ok()?, i64::try_from(row.accepted).ok()?)
}

/// The name of an event; a subject that holds no legal one has none.
fn shown(name: &str) -> &str {
    if name.is_empty() { table::NONE } else { name }
}

fn counted(wrong: i64) -> comfy_table::Cell {
    if wrong > 0 { alarming(number(wrong)) } else { number(wrong) }
}

fn share(percent: Option<String>) -> comfy_table::Cell {
    figure(percent.unwrap_or_else(|| table::NONE.to_owned()))
}

fn named_with_state(event: &EventReport) -> comfy_table::Cell {
    let name = shown(&event.event_name);
    match event.state {
        EventState::Seen => two_lines(name, "seen"),
        EventState::NeverSeen => alarming(two_lines(name, "never seen")),
        EventState::Undeclared => two_lines(name, "undeclared"),
        EventState::Silent => alarming(two_lines(name, "went silent")),
    }
}
