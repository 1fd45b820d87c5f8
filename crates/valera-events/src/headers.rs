//! The message headers that the contract knows, free of any NATS type.
//!
//! It does not parse a message: whoever holds one hands over the values.

/// `Nats-Msg-Id`: the broker's deduplication key, and the seed of a derived id.
pub const MSG_ID: &str = "Nats-Msg-Id";
/// `Valera-Origin`: how the event came to be published.
pub const ORIGIN: &str = "Valera-Origin";
/// `Valera-Dead-Letter`: the letter that a retry republishes.
pub const DEAD_LETTER: &str = "Valera-Dead-Letter";
/// `Valera-Received-At`: on a retry, when JetStream received the message that was rejected, in RFC 3339.
pub const RECEIVED_AT: &str = "Valera-Received-At";

/// How an event came to be published. An absent or unknown header means [`Origin::Live`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Origin {
    /// By the bot, as it happened.
    #[default]
    Live,
    /// From an older system; may reach back to 2015-01-01.
    Import,
    /// From the dead letters, repaired.
    Retry,
    /// By the simulated bot.
    Demo,
}

impl Origin {
    /// Reads the header's value; anything unknown is live.
    pub fn parse(value: &str) -> Self {
        match value {
            "import" => Self::Import,
            "retry" => Self::Retry,
            "demo" => Self::Demo,
            _ => Self::Live,
        }
    }

    /// The header's value.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Import => "import",
            Self::Retry => "retry",
            Self::Demo => "demo",
        }
    }
}

/// The headers that a verdict depends on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Headers<'a> {
    /// `Nats-Msg-Id`.
    pub msg_id: Option<&'a str>,
    /// `Valera-Origin`.
    pub origin: Origin,
}
