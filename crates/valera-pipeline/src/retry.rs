//! A dead letter as the message that it was, and as the message that retries it.
//!
//! Commands and the persister see a letter through this, so that what an operator is told and what becomes of the retry
//! rest on the same verdict. It does not publish and asks no database.

use crate::{handler::Delivery, store::letters::Kept};
use chrono::{DateTime, SecondsFormat, Utc};
use std::borrow::Cow;
use uuid::Uuid;
use valera_events::{
    Origin, PseudonymKeys, ReasonCode, headers,
    privacy::pseudonymise_body,
    retry::{NoObject, Patch, Rejected, retry},
};

/// The message as JetStream delivered it, as far as the letter keeps it.
#[must_use]
pub fn delivery(letter: &Kept) -> Delivery {
    let headers = letter.headers.iter();
    let headers = headers.flat_map(|(name, values)| values.iter().map(|value| (name.clone(), value.clone())));
    Delivery {
        stream: String::new(),
        sequence: u64::try_from(letter.stream_seq).unwrap_or_default(),
        received_at: letter.received_at,
        subject: letter.subject.clone(),
        headers: headers.collect(),
        body: letter.payload.clone().into(),
    }
}

/// Why a letter cannot be retried as it was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unready {
    #[error("its payload is cleared: the bytes are gone")]
    Cleared,
    #[error("its id is stored with other content: only as an event of its own, with --as-new")]
    Conflicting,
    #[error(transparent)]
    NoObject(#[from] NoObject),
}

/// The message that retries a letter, as it would be received now and without personal values; without its `Nats-Msg-Id`, which names the attempt.
///
/// # Errors
/// When the letter has no payload any more, needs `as_new`, or has no body that can be rewritten.
pub fn message(
    letter: &Kept,
    patch: &Patch,
    as_new: bool,
    keys: &PseudonymKeys,
    now: DateTime<Utc>,
) -> Result<Delivery, Unready> {
    if letter.payload_cleared_at.is_some() {
        return Err(Unready::Cleared);
    }
    let is_conflict = letter.reasons.iter().any(|reason| reason.reason == ReasonCode::ConflictingDuplicate.as_str());
    if is_conflict && !as_new {
        return Err(Unready::Conflicting);
    }
    let rejected = delivery(letter);
    let first_received_at = rejected.first_received_at();
    let again = retry(
        &Rejected {
            letter_id: letter.id,
            event_id: letter.event_id,
            subject: &letter.subject,
            body: &letter.payload,
            received_at: first_received_at,
        },
        patch,
        is_conflict,
    )?;
    // What cannot be cleaned is refused by the contract too.
    let body = pseudonymise_body(&again.subject, &again.body, keys).map(Cow::into_owned);
    // An import reaches further back than anything else, and its retry must too.
    let origin = match rejected.contract_headers().origin {
        Origin::Import => Origin::Import,
        _ => Origin::Retry,
    };
    let headers = [
        (headers::ORIGIN, origin.as_str().to_owned()),
        (headers::DEAD_LETTER, letter.id.to_string()),
        (headers::RECEIVED_AT, first_received_at.to_rfc3339_opts(SecondsFormat::Micros, true)),
    ];
    Ok(Delivery {
        received_at: now,
        subject: again.subject,
        body: body.unwrap_or(again.body).into(),
        headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
        ..rejected
    })
}

/// The `Nats-Msg-Id` of an attempt: another one each time, for the broker would swallow a known one.
#[must_use]
pub fn msg_id(letter_id: Uuid, attempt: i32) -> String {
    format!("retry/{letter_id}/{attempt}")
}

/// Which attempt such a `Nats-Msg-Id` names, of whatever letter.
#[must_use]
pub fn attempt(msg_id: &str) -> Option<i32> {
    msg_id.strip_prefix("retry/")?.rsplit_once('/')?.1.parse().ok()
}
