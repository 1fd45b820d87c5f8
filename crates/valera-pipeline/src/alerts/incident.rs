//! The life of a group's incidents: firing, updated, resolved, and whether a person is told.
//!
//! The same for all kinds of rules. An incident is named after its rule, its group and the event or minute that opened it,
//! and each of its steps is numbered, so that whoever goes over the same events again arrives at the same names. It says
//! itself what it has to know again after a restart: [`Track::learn`] takes that from the steps on the stream. It does
//! not judge events and does not publish.

use super::{
    Alert, Phase, Severity, Withheld,
    mutes::Mutes,
    rules::{Facts, Group, Judgement, Notice, Rule, Window},
};
use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use data_encoding::HEXLOWER;
use sha2::{Digest, Sha256};

/// After so long a growing incident says how far it has grown; sooner only when it has doubled.
pub(crate) const UPDATE_EVERY: TimeDelta = TimeDelta::minutes(15);

/// One group of one rule.
#[derive(Debug)]
pub(crate) struct Track {
    window: Box<dyn Window>,
    incident: Option<Incident>,
    /// When a step of the group was last told.
    told_at: Option<DateTime<Utc>>,
}

/// An incident that is not over.
#[derive(Debug, Clone)]
struct Incident {
    id: String,
    opened_at: DateTime<Utc>,
    revision: u32,
    count: u64,
    /// The count that its last step said.
    reported: u64,
    stepped_at: DateTime<Utc>,
    facts: Facts,
    /// Whether a person has been told of it.
    told: bool,
    /// Why not.
    withheld: Option<Withheld>,
}

/// What decides whether a step is told.
#[derive(Clone, Copy)]
pub(crate) struct Manners<'a> {
    pub(crate) zone: Tz,
    pub(crate) mutes: &'a Mutes,
}

/// What a step is about.
#[derive(Clone, Copy)]
pub(crate) struct Whose<'a> {
    pub(crate) rule: &'a Rule,
    pub(crate) group: &'a Group,
    pub(crate) manners: Manners<'a>,
}

impl Track {
    pub(crate) fn new(rule: &Rule) -> Self {
        Self { window: rule.kind.window(), incident: None, told_at: None }
    }

    /// Takes in what was judged before a restart.
    pub(crate) fn warm(&mut self, at: DateTime<Utc>, notice: &Notice) {
        self.window.add(at, notice);
        if let Some(incident) = &mut self.incident {
            incident.count += u64::from(notice.counts && at > incident.stepped_at);
        }
    }

    /// Takes in what was published before a restart, step by step.
    pub(crate) fn learn(&mut self, alert: &Alert) {
        if alert.withheld.is_none() {
            self.told_at = Some(alert.at);
        }
        let told = self.incident.as_ref().is_some_and(|known| known.id == alert.incident && known.told);
        let is_open = alert.phase != Phase::Resolved && alert.kind != "event";
        self.incident = is_open.then(|| Incident {
            id: alert.incident.clone(),
            opened_at: alert.opened_at,
            revision: alert.revision,
            count: alert.count,
            reported: alert.count,
            stepped_at: alert.at,
            facts: alert.facts.clone(),
            told: told || alert.withheld.is_none(),
            withheld: alert.withheld,
        });
    }

    /// Takes a notice in; `cause` names what would open an incident.
    pub(crate) fn add(&mut self, whose: Whose<'_>, at: DateTime<Utc>, cause: &str, notice: &Notice) -> Option<Alert> {
        let judgement = self.window.add(at, notice);
        let adds = u64::from(notice.counts);
        if let Some(incident) = &mut self.incident {
            incident.count += adds;
        }
        self.judge(whose, at, cause, judgement)
    }

    /// Takes a reading in. It says how many there are now, so it is not one more.
    pub(crate) fn read(&mut self, whose: Whose<'_>, at: DateTime<Utc>, notice: &Notice) -> Option<Alert> {
        let judgement = self.window.add(at, notice);
        self.judge(whose, at, &at.to_rfc3339(), judgement)
    }

    /// At a full minute.
    pub(crate) fn tick(&mut self, whose: Whose<'_>, at: DateTime<Utc>) -> Option<Alert> {
        let judgement = self.window.tick(at);
        let step = self.judge(whose, at, &at.to_rfc3339(), judgement);
        if step.is_none() && self.is_due(whose, at) {
            return self.step(whose, Phase::Updated, at);
        }
        step
    }

    /// Whether a new track would do as well.
    pub(crate) fn is_idle(&self, rule: &Rule, at: DateTime<Utc>) -> bool {
        let is_cooling = self.told_at.is_some_and(|told| told + rule.cooldown > at);
        self.incident.is_none() && self.window.is_empty() && !is_cooling
    }

