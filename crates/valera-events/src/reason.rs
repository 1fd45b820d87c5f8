//! Why an event was rejected: a closed list, each with the path and what was expected there.
//!
//! Closed, because dashboards and alerts group by it; a new reason is a change of the contract.
//!
//! It does not carry values: `expected` names types and lengths only, since a value may be personal.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::json::Path;

macro_rules! reason_codes {
    ($($(#[$meta:meta])* $code:ident = $text:literal,)*) => {
        /// The closed list; spelled in snake case on the wire and in the tables.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum ReasonCode {
            $($(#[$meta])* #[serde(rename = $text)] $code,)*
        }

        impl ReasonCode {
            /// Every code, in the order of the contract.
            pub const ALL: &[ReasonCode] = &[$(ReasonCode::$code,)*];

            /// The code as it is spelled on the wire.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(ReasonCode::$code => $text,)*
                }
            }
        }
    };
}

reason_codes! {
    /// The body is not JSON in UTF-8, or has bytes after the object.
    NotJson = "not_json",
    /// The body is JSON, but no object.
    NotAnObject = "not_an_object",
    /// The body is longer than 64 KiB.
    TooLarge = "too_large",
    /// More than 32 levels.
    TooDeep = "too_deep",
    /// A key stands twice in one object.
    DuplicateKey = "duplicate_key",
    /// A top-level key that the envelope does not know.
    UnknownField = "unknown_field",
    /// The subject names no legal event, or `event_name` is no string.
    BadEventName = "bad_event_name",
    /// `event_name` differs from the subject's token.
    NameMismatch = "name_mismatch",
    /// No `chat_id`.
    MissingChatId = "missing_chat_id",
    /// `chat_id` is no integer of 64 bits.
    BadChatId = "bad_chat_id",
    /// `event_id` is no UUIDv7, or more than a day off `occurred_at`.
    BadEventId = "bad_event_id",
    /// `occurred_at` is not RFC 3339.
    BadOccurredAt = "bad_occurred_at",
    /// The event lies too far before or after its arrival.
    OccurredAtOutOfRange = "occurred_at_out_of_range",
    /// `session_id` is no string of 1 to 64 characters.
    BadSessionId = "bad_session_id",
    /// `platform` is no string of 1 to 20 characters.
    BadPlatform = "bad_platform",
    /// `properties` is no object.
    BadProperties = "bad_properties",
    /// A required property is absent or null.
    MissingProperty = "missing_property",
    /// A declared property has another type.
    WrongType = "wrong_type",
    /// A declared property is beyond its bounds.
    OutOfRange = "out_of_range",
    /// A NUL character or a lone surrogate.
    UnstorableText = "unstorable_text",
    /// More than 40 significant digits, or an exponent beyond ±308.
    UnstorableNumber = "unstorable_number",
    /// Given by the persister: the id is stored already, with other content.
    ConflictingDuplicate = "conflicting_duplicate",
    /// Given by the persister: Postgres refused the row all the same.
    RefusedByDatabase = "refused_by_database",
}

/// One fault of an event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// Which fault.
    pub reason: ReasonCode,
    /// Where in the body, dotted (`properties.items[3].name`); empty for the body, `subject` for the subject.
    pub path: String,
    /// What is expected there, and the shape of what came.
    pub expected: String,
}

impl Reason {
    /// A reason at a path.
    pub fn new(reason: ReasonCode, path: &Path<'_>, expected: String) -> Self {
        Self { reason, path: path.to_string(), expected }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { reason, path, expected } = self;
        match path.as_str() {
            "" => write!(f, "{}: expected {expected}", reason.as_str()),
            path => write!(f, "{} at {path}: expected {expected}", reason.as_str()),
        }
    }
}

/// A hostile body can hold thousands of faults; the first ones tell the story.
const MAX_REASONS: usize = 32;

/// The faults found so far, each once, at most 32.
#[derive(Debug, Default)]
pub(crate) struct Reasons(Vec<Reason>);

impl Reasons {
    /// Adds a fault; `expected` is only spelled when there is room for it.
    pub(crate) fn push(&mut self, reason: ReasonCode, path: &Path<'_>, expected: impl FnOnce() -> String) {
        if self.0.len() < MAX_REASONS {
            self.add(Reason::new(reason, path, expected()));
        }
    }

    /// Adds a fault unless it is there already.
    pub(crate) fn add(&mut self, reason: Reason) {
        if self.0.len() < MAX_REASONS && !self.0.contains(&reason) {
            self.0.push(reason);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether there may be faults that were not added.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() == MAX_REASONS
    }

    pub(crate) fn any(&self, is: impl Fn(ReasonCode) -> bool) -> bool {
        self.0.iter().any(|fault| is(fault.reason))
    }

    pub(crate) fn into_vec(self) -> Vec<Reason> {
        self.0
    }
}
