//! How full the events' stream is.
//!
//! It keeps its oldest messages and refuses new ones, so a stream that is full takes no event at all: whoever publishes
//! has to wait until somebody gives it room. It does not ask the server; its reader has the answer already.

use async_nats::jetstream::stream::Info;

/// What a stream holds, and what it may hold.
#[derive(Debug, Clone, Copy)]
pub struct Room {
    /// Messages in it.
    pub messages: u64,
    /// Bytes in it.
    pub bytes: u64,
    /// Bytes it may hold.
    pub max_bytes: u64,
}

impl Room {
    /// From what JetStream says of a stream; `None` where its size has no bound.
    #[must_use]
    pub fn of(info: &Info) -> Option<Self> {
        let max_bytes = u64::try_from(info.config.max_bytes).ok().filter(|bytes| *bytes > 0)?;
        Some(Self { messages: info.state.messages, bytes: info.state.bytes, max_bytes })
    }

    /// Whole percents, rounded down.
    #[must_use]
    pub fn percent(&self) -> u64 {
        u64::try_from(u128::from(self.bytes) * 100 / u128::from(self.max_bytes.max(1))).unwrap_or(u64::MAX)
    }
}
