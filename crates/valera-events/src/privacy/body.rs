//! A body without personal values, for those who publish one: what stands in the stream stays there for a year.
//!
//! It works on any body that can be read and written again without loss, also on one that `check` rejects: a flawed
//! event ends in the dead letters, and these are read by people too. A body with nothing personal in it stays as it is,
//! byte for byte; another keeps all but the values replaced and the white space.
//!
//! It does not judge the body, nor touch the values of the envelope's own fields.

use std::borrow::Cow;

use super::{pseudonymise, treat_free, treat_member};
use crate::catalogue;
use crate::json::{self, Members, Node};
use crate::keys::PseudonymKeys;
use crate::reason::{ReasonCode, Reasons};
use crate::subject;

/// The body of a message as it may be published. `None` when nothing can vouch for it, so that it must not be: no JSON
/// object, more than 32 levels, or text that would not survive being written again.
pub fn pseudonymise_body<'a>(subject: &str, body: &'a [u8], keys: &PseudonymKeys) -> Option<Cow<'a, [u8]>> {
    let mut faults = Reasons::default();
    let sent = json::read_object(body, &mut faults)?;
    if !json::is_whole(&faults) || faults.any(|reason| reason == ReasonCode::UnstorableText) {
        return None;
    }
    let mut members = sent.clone();
    treat(&mut members, subject, keys);
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
            ("event_id" | "event_name" | "chat_id" | "occurred_at" | "session_id" | "platform", _) => {}
            ("properties", Node::Object(properties)) => pseudonymise(properties, spec, keys),
            ("properties", other) => treat_free(other, keys),
            (unknown, node) => treat_member(unknown, node, keys),
        }
    }
}
