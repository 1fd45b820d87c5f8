//! Compares a wanted configuration with a found one, field by field, and merges them.
//!
//! A server answers with more than it was asked: defaults that are the same as not being there, and notes of its own.
//! What it was *not* asked and yet would change what a consumer gets (somebody's filter, say) is a difference too.
//!
//! It does not talk to the server.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

use super::Resource;

/// Not ours: the server's notes and labels of operators, and a pause, which somebody meant.
const LEFT_ALONE: [&str; 2] = ["metadata", "pause_until"];

/// One way in which the server is not as the files say.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Difference {
    /// It does not exist.
    Missing {
        /// What is missing.
        resource: Resource,
    },
    /// One of its settings has another value.
    Field {
        /// Whose setting.
        resource: Resource,
        /// The setting's name, as in the file and in the server's answers.
        field: String,
        /// The file's value; null where the file does not set it.
        wanted: Value,
        /// The server's value; null where it is not set. Durations are nanoseconds.
        found: Value,
    },
}

impl Difference {
    /// The setting that differs, if that is the difference.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Missing { .. } => None,
            Self::Field { field, .. } => Some(field),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { resource } => write!(f, "{resource} is missing"),
            Self::Field { resource, field, wanted, found } => {
                write!(f, "{resource}: {field} is {}, wanted {}", shown(found), shown(wanted))
            }
        }
    }
}

fn shown(value: &Value) -> String {
    if is_unset(value) && !value.is_boolean() { "unset".to_owned() } else { value.to_string() }
}

/// Every field that differs, by name.
pub(super) fn compare(
    resource: &Resource,
    wanted: &Map<String, Value>,
    found: &Map<String, Value>,
) -> Vec<Difference> {
    let added = found.keys().filter(|field| !wanted.contains_key(*field));
    let differs = |field: &&String| {
        let (wanted_value, found_value) = (value(wanted, field), value(found, field));
        wanted_value != found_value && !(is_unset(&wanted_value) && is_unset(&found_value))
    };
    let fields = wanted.keys().chain(added).filter(|field| !is_left_alone(resource, field)).filter(differs);
    let fields = fields.filter(|field| !is_room(field, &value(wanted, field), &value(found, field)));
    let difference = |field: &String| Difference::Field {
        resource: resource.clone(),
        field: field.clone(),
        wanted: value(wanted, field),
        found: value(found, field),
    };
    fields.map(difference).collect()
}

/// The found configuration with the differences gone. All else stays, also what is not ours.
pub(super) fn resolve(mut found: Map<String, Value>, differences: &[Difference]) -> Map<String, Value> {
    for difference in differences {
        let Difference::Field { field, wanted, .. } = difference else {
            continue;
        };
        if wanted.is_null() {
            found.remove(field);
        } else {
            found.insert(field.clone(), wanted.clone());
        }
    }
    found
}

fn value(config: &Map<String, Value>, field: &str) -> Value {
    config.get(field).cloned().unwrap_or(Value::Null)
}

fn is_left_alone(resource: &Resource, field: &str) -> bool {
    // A durable consumer's name comes back twice.
    let said_twice = matches!(resource, Resource::Consumer(..)) && field == "name";
    said_twice || LEFT_ALONE.contains(&field)
}

/// Whether somebody gave a stream more room than the file does: taken away again, it would be full at once, and a stream
/// that is full takes no event.
fn is_room(field: &str, wanted: &Value, found: &Value) -> bool {
    let limit = |value: &Value| value.as_i64().map(|bytes| if bytes < 0 { i64::MAX } else { bytes });
    field == "max_bytes" && limit(found) > limit(wanted)
}

/// What a server fills in for "not set", in its several spellings.
fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(on) => !on,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "none" || text == "default",
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_unset),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    fn consumer() -> Resource {
        Resource::Consumer("ANALYTICS".into(), "persister".into())
    }

    #[test]
    fn what_the_server_fills_in_is_no_difference() {
        let wanted = fields(json!({"durable_name": "persister", "max_deliver": -1, "num_replicas": 0}));
        let found = fields(json!({
            "durable_name": "persister", "name": "persister", "max_deliver": -1, "filter_subject": "",
            "consumer_limits": {}, "headers_only": false, "compression": "none",
            "metadata": {"_nats.ver": "2.15.1", "team": "x"}, "pause_until": "0001-01-01T00:00:00Z",
        }));
        assert_eq!(compare(&consumer(), &wanted, &found), []);
    }

    #[test]
    fn a_stream_may_have_more_room_than_the_file_says_but_not_less() {
        let stream = Resource::Stream("ANALYTICS".into());
        let differs = |found: i64| {
            let [wanted, found] = [1_000, found].map(|bytes| fields(json!({"max_bytes": bytes})));
            !compare(&stream, &wanted, &found).is_empty()
        };
        assert!(differs(999));
        assert!(![1_000, 1_001, -1].into_iter().any(differs));
    }

    #[test]
    fn a_difference_names_its_field_and_both_values() {
        let wanted = fields(json!({"max_ack_pending": 150_000}));
        let found = fields(json!({"max_ack_pending": 1000, "filter_subject": "x.>"}));
        let told: Vec<String> = compare(&consumer(), &wanted, &found).iter().map(Difference::to_string).collect();
        let expected = [
            "consumer ANALYTICS/persister: max_ack_pending is 1000, wanted 150000",
            "consumer ANALYTICS/persister: filter_subject is \"x.>\", wanted unset",
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn resolving_changes_what_differs_and_nothing_else() {
        let wanted = fields(json!({"max_ack_pending": 150_000}));
        let found = fields(json!({"max_ack_pending": 1000, "filter_subject": "x.>", "metadata": {"team": "x"}}));
        let differences = compare(&consumer(), &wanted, &found);
        let resolved = resolve(found, &differences);
        assert_eq!(resolved, fields(json!({"max_ack_pending": 150_000, "metadata": {"team": "x"}})));
    }
}
