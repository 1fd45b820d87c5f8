//! The catalogue as a file: rendered for programs and reviews, and read back, so that a changed one can be tried on what
//! was recorded before it judges anything.
//!
//! What is read lives as long as the process, like the table that is compiled in; so an event that was judged by it is no
//! other type than one judged by ours. A process reads one or two.
//!
//! It does not hold the personal keys: no verdict depends on them.

use serde::{Deserialize, Serialize};

use super::{Catalogue, EventSpec, PropertyKind, PropertySpec, Sensitivity};
use crate::subject;

/// A file that holds no catalogue.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct BadCatalogue(String);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    events: Vec<Event>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Event {
    name: String,
    owner: String,
    en: String,
    ru: String,
    properties: Vec<Property>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Property {
    name: String,
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<i64>,
    required: bool,
    sensitivity: Sensitivity,
    en: String,
    ru: String,
    /// JSON text.
    example: String,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Text,
    Integer,
    Number,
    Decimal,
    IntegerOrText,
}

impl Catalogue {
    /// The file, as a JSON value.
    ///
    /// # Errors
    /// Never, for the types that are written here.
    pub fn to_json(self) -> serde_json::Result<serde_json::Value> {
        serde_json::to_value(File { events: self.events().iter().map(Event::of).collect() })
    }

    /// Reads a file; what it holds is kept until the process ends.
    ///
    /// # Errors
    /// Says what is malformed, unknown, or declared twice.
    pub fn read(text: &str) -> Result<Self, BadCatalogue> {
        let file: File = serde_json::from_str(text).map_err(|cause| BadCatalogue(cause.to_string()))?;
        let mut events = Vec::with_capacity(file.events.len());
        for event in file.events {
            if events.iter().any(|other: &EventSpec| other.name == event.name) {
                return Err(BadCatalogue(format!("{} is declared twice", event.name)));
            }
            events.push(event.kept()?);
        }
        Ok(Self(events.leak()))
    }
}

impl Event {
    fn of(spec: &EventSpec) -> Self {
        Self {
            name: spec.name.to_owned(),
            owner: spec.owner.to_owned(),
            en: spec.en.to_owned(),
            ru: spec.ru.to_owned(),
            properties: spec.properties.iter().map(Property::of).collect(),
        }
    }

    fn kept(self) -> Result<EventSpec, BadCatalogue> {
        if subject::of_event(&self.name).is_none() {
            return Err(BadCatalogue(format!("{:?} is no event name", self.name)));
        }
        let mut properties = Vec::with_capacity(self.properties.len());
        for property in self.properties {
            if properties.iter().any(|other: &PropertySpec| other.name == property.name) {
                return Err(BadCatalogue(format!("{}.{} is declared twice", self.name, property.name)));
            }
            properties.push(property.kept(&self.name)?);
        }
        Ok(EventSpec {
            name: self.name.leak(),
            owner: self.owner.leak(),
            en: self.en.leak(),
            ru: self.ru.leak(),
            properties: properties.leak(),
        })
    }
}

impl Property {
    fn of(spec: &PropertySpec) -> Self {
        let (kind, min, max) = match spec.kind {
            PropertyKind::Text => (Kind::Text, None, None),
            PropertyKind::Integer { min, max } => (Kind::Integer, Some(min), Some(max)),
            PropertyKind::Number { min, max } => (Kind::Number, min, max),
            PropertyKind::Decimal => (Kind::Decimal, None, None),
            PropertyKind::IntegerOrText => (Kind::IntegerOrText, None, None),
        };
        Self {
            name: spec.name.to_owned(),
            kind,
            min,
            max,
            required: spec.required,
            sensitivity: spec.sensitivity,
            en: spec.en.to_owned(),
            ru: spec.ru.to_owned(),
            example: spec.example.to_owned(),
        }
    }

    fn kept(self, event: &str) -> Result<PropertySpec, BadCatalogue> {
        let kind = match (self.kind, self.min, self.max) {
            (Kind::Text, None, None) => PropertyKind::Text,
            (Kind::Integer, Some(min), Some(max)) if min <= max => PropertyKind::Integer { min, max },
            (Kind::Number, min, max) => PropertyKind::Number { min, max },
            (Kind::Decimal, None, None) => PropertyKind::Decimal,
            (Kind::IntegerOrText, None, None) => PropertyKind::IntegerOrText,
            _ => {
                return Err(BadCatalogue(format!(
                    "{event}.{}: an integer has min and max, min being the lesser, a number may have either, all else none",
                    self.name
                )));
            }
        };
        Ok(PropertySpec {
            name: self.name.leak(),
            kind,
            required: self.required,
            sensitivity: self.sensitivity,
            en: self.en.leak(),
            ru: self.ru.leak(),
            example: self.example.leak(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_catalogue_read_from_its_file_is_the_same() {
        let rendered = Catalogue::OURS.to_json().unwrap();
        let read = Catalogue::read(&rendered.to_string()).unwrap();
        assert_eq!(read.to_json().unwrap(), rendered);
        let (ours, theirs) = (format!("{:?}", Catalogue::OURS), format!("{read:?}"));
        assert_eq!(ours, theirs);
    }

    #[test]
    fn what_is_no_catalogue_is_refused_with_its_place() {
        let changed = |change: fn(&mut serde_json::Value)| {
            let mut json = Catalogue::OURS.to_json().unwrap();
            change(&mut json);
            Catalogue::read(&json.to_string()).map(drop).unwrap_err().to_string()
        };
        for (said, part) in [
            (Catalogue::read("{}").map(drop).unwrap_err().to_string(), "events"),
            (changed(|json| json["events"][0]["name"] = "No Name".into()), "No Name"),
            (changed(|json| json["events"][1]["name"] = "ai_dialog_started".into()), "declared twice"),
            (changed(|json| json["events"][0]["properties"][0]["type"] = "money".into()), "money"),
            (changed(|json| json["events"][0]["properties"][0]["min"] = 1.into()), "message_type"),
            (changed(|json| json["events"][2]["properties"][1]["min"] = serde_json::Value::Null), "quantity"),
            (changed(|json| json["events"][0]["properties"][0]["requierd"] = true.into()), "requierd"),
        ] {
            assert!(said.contains(part), "no {part} in {said}");
        }
    }
}