    fn judge(&mut self, whose: Whose<'_>, at: DateTime<Utc>, cause: &str, judgement: Judgement) -> Option<Alert> {
        match judgement {
            Judgement::Unchanged => None,
            Judgement::Once(facts) => {
                self.open(whose, at, cause, 1, facts);
                let step = self.step(whose, Phase::Firing, at);
                self.incident = None;
                step
            }
            Judgement::Trouble { count, facts } => self.trouble(whose, at, cause, count, facts),
            Judgement::Calm => {
                let step = self.step(whose, Phase::Resolved, at);
                self.incident = None;
                step
            }
        }
    }

    fn trouble(
        &mut self,
        whose: Whose<'_>,
        at: DateTime<Utc>,
        cause: &str,
        count: u64,
        facts: Facts,
    ) -> Option<Alert> {
        let Some(incident) = &mut self.incident else {
            self.open(whose, at, cause, count, facts);
            return self.step(whose, Phase::Firing, at);
        };
        incident.count = incident.count.max(count);
        if !self.is_due(whose, at) {
            return None;
        }
        // Only with a step: what was not published is not known after a restart.
        if let Some(incident) = &mut self.incident {
            incident.facts = facts;
        }
        self.step(whose, Phase::Updated, at)
    }

    /// Whether the open incident should say how it stands: it has doubled, or has grown for a while, or was not told and
    /// now may be.
    fn is_due(&self, whose: Whose<'_>, at: DateTime<Utc>) -> bool {
        let Some(incident) = &self.incident else { return false };
        let has_doubled = incident.count >= incident.reported.saturating_mul(2).max(2);
        let has_grown = incident.count > incident.reported && at - incident.stepped_at >= UPDATE_EVERY;
        let may_be_told = !incident.told && self.withhold(whose, Phase::Updated, at).is_none();
        has_doubled || has_grown || may_be_told
    }

    fn open(&mut self, whose: Whose<'_>, at: DateTime<Utc>, cause: &str, count: u64, facts: Facts) {
        self.incident = Some(Incident {
            id: incident_id(&whose.rule.name, whose.group, cause),
            opened_at: at,
            revision: 0,
            count,
            reported: 0,
            stepped_at: at,
            facts,
            told: false,
            withheld: None,
        });
    }

    /// The next step of the open incident; `None` where there is none.
    fn step(&mut self, whose: Whose<'_>, phase: Phase, at: DateTime<Utc>) -> Option<Alert> {
        let withheld = self.withhold(whose, phase, at);
        let incident = self.incident.as_mut()?;
        incident.revision += 1;
        incident.reported = incident.count;
        incident.stepped_at = at;
        incident.told |= withheld.is_none();
        incident.withheld = withheld;
        if withheld.is_none() {
            self.told_at = Some(at);
        }
        Some(Alert {
            incident: incident.id.clone(),
            rule: whose.rule.name.clone(),
            kind: whose.rule.kind.name().to_owned(),
            phase,
            revision: incident.revision,
            severity: whose.rule.severity,
            group: whose.group.clone(),
            opened_at: incident.opened_at,
            at,
            count: incident.count,
            facts: incident.facts.clone(),
            withheld,
        })
    }

    /// Why a step is not for a person. An incident that was told is told to its end, also in the night: its message would
    /// else stand there as if it went on.
    fn withhold(&self, whose: Whose<'_>, phase: Phase, at: DateTime<Utc>) -> Option<Withheld> {
        let Whose { rule, manners, .. } = whose;
        let incident = self.incident.as_ref()?;
        let is_night = || rule.quiet_hours.is_some_and(|hours| hours.hold(at, manners.zone));
        let is_cooling = || self.told_at.is_some_and(|told| at < told + rule.cooldown);
        match phase {
            _ if manners.mutes.hold(&rule.name, at) => Some(Withheld::Muted),
            _ if incident.told => None,
            Phase::Resolved => incident.withheld,
            _ if rule.severity < Severity::Critical && is_night() => Some(Withheld::QuietHours),
            _ if is_cooling() => Some(Withheld::Cooldown),
            _ => None,
        }
    }
}

/// 32 hexadecimal digits, the same for the same rule, group and cause.
fn incident_id(rule: &str, group: &Group, cause: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(b"valera:incident:v1:");
    let pairs = group.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    for part in std::iter::once(rule).chain(pairs).chain([cause]) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    HEXLOWER.encode(&hash.finalize()[..16])
}
