//! What becomes of personal values: pseudonyms for those under personal keys, blots for those in free text.
//!
//! It runs in the SDK, before an event reaches spool or stream, and again in the consumers for publishers that did
//! without; so doing it twice is doing it once.
//!
//! It does not touch keys, only values, nor numbers and texts that the catalogue marks plain.

mod body;
mod normalise;
mod numbers;
mod pseudonym;
mod scrub;

use std::borrow::Cow;

use crate::catalogue::{self, EventSpec, PersonalKind, Sensitivity};
use crate::json::{Members, Node};
use crate::keys::PseudonymKeys;

pub use body::pseudonymise_body;
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
