//! What is published when a dead letter is retried: the rejected body, changed where an operator says so, under the
//! identity that the rejected event has.
//!
//! The identity is what makes a retry safe to repeat: the body names the letter's `event_id` and the time that the
//! rejected message stood for, so a second retry is a duplicate, and the original message, should it ever be accepted, a
//! conflict that its letter stands for already. Only where the id cannot stay is another derived, of the time that the patch
//! gives: another time gives another id, so whoever publishes must not let two of them be under way.
//!
//! It does not judge the result and does not publish.

mod patch;

use std::borrow::Cow;

use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

use crate::check::{ID_DRIFT, cut, parse_rfc3339};
use crate::json::{self, Members, Node};
use crate::reason::Reasons;
use crate::{id, subject};

pub use patch::{BadPatch, Patch};

/// A rejected message, as its dead letter keeps it.
#[derive(Debug, Clone, Copy)]
pub struct Rejected<'a> {
    /// The dead letter's id.
    pub letter_id: Uuid,
    /// The event's id: as sent, or derived when it was rejected.
    pub event_id: Uuid,
    /// Its subject.
    pub subject: &'a str,
    /// Its body.
    pub body: &'a [u8],
    /// When JetStream received it first.
    pub received_at: DateTime<Utc>,
}

/// What to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// The letter's, or that of the name which the patch gives.
    pub subject: String,
    /// One JSON object that names its id and its time.
    pub body: Vec<u8>,
}

/// A body that cannot carry an identity, hence cannot be retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoObject {
    /// It is something else, or broken.
    #[error("the body is no JSON object: a merge patch can replace it")]
    Another,
    /// It is one that cannot be read whole, so that writing it again would lose what it holds.
    #[error(
        "the body is nested too deep, or too much is wrong with it, to be written again without loss: `import` what is \
         right of it, then discard the letter"
    )]
    Unreadable,
}

/// Makes a letter's message ready to be published again. `as_new` makes an event of its own of one whose id is stored
/// with other content.
///
/// # Errors
/// [`NoObject`] when the body is none and no merge patch replaces it, or when it cannot be rewritten without loss.
pub fn retry(rejected: &Rejected<'_>, patch: &Patch, as_new: bool) -> Result<Retry, NoObject> {
    let mut faults = Reasons::default();
    let original = json::read_object(rejected.body, &mut faults);
    if original.is_some() && !json::is_whole(&faults) {
        return Err(NoObject::Unreadable);
    }
    let named_before = original.as_ref().and_then(|members| text(members, "event_name").map(str::to_owned));
    let mut members = patch.apply(original).ok_or(NoObject::Another)?;
    let named = text(&members, "event_name");
    let subject = named.filter(|name| Some(*name) != named_before.as_deref()).and_then(subject::of_event);
    let subject = subject.unwrap_or_else(|| rejected.subject.to_owned());

    let sent_at = member(&members, "occurred_at").is_some();
    let at = match text(&members, "occurred_at").map(parse_rfc3339) {
        // What cannot be read stays to be rejected for what it is.
        Some(None) => None,
        Some(time) => time,
        None if sent_at => None,
        None => Some(implied_time(&members, rejected.received_at)),
    };
    let event_id = match at {
        Some(at) if as_new => id::rederive(rejected.letter_id, at),
        Some(at) if !near(rejected.event_id, at) => id::rederive(rejected.event_id, at),
        _ => rejected.event_id,
    };
    put(&mut members, "event_id", event_id.to_string());
    if let Some(at) = at.filter(|_| !sent_at) {
        put(&mut members, "occurred_at", at.to_rfc3339_opts(SecondsFormat::Micros, true));
    }
    let mut body = Vec::with_capacity(rejected.body.len() + 128);
    json::write_object(&members, &mut body, |_, node, out| node.write(out));
    Ok(Retry { subject, body })
}

/// Whether an event of this id can be what became of a letter by a retry.
pub fn is_of_letter(event_id: Uuid, letter_id: Uuid, letter_event_id: Uuid) -> bool {
    let derived = |origin| id::time(event_id).is_some_and(|at| id::rederive(origin, at) == event_id);
    event_id == letter_event_id || derived(letter_event_id) || derived(letter_id)
}

/// When an event occurred that does not say so: as its id says, else when it was received.
fn implied_time(members: &Members<'_>, received_at: DateTime<Utc>) -> DateTime<Utc> {
    let sent_id = text(members, "event_id").and_then(id::parse).filter(|id| id::is_v7(*id));
    sent_id.and_then(id::time).unwrap_or_else(|| cut(received_at))
}

fn near(event_id: Uuid, at: DateTime<Utc>) -> bool {
    id::time(event_id).is_some_and(|time| (time - at).abs() <= ID_DRIFT)
}

/// A field of the body; null equals absent.
fn member<'m, 'a>(members: &'m Members<'a>, key: &str) -> Option<&'m Node<'a>> {
    members.iter().find(|(other, node)| other == key && *node != Node::Null).map(|(_, node)| node)
}

fn text<'m>(members: &'m Members<'_>, key: &str) -> Option<&'m str> {
    match member(members, key) {
        Some(Node::String(text)) => Some(text),
        _ => None,
    }
}

fn put(members: &mut Members<'_>, key: &'static str, value: String) {
    patch::set(members, Cow::Borrowed(key), Node::String(Cow::Owned(value)));
}
