//! What the morning message says, as it stands on `alerts.digest`.
//!
//! It is a step without a rule, of an incident that is the day and over as it begins; so it goes the way of all steps. It
//! holds the figures, that a channel may tell of them while Postgres is away. It names no chat.

use crate::{
    alerts::{Alert, Phase, Severity},
    store::reports::Digest,
};
use anyhow::Context as _;
use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

/// In the place of a rule's name and of its kind.
pub(crate) const NAME: &str = "digest";

/// The facts of the step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    #[serde(flatten)]
    pub(crate) figures: Digest,
    /// Whether nothing more is to be counted for the day.
    pub(crate) is_complete: bool,
    /// An old morning is no news: from here on it is not told any more.
    pub(crate) until: DateTime<Utc>,
}

impl Summary {
    /// As a step, composed at `at`.
    pub(super) fn step(&self, at: DateTime<Utc>) -> anyhow::Result<Alert> {
        let facts = serde_json::to_value(self).context("writing the morning message")?;
        Ok(Alert {
            incident: format!("{:0>32}", self.figures.day.format("%Y%m%d")),
            rule: NAME.to_owned(),
            kind: NAME.to_owned(),
            phase: Phase::Firing,
            revision: 1,
            severity: Severity::Info,
            group: [].into(),
            opened_at: at,
            at,
            count: 1,
            facts: facts.as_object().cloned().unwrap_or_default(),
            withheld: None,
        })
    }

    /// Reads it back; `None` where the step is of a rule.
    pub(crate) fn of(step: &Alert) -> Option<Self> {
        let facts = || serde_json::from_value(serde_json::Value::Object(step.facts.clone())).ok();
        if step.kind == NAME { facts() } else { None }
    }

    pub(crate) fn day(&self) -> NaiveDate {
        self.figures.day
    }
}
