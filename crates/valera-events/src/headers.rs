//! The message headers that the contract knows, free of any NATS type.

/// `Nats-Msg-Id`: the broker's deduplication key, and the seed of a derived id.
pub const MSG_ID: &str = "Nats-Msg-Id";
/// `Valera-Origin`: how the event came to be published.
pub const ORIGIN: &str = "Valera-Origin";
/// `Valera-Dead-Letter`: the letter that a retry republishes.
pub const DEAD_LETTER: &str = "Valera-Dead-Letter";

/// How an event came to be published. An absent or unknown header means [`Origin::Live`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    #[default]
    Live,
    Import,
    Retry,
    Demo,
}

/// The headers that a verdict depends on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    pub msg_id: Option<&'a str>,
    pub origin: Origin,
}
