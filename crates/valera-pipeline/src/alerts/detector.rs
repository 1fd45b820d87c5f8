//! Detection: observations in the order of the stream in, steps of incidents out.
//!
//! A state machine without I/O and without a clock. Time is that of the messages, and passes minute by minute before the
//! message that brings it, so that catching up after an outage comes to the same incidents as watching live. Events that
//! come a second time are known by their ids. It does not know where observations come from: `watch` keeps their order.

use super::{
    Alert,
    incident::{Manners, Track, UPDATE_EVERY, Whose},
    mutes::Mutes,
    observation::{ECHO, Observation},
    rules::{Group, Reading, Rules},
};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use chrono_tz::Tz;
use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    sync::Arc,
};
use uuid::Uuid;

const MINUTE: TimeDelta = TimeDelta::minutes(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Detector {
    rules: Arc<Rules>,
    zone: Tz,
    mutes: Mutes,
    /// By position of the rule.
    tracks: Vec<BTreeMap<Group, Track>>,
    echoes: Echoes,
    /// The last full minute that was judged.
    minute: Option<DateTime<Utc>>,
}

impl Detector {
    pub(crate) fn new(rules: Arc<Rules>, zone: Tz) -> Self {
        let tracks = rules.0.iter().map(|_| BTreeMap::new()).collect();
        Self { rules, zone, mutes: Mutes::default(), tracks, echoes: Echoes::default(), minute: None }
    }

    /// How far back it has to be warmed to know all that it would know had it never been stopped.
    pub(crate) fn lookback(rules: &Rules) -> TimeDelta {
        rules.lookback().max(ECHO).max(UPDATE_EVERY + MINUTE)
    }

    pub(crate) fn mute(&mut self, mutes: Mutes) {
        self.mutes = mutes;
    }

    /// Takes in a step that was published before a restart. In the order of the stream, and before [`Self::warm`].
    pub(crate) fn learn(&mut self, alert: &Alert) {
        let Some(position) = self.rules.position(&alert.rule) else { return };
        let rule = &self.rules.0[position];
        self.tracks[position].entry(alert.group.clone()).or_insert_with(|| Track::new(rule)).learn(alert);
    }

    /// Takes in what was judged before a restart; in the order of the stream.
    pub(crate) fn warm(&mut self, observation: &Observation) {
        self.minute = Some(full_minute(observation.received_at));
        if !self.is_first(observation) {
            return;
        }
        for (position, notice) in &observation.notices {
            let rule = &self.rules.0[*position];
            let track = self.tracks[*position].entry(notice.group.clone()).or_insert_with(|| Track::new(rule));
            track.warm(observation.received_at, notice);
        }
    }

    /// Judges a message; in the order of the stream.
    pub(crate) fn observe(&mut self, observation: &Observation, steps: &mut Vec<Alert>) {
        let at = observation.received_at;
        self.pass(at, steps);
        if !self.is_first(observation) {
            return;
        }
        let cause = observation.identity.0.to_string();
        let manners = Manners { zone: self.zone, mutes: &self.mutes };
        for (position, notice) in &observation.notices {
            let rule = &self.rules.0[*position];
            let track = self.tracks[*position].entry(notice.group.clone()).or_insert_with(|| Track::new(rule));
            steps.extend(track.add(Whose { rule, group: &notice.group, manners }, at, &cause, notice));
        }
    }

    /// Judges what JetStream says of now.
    pub(crate) fn read(&mut self, at: DateTime<Utc>, reading: &Reading<'_>, steps: &mut Vec<Alert>) {
        let manners = Manners { zone: self.zone, mutes: &self.mutes };
        for (rule, tracks) in self.rules.0.iter().zip(&mut self.tracks) {
            let Some(notice) = rule.kind.reading(reading) else { continue };
            let track = tracks.entry(notice.group.clone()).or_insert_with(|| Track::new(rule));
            steps.extend(track.read(Whose { rule, group: &notice.group, manners }, at, &notice));
        }
    }

    /// Lets time pass: every full minute up to `now` is judged, once everything received before it has been observed.
    pub(crate) fn pass(&mut self, now: DateTime<Utc>, steps: &mut Vec<Alert>) {
        let last = full_minute(now);
        let mut minute = self.minute.unwrap_or(last);
        while minute < last {
            if self.tracks.iter().all(BTreeMap::is_empty) {
                minute = last;
                break;
            }
            minute += MINUTE;
            self.tick(minute, steps);
        }
        self.minute = Some(minute);
        self.echoes.forget(minute);
    }

    fn tick(&mut self, at: DateTime<Utc>, steps: &mut Vec<Alert>) {
        let manners = Manners { zone: self.zone, mutes: &self.mutes };
        for (rule, tracks) in self.rules.0.iter().zip(&mut self.tracks) {
            for (group, track) in &mut *tracks {
                steps.extend(track.tick(Whose { rule, group, manners }, at));
            }
            tracks.retain(|_, track| !track.is_idle(rule, at));
        }
    }

    /// Whether it is news to some rule, and no echo.
    fn is_first(&mut self, observation: &Observation) -> bool {
        !observation.notices.is_empty() && self.echoes.is_new(observation.received_at, observation.identity)
    }
}

/// The last full minute.
fn full_minute(at: DateTime<Utc>) -> DateTime<Utc> {
    at.duration_trunc(MINUTE).unwrap_or(at)
}

/// Events that were observed a short while ago.
#[derive(Debug, Default)]
struct Echoes {
    known: HashSet<(Uuid, bool)>,
    in_order: VecDeque<(DateTime<Utc>, (Uuid, bool))>,
}

impl Echoes {
    fn is_new(&mut self, at: DateTime<Utc>, identity: (Uuid, bool)) -> bool {
        let is_new = self.known.insert(identity);
        if is_new {
            self.in_order.push_back((at, identity));
        }
        is_new
    }

    fn forget(&mut self, now: DateTime<Utc>) {
        while let Some((at, identity)) = self.in_order.front() {
            if *at + ECHO + MINUTE > now {
                return;
            }
            self.known.remove(identity);
            self.in_order.pop_front();
        }
    }
}
