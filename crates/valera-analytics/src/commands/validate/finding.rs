//! What is to be said of one event, and of all of them.
//!
//! It names paths and shapes, never values: a file of events may hold phones.

use super::events::Candidate;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::fmt;
use valera_events::{
    Catalogue, Event, Headers, Reason, ReasonCode, Verdict, catalogue::personal_kind, check::check_under, json::Path,
    subject,
};
use valera_tracker::MAX_BODY;

/// How many events are named one by one; the others are counted.
const NAMED: usize = 1_000;

/// One event that is rejected, or holds what is not declared.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    file: String,
    line: u64,
    /// Its place in the array, from 0, where the file is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    /// Where its subject is a legal one.
    pub(super) event_name: Option<String>,
    /// Why it is rejected; empty where it is not.
    pub(super) reasons: Vec<Reason>,
    /// `event_name`, or the properties, that the catalogue does not declare.
    undeclared: Vec<String>,
    /// Why it counts as not arrived; `None` where it has, or where that was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) missing: Option<String>,
}

/// The verdicts on all events.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    pub(super) events: u64,
    pub(super) rejected: u64,
    /// Accepted ones of which the name or a property is not declared.
    pub(super) undeclared: u64,
    /// Those that were to arrive and have not; `None` where that was not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) missing: Option<u64>,
    findings: Vec<Finding>,
    /// How many are not among the findings, which are the first thousand.
    unnamed: u64,
}

impl Report {
    /// Counts an event.
    pub(super) fn add(&mut self, finding: Finding) {
        self.events += 1;
        match (&finding.missing, finding.reasons.is_empty(), finding.undeclared.is_empty()) {
            (None, true, true) => return,
            (Some(_), true, _) => self.missing = self.missing.map(|missing| missing + 1),
            (None, true, false) => self.undeclared += 1,
            (_, false, _) => self.rejected += 1,
        }
        if self.findings.len() < NAMED {
            self.findings.push(finding);
        } else {
            self.unnamed += 1;
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { events, rejected, undeclared, missing, findings, unnamed } = self;
        findings.iter().try_for_each(|finding| finding.fmt(f))?;
        if *unnamed > 0 {
            writeln!(f, "and {unnamed} more")?;
        }
        write!(f, "{events} events, {rejected} rejected, {undeclared} undeclared")?;
        missing.map_or(Ok(()), |missing| write!(f, ", {missing} not arrived"))?;
        writeln!(f)
    }
}

impl fmt::Display for Finding {
    /// A line for each fault, as compilers write them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, index, event_name, reasons, undeclared, missing } = self;
        let place = index.map_or_else(String::new, |index| format!("[{index}]"));
        let name = event_name.as_deref().unwrap_or_default();
        for reason in reasons {
            writeln!(f, "{file}:{line}:{place} {reason}")?;
        }
        if let Some(why) = missing {
            writeln!(f, "{file}:{line}:{place} {name} has not arrived: {why}")?;
        }
        // Of what has not come, that is all there is to say.
        for path in undeclared.iter().filter(|_| missing.is_none()) {
            match path.as_str() {
                "event_name" => writeln!(f, "{file}:{line}:{place} undeclared event {name}")?,
                path => writeln!(f, "{file}:{line}:{place} undeclared at {path}: {name} declares no such property")?,
            }
        }
        Ok(())
    }
}

/// What events are held against.
pub(super) struct Judge {
    pub(super) catalogue: Catalogue,
    /// The name of events that hold none.
    pub(super) name: Option<String>,
    /// The subject of all; else each one's name makes it.
    pub(super) subject: Option<String>,
    pub(super) received_at: DateTime<Utc>,
}

/// A null is nothing.
#[derive(Deserialize, Default)]
struct Named {
    event_name: Option<String>,
}

impl Judge {
    pub(super) fn judge(&self, file: &str, candidate: Candidate<'_>) -> Finding {
        let Candidate { line, index, body, whole } = candidate;
        let mut finding = Finding {
            file: file.to_owned(),
            line,
            index,
            event_name: None,
            reasons: Vec::new(),
            undeclared: Vec::new(),
            missing: None,
        };
        if !whole {
            let expected =
                format!("an event of at most {} bytes; got more than {MAX_BODY}", valera_events::check::MAX_BODY);
            finding.reasons.push(Reason::new(ReasonCode::TooLarge, &Path::ROOT, expected));
            return finding;
        }
        let sent = serde_json::from_slice::<Named>(body).unwrap_or_default().event_name;
        let name = sent.as_deref().or(self.name.as_deref());
        let subject = self.subject.clone().unwrap_or_else(|| subject::of_event_or_invalid(name.unwrap_or_default()));
        finding.event_name = subject::event_name(&subject).map(str::to_owned);
        match check_under(self.catalogue, &subject, &Headers::default(), body, self.received_at) {
            Verdict::Accepted(event) => finding.undeclared = undeclared(&event),
            Verdict::Rejected(rejection) => finding.reasons = rejection.reasons,
        }
        if name.is_none() {
            name_the_missing_name(&mut finding.reasons);
        }
        finding
    }
}

/// Without a name there is no subject; what is missing is the name, unless nothing can be read at all.
fn name_the_missing_name(reasons: &mut Vec<Reason>) {
    let unreadable = |reason: &Reason| matches!(reason.reason, ReasonCode::NotJson | ReasonCode::NotAnObject);
    let of_subject = |reason: &Reason| reason.reason == ReasonCode::BadEventName && reason.path == "subject";
    if reasons.iter().any(unreadable) {
        reasons.retain(|reason| !of_subject(reason));
    } else if let Some(reason) = reasons.iter_mut().find(|reason| of_subject(reason)) {
        let expected = "a name, which makes the subject; for events without one give --event or --subject";
        *reason = Reason::new(ReasonCode::BadEventName, &Path::ROOT.key("event_name"), expected.to_owned());
    }
}

/// Personal keys are known, declared or not.
fn undeclared(event: &Event<'_>) -> Vec<String> {
    let Some(spec) = event.spec else { return vec!["event_name".to_owned()] };
    let names = event.properties.iter().map(|(name, _)| name.as_ref());
    let strange = names.filter(|name| spec.property(name).is_none() && personal_kind(name).is_none());
    strange.map(|name| Path::ROOT.key("properties").key(name).to_string()).collect()
}
