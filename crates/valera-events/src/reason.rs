//! Why an event was rejected: a closed list, each with the path and what was expected there.
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonCode {
    NotJson, NotAnObject, TooLarge, TooDeep, DuplicateKey, UnknownField, BadEventName, NameMismatch, MissingChatId,
    BadChatId, BadEventId, BadOccurredAt, OccurredAtOutOfRange, BadSessionId, BadPlatform, BadProperties,
    MissingProperty, WrongType, OutOfRange, UnstorableText, UnstorableNumber,
    /// Given by the persister: the id is stored already, with other content.
    ConflictingDuplicate,
    /// Given by the persister: Postgres refused the row all the same.
    RefusedByDatabase,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason { pub reason: ReasonCode, pub path: String, pub expected: String }
