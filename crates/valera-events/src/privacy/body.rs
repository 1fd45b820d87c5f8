//! A body without personal values, for those who publish one: what stands in the stream stays there for a year.
//!
//! It works on any body that can be read and written again without loss, also on one that `check` rejects: a flawed
//! event ends in the dead letters, and these are read by people too. A body with nothing personal in it stays as it is,
//! byte for byte; another keeps all but the values replaced and the white space.
//!
//! It does not judge the body. The envelope's own fields it touches only for those who conceal as the SDK does.

use std::borrow::Cow;

use super::{conceal, pseudonymise, treat_free, treat_member};
use crate::catalogue;
use crate::json::{self, Members, Node};
use crate::keys::PseudonymKeys;
use crate::reason::{ReasonCode, Reasons};
use crate::subject;

/// The body of a message as it may be published. `None` when nothing can vouch for it, so that it must not be: no JSON
/// object, more than 32 levels, or text that would not survive being written again.
pub fn pseudonymise_body<'a>(subject: &str, body: &'a [u8], keys: &PseudonymKeys) -> Option<Cow<'a, [u8]>> {
    treated(body, |members| treat(members, subject, keys))
}

/// The same as closely as the SDK does it ([`conceal`]): texts that the catalogue marks plain are looked at too, and those of
/// the envelope. A chat that is written as a string of digits stays: whoever repairs the event needs it.
pub fn conceal_body<'a>(subject: &str, body: &'a [u8], keys: &PseudonymKeys) -> Option<Cow<'a, [u8]>> {
    let spec = subject::event_name(subject).and_then(catalogue::find);
    treated(body, |members| {
        treat(members, subject, keys);
        for (key, node) in members {
            match (key.as_ref(), node) {
                ("properties", Node::Object(properties)) => conceal(properties, spec, keys),
                ("chat_id", Node::String(text)) if json::is_integer(text) => {}
                (key, node) if ENVELOPE.contains(&key) => treat_free(node, keys),
                _ => {}
            }
        }
    })
}

/// The envelope's fields but the properties.
const ENVELOPE: [&str; 6] = ["event_id", "event_name", "chat_id", "occurred_at", "session_id", "platform"];

fn treated<'a>(body: &'a [u8], treat: impl FnOnce(&mut Members<'a>)) -> Option<Cow<'a, [u8]>> {
    let mut faults = Reasons::default();
    let sent = json::read_object(body, &mut faults)?;
    if !json::is_whole(&faults) || faults.any(|reason| reason == ReasonCode::UnstorableText) {
        return None;
    }
    let mut members = sent.clone();
    treat(&mut members);
    if members == sent {
        return Some(Cow::Borrowed(body));
    }
    let mut out = Vec::with_capacity(body.len() + 64);
    Node::Object(members).write(&mut out);
    Some(Cow::Owned(out))
}

fn treat(members: &mut Members<'_>, subject: &str, keys: &PseudonymKeys) {
    let spec = subject::event_name(subject).and_then(catalogue::find);
    for (key, node) in members {
        match (key.as_ref(), node) {
            (key, _) if ENVELOPE.contains(&key) => {}
            ("properties", Node::Object(properties)) => pseudonymise(properties, spec, keys),
            ("properties", other) => treat_free(other, keys),
            (unknown, node) => treat_member(unknown, node, keys),
        }
    }
}
