//! JSON Schemas (draft 2020-12): one for the envelope, one for each event, which refines it.
//!
//! They are for publishers in other languages. Where a schema cannot say a rule, it is laxer than `check`, never
//! stricter: 5.0 is an integer to a schema, and the window around the arrival is unknown to it.
//!
//! It does not describe undeclared events: the envelope's schema is all there is to say of them.

use serde_json::{Map, Value, json};

use crate::catalogue::{EventSpec, PropertyKind, PropertySpec};

const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";
const UUID_V7: &str = "^[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-7[0-9A-Fa-f]{3}-[89ABab][0-9A-Fa-f]{3}-[0-9A-Fa-f]{12}$";

/// The schema of every event's body.
pub fn envelope_schema() -> Value {
    json!({
        "$schema": DRAFT,
        "$id": "envelope.json",
        "title": "The body of an event",
        "description": "On analytics.<event_name>; at most 64 KiB and 32 levels. A null equals an absent field.",
        "type": "object",
        "required": ["chat_id"],
        "additionalProperties": false,
        "properties": {
            "event_id": {
                "description": "Identity; its time lies within a day of occurred_at. Else derived.",
                "type": ["string", "null"], "pattern": UUID_V7
            },
            "event_name": {
                "description": "The subject's token.",
                "type": ["string", "null"], "pattern": "^[a-z][a-z0-9_]{0,49}$"
            },
            "chat_id": {
                "description": "The Telegram chat.",
                "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX
            },
            "occurred_at": {
                "description": "RFC 3339, cut to microseconds. Else the time in event_id, else of receipt.",
                "type": ["string", "null"], "format": "date-time"
            },
            "session_id": {
                "description": "Else derived from chat and local day.",
                "type": ["string", "null"], "minLength": 1, "maxLength": 64
            },
            "platform": {
                "description": "Else telegram.",
                "type": ["string", "null"], "minLength": 1, "maxLength": 20
            },
            "properties": { "type": ["object", "null"] }
        }
    })
}

/// The schema of a declared event's body.
pub fn event_schema(spec: &EventSpec) -> Value {
    let members: Map<String, Value> =
        spec.properties.iter().map(|property| (property.name.to_owned(), property_schema(property))).collect();
    let required: Vec<&str> =
        spec.properties.iter().filter(|property| property.required).map(|property| property.name).collect();
    let (types, needed) = if required.is_empty() {
        (json!(["object", "null"]), json!(["chat_id"]))
    } else {
        (json!("object"), json!(["chat_id", "properties"]))
    };
    json!({
        "$schema": DRAFT,
        "$id": format!("{}.json", spec.name),
        "title": spec.name,
        "description": spec.en,
        "x-description-ru": spec.ru,
        "x-owner": spec.owner,
        "allOf": [{ "$ref": "envelope.json" }],
        "required": needed,
        "properties": {
            "event_name": { "enum": [spec.name, null] },
            "properties": { "type": types, "required": required, "properties": members }
        }
    })
}

fn property_schema(property: &PropertySpec) -> Value {
    let mut alternatives = kind_schema(property.kind);
    if !property.required {
        alternatives.push(json!({ "type": "null" }));
    }
    let mut members = Map::from_iter([("anyOf".to_owned(), Value::Array(alternatives))]);
    members.insert("description".into(), property.en.into());
    members.insert("x-description-ru".into(), property.ru.into());
    members.insert("x-sensitivity".into(), property.sensitivity.as_str().into());
    Value::Object(members)
}

/// The alternatives that a kind allows.
fn kind_schema(kind: PropertyKind) -> Vec<Value> {
    match kind {
        PropertyKind::Text => vec![json!({ "type": "string" })],
        PropertyKind::Integer { min, max } => {
            vec![json!({ "type": "integer", "minimum": min, "maximum": max })]
        }
        PropertyKind::Number { min, max } => {
            let mut schema = Map::from_iter([("type".to_owned(), json!("number"))]);
            schema.extend(min.map(|min| ("minimum".to_owned(), json!(min))));
            schema.extend(max.map(|max| ("maximum".to_owned(), json!(max))));
            vec![Value::Object(schema)]
        }
        PropertyKind::Decimal => vec![
            json!({ "type": "number" }),
            json!({ "type": "string", "pattern": "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?$" }),
        ],
        PropertyKind::IntegerOrText => {
            vec![json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }), json!({ "type": "string" })]
        }
    }
}
