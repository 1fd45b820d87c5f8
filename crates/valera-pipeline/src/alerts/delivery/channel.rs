//! What a channel is to delivery: somewhere a message can be shown, and perhaps edited.
//!
//! Channels differ in what they know when something went wrong, and that decides what may be done next; so the ways to
//! fail are told apart by what is known, not by what happened. A channel does not remember what it has shown, does not
//! decide what is worth showing, and does not try again: its caller does, and also keeps for it what it has learned.

use super::super::Alert;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What is to be shown.
#[derive(Debug, Clone)]
pub struct Message {
    /// The same whenever the same thing is told again: `Nats-Msg-Id` of the step.
    pub key: String,
    /// The step, for channels that pass on data; `None` for what is not about one incident.
    pub alert: Option<Alert>,
    /// The steps that it tells together, each the newest of its incident, where it tells what a channel was away for.
    pub missed: Vec<Alert>,
    /// One line without markup, such as the subject of a mail.
    pub title: String,
    /// The whole without markup.
    pub text: String,
    /// The whole as HTML of the kind that Telegram takes, every value in it escaped.
    pub html: String,
}

/// Where a message stands, so that it can be edited: what, the channel alone knows. Nothing where it cannot be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown(pub serde_json::Map<String, serde_json::Value>);

/// Why a message was not shown, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    /// It was not taken, and is not to be tried before this long.
    #[error("told to wait {} s", .0.as_secs())]
    Busy(Duration),
    /// It was not taken: nobody answered, or the channel is broken for every message. The cause goes to operators, so it
    /// holds no secret and no personal value.
    #[error("{0:#}")]
    Away(anyhow::Error),
    /// It was sent and no answer came: it may have been shown.
    #[error("no answer: {0:#}")]
    Unknown(anyhow::Error),
    /// This one message is refused for good; others may be taken.
    #[error("refused: {0}")]
    Refused(String),
}

/// A way to people.
pub trait Channel: Send + Sync {
    /// In `notify_<name>`, the durable consumer, and in every report.
    fn name(&self) -> &'static str;

    /// Whether each step of an incident is a message of its own here, and not only where the incident stands now.
    fn wants_every_step(&self) -> bool {
        false
    }

    /// Shows a message, or puts it in the place of what `shown` says was shown before of the same incident. Makes one
    /// attempt, within half a minute.
    fn show<'a>(
        &'a mut self,
        message: &'a Message,
        shown: Option<&'a Shown>,
    ) -> BoxFuture<'a, Result<Shown, Undelivered>>;

    /// How long to wait before a message is sent again whose answer was lost so often in a row; nothing where it is then
    /// taken for shown.
    fn again_after(&self, lost: u32, _is_edit: bool) -> Option<Duration> {
        (lost < 4).then_some(Duration::ZERO)
    }

    /// What it has found out and cannot do without after a restart, as where a group moved to.
    fn learned(&self) -> Option<serde_json::Value> {
        None
    }

    /// Is told what it [learned](Self::learned) before a restart.
    fn recall(&mut self, _learned: &serde_json::Value) {}
}
