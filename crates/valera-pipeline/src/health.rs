//! Whether a consumer can do its work, and if not, why: unhealthy until proven healthy.
//!
//! It remembers one cause per side (NATS, and what is behind the handler) and logs a side's failure and its recovery once each, not at every
//! attempt. It does not probe anything by itself.

use std::sync::Arc;
use tokio::sync::watch;
use tracing::{info, warn};

/// The state of one consumer. Cheap to clone, shared by all clones.
#[derive(Debug, Clone)]
pub struct Health {
    consumer: Arc<str>,
    /// What its handler writes to, in words for an operator.
    behind: &'static str,
    state: watch::Sender<State>,
}

#[derive(Debug, Clone, Default)]
struct State {
    nats: Side,
    store: Side,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum Side {
    #[default]
    Unproven,
    Answers,
    Fails(String),
}

impl Health {
    /// Not ready yet.
    #[must_use]
    pub fn new(consumer: &str) -> Self {
        Self::before(consumer, "the store")
    }

    /// Not ready yet; `behind` is what its handler writes to, in words for an operator.
    #[must_use]
    pub fn before(consumer: &str, behind: &'static str) -> Self {
        Self { consumer: consumer.into(), behind, state: watch::Sender::default() }
    }

    /// `Ok` when both sides answered when last asked; else what is wrong.
    ///
    /// # Errors
    /// The causes, one a side, in words for an operator.
    pub fn ready(&self) -> Result<(), String> {
        let state = self.state.borrow();
        let complaints: Vec<_> = [("NATS", &state.nats), (self.behind, &state.store)]
            .into_iter()
            .filter_map(|(side, is)| match is {
                Side::Fails(cause) => Some(format!("{side}: {cause}")),
                Side::Unproven => Some(format!("{side}: not reached yet")),
                Side::Answers => None,
            })
            .collect();
        if complaints.is_empty() { Ok(()) } else { Err(complaints.join("; ")) }
    }

    /// Whose it is.
    #[must_use]
    pub fn consumer(&self) -> &str {
        &self.consumer
    }

    pub(crate) fn nats_answers(&self) {
        self.set("NATS", |state| &mut state.nats, &Side::Answers);
    }

    pub(crate) fn nats_fails(&self, cause: &anyhow::Error) {
        self.set("NATS", |state| &mut state.nats, &Side::Fails(format!("{cause:#}")));
    }

    pub(crate) fn store_answers(&self) {
        self.set(self.behind, |state| &mut state.store, &Side::Answers);
    }

    pub(crate) fn store_fails(&self, cause: &anyhow::Error) {
        self.set(self.behind, |state| &mut state.store, &Side::Fails(format!("{cause:#}")));
    }

    fn set(&self, name: &str, side: fn(&mut State) -> &mut Side, now: &Side) {
        let mut before = Side::Unproven;
        self.state.send_if_modified(|state| {
            before = std::mem::replace(side(state), now.clone());
            before != *now
        });
        match (&before, now) {
            (Side::Fails(_), Side::Answers) => info!(consumer = &*self.consumer, side = name, "works again"),
            (Side::Fails(was), Side::Fails(cause)) if was == cause => {}
            (_, Side::Fails(cause)) => warn!(consumer = &*self.consumer, side = name, cause, "fails; trying again"),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_is_unhealthy_until_proven_healthy_and_says_why() {
        let health = Health::new("persister");
        assert!(health.ready().is_err());
        health.nats_answers();
        assert_eq!(health.ready(), Err("the store: not reached yet".to_owned()));
        health.store_answers();
        assert_eq!(health.ready(), Ok(()));
        health.store_fails(&anyhow::anyhow!("disk full"));
        assert_eq!(health.ready(), Err("the store: disk full".to_owned()));
        health.store_answers();
        assert_eq!(health.ready(), Ok(()));
    }
}
