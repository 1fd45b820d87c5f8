//! What became of an event that the bot tracked: exactly one of these, and each is counted.
//!
//! It does not say that an event was stored: that is known only later, and `stats` tells it.

use std::fmt;
use valera_events::Reason;

/// How a call of [`Tracker::track`](crate::Tracker::track) ended. The host may ignore it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tracked {
    /// On its way.
    Queued,
    /// On its way, but it breaks the contract: it will end in the dead letters, for these reasons.
    Flawed(Vec<Reason>),
    /// Said before: a chat's dialog of today, or the same failure within seconds. Not sent again.
    Repeated,
    /// Tracking is off, for all events or for this name.
    Disabled,
    /// Not sent.
    Dropped(Cause),
}

impl Tracked {
    /// Whether the event is on its way, flawed or not.
    #[must_use]
    pub fn is_queued(&self) -> bool {
        matches!(self, Self::Queued | Self::Flawed(_))
    }
}

/// Why an event was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// The queue is full, because the spool is: the newest goes.
    QueueFull,
    /// Its body would be longer than 512 KiB.
    TooLarge,
    /// The switch `tracker.sampling.<event>` leaves this chat out.
    Sampled,
    /// The worker has ended.
    Stopped,
    /// The server refuses it for good and no spool could keep it: said by `track_durable`, which had counted it as queued.
    Refused,
    /// The tracker itself failed; a defect of it, and never the host's loss.
    Internal,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::QueueFull => "the queue is full",
            Self::TooLarge => "the body is longer than 512 KiB",
            Self::Sampled => "sampling leaves the chat out",
            Self::Stopped => "the tracker has stopped",
            Self::Refused => "the server refuses it for good",
            Self::Internal => "the tracker failed",
        })
    }
}
