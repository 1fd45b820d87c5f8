//! What becomes of personal values: pseudonyms for those under personal keys, blots for those in free text.
//!
//! It runs in the SDK, before an event reaches spool or stream, and again in the consumers for publishers that did
//! without; so doing it twice is doing it once.
//!
//! It does not touch keys, only values, nor numbers but those under personal keys; texts that the catalogue marks plain it touches
//! only where an event is first published (the SDK, the gateway, `track`), not where one is brought back.

mod body;
mod normalise;
mod numbers;
mod pseudonym;
mod scrub;

use std::borrow::Cow;

use crate::catalogue::{self, EventSpec, PersonalKind, PropertyKind, Sensitivity};
use crate::json::{self, Members, Node};
use crate::keys::PseudonymKeys;

pub use body::{conceal_body, pseudonymise_body};
pub use pseudonym::is_pseudonym;
pub use scrub::scrub;

/// Replaces personal values by pseudonyms and scrubs free text, in place.
pub(crate) fn pseudonymise(properties: &mut Members<'_>, spec: Option<&'static EventSpec>, keys: &PseudonymKeys) {
    for (key, node) in properties {
        let declared = spec.and_then(|spec| spec.property(key)).map(|property| property.sensitivity);
        match declared {
            Some(Sensitivity::Plain) => {}
            Some(Sensitivity::Personal) => {
                treat_personal(node, &key.to_ascii_lowercase(), kind_of(key), keys);
            }
            Some(Sensitivity::FreeText) | None => treat_member(key, node, keys),
        }
    }
}

/// What the SDK does before anything leaves the bot, and the gateway before it keeps anything: as above, and the texts that the catalogue marks plain are looked at
/// too. A model or a context with a phone number in it is a mistake of the bot, and this is the last place to catch it.
/// An id that reads like one becomes a pseudonym, so that equal ids stay equal.
///
/// Judges by `spec` alone, so it serves flawed events too. Idempotent.
pub fn conceal(properties: &mut Members<'_>, spec: Option<&'static EventSpec>, keys: &PseudonymKeys) {
    pseudonymise(properties, spec, keys);
    for (key, node) in properties {
        let Some(property) = spec.and_then(|spec| spec.property(key)) else { continue };
        if property.sensitivity != Sensitivity::Plain {
            continue;
        }
        match (property.kind, &*node) {
            (PropertyKind::Decimal, Node::String(text)) if json::is_decimal(text) => {}
            (PropertyKind::IntegerOrText, Node::String(text)) if matches!(scrub(text), Cow::Owned(_)) => {
                *node =
                    Node::String(Cow::Owned(pseudonym::of(text, property.name, PersonalKind::Text, keys.current())));
            }
            _ => treat_free(node, keys),
        }
    }
}

fn kind_of(key: &str) -> PersonalKind {
    catalogue::personal_kind(key).map_or(PersonalKind::Text, |(_, kind)| kind)
}

fn treat_member(key: &str, node: &mut Node<'_>, keys: &PseudonymKeys) {
    match catalogue::personal_kind(key) {
        Some((field, kind)) => treat_personal(node, field, kind, keys),
        None => treat_free(node, keys),
    }
}

/// Every string and number under a personal key, whatever it is nested in; null and booleans say nothing of a person.
fn treat_personal(node: &mut Node<'_>, field: &str, kind: PersonalKind, keys: &PseudonymKeys) {
    match node {
        Node::Null | Node::Bool(_) => {}
        Node::String(text) if is_pseudonym(text) => {}
        Node::String(text) | Node::Number(text) => {
            *node = Node::String(Cow::Owned(pseudonym::of(text, field, kind, keys.current())));
        }
        Node::Array(items) => items.iter_mut().for_each(|item| treat_personal(item, field, kind, keys)),
        Node::Object(members) => members.iter_mut().for_each(|(_, member)| treat_personal(member, field, kind, keys)),
    }
}

fn treat_free(node: &mut Node<'_>, keys: &PseudonymKeys) {
    match node {
        Node::Null | Node::Bool(_) | Node::Number(_) => {}
        Node::String(text) => {
            if let Cow::Owned(scrubbed) = scrub(text) {
                *text = Cow::Owned(scrubbed);
            }
        }
        Node::Array(items) => items.iter_mut().for_each(|item| treat_free(item, keys)),
        Node::Object(members) => members.iter_mut().for_each(|(key, member)| treat_member(key, member, keys)),
    }
}
