//! Properties that an alert may show or group by: those that the catalogue declares and marks plain.
//!
//! Everything else may hold something of a person, and an alert goes to chats and inboxes. Texts are cut, since an error
//! class of 60 kB helps nobody, and scrubbed, since the catalogue's word binds no foreign publisher. Decimals stay in
//! the spelling they were sent in. It does not pseudonymise: a value that would need it is not taken.

use super::{Facts, Group};
use serde_json::Value;
use valera_events::{
    Event,
    catalogue::{self, PropertyKind, Sensitivity},
    privacy,
};

/// The longest text, in characters; that of the rollups' keys.
const LONGEST_TEXT: usize = 200;

/// Whether an alert may show it.
pub(super) fn may_be_shown(event: &str, property: &str) -> bool {
    declared(event, property).is_some()
}

/// Whether it makes groups: a plain text.
pub(super) fn may_group(event: &str, property: &str) -> bool {
    declared(event, property) == Some(PropertyKind::Text)
}

fn declared(event: &str, property: &str) -> Option<PropertyKind> {
    let property = catalogue::find(event)?.property(property)?;
    (property.sensitivity == Sensitivity::Plain).then_some(property.kind)
}

/// The values of some properties; those that are absent are left out.
pub(super) fn facts(event: &Event<'_>, properties: &[String]) -> Facts {
    let value = |name: &String| {
        let value = match event.integer(name) {
            Some(integer) => Value::from(integer),
            None => Value::from(event.number(name).map_or_else(|| text(event, name), |n| Some(n.to_owned()))?),
        };
        Some((name.clone(), value))
    };
    properties.iter().filter_map(value).collect()
}

/// The group that an event falls into; an absent property is an empty text.
pub(super) fn group(event: &Event<'_>, properties: &[String]) -> Group {
    properties.iter().map(|name| (name.clone(), text(event, name).unwrap_or_default())).collect()
}

fn text(event: &Event<'_>, property: &str) -> Option<String> {
    let cut: String = event.text(property)?.chars().take(LONGEST_TEXT).collect();
    let is_id = declared(event.name, property) == Some(PropertyKind::IntegerOrText);
    Some(if is_id { cut } else { privacy::scrub(&cut).into_owned() })
}
