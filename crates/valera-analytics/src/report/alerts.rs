//! Incidents as they last stood, and mutes.
//!
//! It does not show facts in the table, only in JSON and CSV: what they are differs by rule.

use chrono::{DateTime, Utc};
use serde::Serialize;
use valera_pipeline::alerts::{Alert, Phase, Severity, Withheld};

use super::{
    Row,
    table::{self, Column, alarming, number, text},
};
use crate::terminal::Style;

/// An incident, as its last step says it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IncidentRow {
    pub opened_at: DateTime<Utc>,
    pub at: DateTime<Utc>,
    pub rule: String,
    pub kind: String,
    pub severity: Severity,
    pub phase: Phase,
    pub count: u64,
    /// As `name=value`, apart by blanks.
    pub group: String,
    /// Why nobody was told; absent when somebody was.
    pub withheld: Option<Withheld>,
    pub incident: String,
    /// As JSON text.
    pub facts: String,
}

impl Row for IncidentRow {
    const COLUMNS: &'static [&'static str] =
        &["opened_at", "at", "rule", "kind", "severity", "phase", "count", "group", "withheld", "incident", "facts"];
}

impl IncidentRow {
    /// As one step says it.
    #[must_use]
    pub fn of(alert: Alert) -> Self {
        let group: Vec<_> = alert.group.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Self {
            opened_at: alert.opened_at,
            at: alert.at,
            rule: alert.rule,
            kind: alert.kind,
            severity: alert.severity,
            phase: alert.phase,
            count: alert.count,
            group: group.join(" "),
            withheld: alert.withheld,
            incident: alert.incident,
            facts: serde_json::Value::Object(alert.facts).to_string(),
        }
    }

    /// Takes a later step over. An incident of which any step was told was told.
    pub fn follow(&mut self, step: Self) {
        let withheld = self.withheld.and(step.withheld);
        *self = Self { withheld, ..step };
    }
}

const COLUMNS: &[Column] = &[
    Column::Name("Opened, UTC"),
    Column::Name("Rule"),
    Column::Name("State"),
    Column::Number("Count"),
    Column::Text("Group"),
    Column::Name("Told"),
];

/// The incidents as a table, in the order given.
#[must_use]
pub fn incidents(rows: &[IncidentRow], style: Style) -> String {
    if rows.is_empty() {
        return "no incidents in this time\n".to_owned();
    }
    let rows = rows.iter().map(|row| {
        let state = match row.phase {
            Phase::Resolved => text("resolved"),
            // Over as it began.
            Phase::Firing if matches!(row.kind.as_str(), "event" | "digest") => text("noted"),
            Phase::Firing | Phase::Updated => alarming(text("open")),
        };
        let told = match row.withheld {
            None => "yes",
            Some(Withheld::Cooldown) => "no: cooldown",
            Some(Withheld::QuietHours) => "no: quiet hours",
            Some(Withheld::Muted) => "no: muted",
        };
        vec![text(&time(row.opened_at)), text(&row.rule), state, number(row.count), text(&row.group), text(told)]
    });
    table::table(COLUMNS, rows.collect(), None, style)
}

/// A muted rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MuteRow {
    pub rule: String,
    pub until: DateTime<Utc>,
}

impl Row for MuteRow {
    const COLUMNS: &'static [&'static str] = &["rule", "until"];
}

/// The mutes as a table.
#[must_use]
pub fn mutes(rows: &[MuteRow], style: Style) -> String {
    if rows.is_empty() {
        return "no rule is muted\n".to_owned();
    }
    let columns = &[Column::Name("Rule"), Column::Name("Muted until, UTC")];
    table::table(columns, rows.iter().map(|row| vec![text(&row.rule), text(&time(row.until))]).collect(), None, style)
}

fn time(at: DateTime<Utc>) -> String {
    at.format("%F %T").to_string()
}
