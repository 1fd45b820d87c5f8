//! The gateway's OpenAPI document, said once, here: served at `/openapi.json` and kept in `schemas/openapi.json`.
//!
//! What an event's properties may be is in `schemas/<event>.json`: here any object is one, since names outside the catalogue
//! are taken. An event that breaks the rules said here is taken too, and told as rejected in the answer, unless it can be kept
//! nowhere: hence the words about text. schemathesis holds the document against a running gateway. It does not say what consumers
//! do with an event.

use super::{body::MAX_BODY, split::MAX_EVENTS};
use serde_json::{Value, json};

const PROBLEMS: [(&str, &str); 11] = [
    ("400", "The body is no UTF-8, no JSON, not gzip, or was cut off; or the chat is no integer"),
    ("401", "No token, or none of the gateway's"),
    ("404", "There is no such path"),
    ("405", "The path has other methods: see Allow"),
    ("406", "Accept leaves application/json out"),
    ("408", "The body did not come in time"),
    ("413", "The body is too long, or has too many events"),
    ("415", "The type or the encoding of the body is not taken"),
    ("422", "Events that can be kept nowhere, each named; nothing of the request was taken"),
    ("429", "Too many requests of this client: again after Retry-After"),
    ("503", "Nowhere to keep the events, or no database to ask: again after Retry-After, under the same ids"),
];

/// The document.
#[must_use]
pub fn document() -> Value {
    let any = json!({"schema": {"$ref": "#/components/schemas/Event"}});
    let one_or_more = json!({"schema": {"oneOf": [
        {"$ref": "#/components/schemas/Event"},
        {"type": "array", "maxItems": MAX_EVENTS, "items": {"$ref": "#/components/schemas/Event"}},
    ]}});
    let cloud = json!({"schema": {"$ref": "#/components/schemas/CloudEvent"}});
    let clouds = json!({"schema": {
        "type": "array", "maxItems": MAX_EVENTS, "items": {"$ref": "#/components/schemas/CloudEvent"},
    }});
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Valera Analytics: the gateway",
            "version": "1",
            "description": format!("Events by HTTP. A body has at most {MAX_BODY} bytes, unpacked too, and {MAX_EVENTS} events."),
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://127.0.0.1:8080"}],
        "security": [{"token": []}],
        "paths": {
            "/v1/events": {"post": {
                "operationId": "publishEvents",
                "summary": "Takes events; 202 once each of them is on a disk",
                "description": "CloudEvents in binary mode are application/json with the headers ce-*: the body is their data.",
                "parameters": parameters(),
                "requestBody": {"required": true, "content": {
                    "application/json": one_or_more,
                    "application/x-ndjson": any,
                    "application/cloudevents+json": cloud,
                    "application/cloudevents-batch+json": clouds,
                }},
                "responses": responses(
                    "202", json("Each event is kept; a rejected one becomes a dead letter", "Published"),
                    &["400", "401", "405", "406", "408", "413", "415", "422", "429", "503"],
                ),
            }},
            "/v1/chats/{chat_id}": {"get": {
                "operationId": "readChat",
                "summary": "What the rollups know of a chat",
                "parameters": [{
                    "name": "chat_id", "in": "path", "required": true,
                    "schema": {"type": "integer", "format": "int64"},
                }],
                "responses": responses(
                    "200", json("The chat; one that is not known has no events", "Chat"),
                    &["400", "401", "404", "405", "406", "429", "503"],
                ),
            }},
            "/health": {"get": {
                "operationId": "readHealth",
                "summary": "Whether events find a place now",
                "security": [],
                "responses": {
                    "200": json("They do", "Health"),
                    "503": json("They do not; the causes are told", "Health"),
                },
            }},
            "/metrics": {"get": {
                "operationId": "readMetrics",
                "summary": "What became of each client's requests, for Prometheus",
                "responses": responses(
                    "200",
                    json!({
                        "description": "Counters and gauges, in Prometheus' text format",
                        "content": {"text/plain": {"schema": {"type": "string"}}},
                    }),
                    &["401", "405", "429"],
                ),
            }},
            "/openapi.json": {"get": {
                "operationId": "readOpenapi",
                "summary": "This document",
                "security": [],
                "responses": {"200": {
                    "description": "OpenAPI 3.1",
                    "content": {"application/json": {"schema": {"type": "object"}}},
                }},
            }},
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": problems(),
            "schemas": schemas(),
        },
    })
}

/// The headers that say how a body is to be read, beside its type.
fn parameters() -> Value {
    let header = |name: &str, description: &str, schema: Value| json!({"name": name, "in": "header", "description": description, "schema": schema});
    // What a header can hold.
    let text = json!({"type": "string", "pattern": "^[!-~]+$"});
    json!([
        header(
            "Content-Encoding",
            "How the body is packed, whatever its type",
            json!({"enum": ["gzip", "identity"]})
        ),
        header("ce-specversion", "Says that it is a CloudEvent in binary mode", json!({"const": "1.0"})),
        header("ce-id", "In binary mode: a UUIDv7, or another together with ce-time", text.clone()),
        header("ce-source", "In binary mode: who sent it", text),
        header("ce-type", "In binary mode: the event's name, without a prefix", name()),
        header("ce-time", "In binary mode: when it occurred", json!({"type": "string", "format": "date-time"})),
    ])
}

fn responses(status: &str, good: Value, problems: &[&str]) -> Value {
    let mut responses = serde_json::Map::from_iter([(status.to_owned(), good)]);
    for status in problems {
        responses.insert((*status).to_owned(), json!({"$ref": format!("#/components/responses/Problem{status}")}));
    }
    Value::Object(responses)
}

fn json(description: &str, schema: &str) -> Value {
    let schema = json!({"schema": {"$ref": format!("#/components/schemas/{schema}")}});
    json!({"description": description, "content": {"application/json": schema}})
}

fn problems() -> Value {
    let problem = |(status, description): (&str, &str)| {
        let schema = json!({"schema": {"$ref": "#/components/schemas/Problem"}});
        let mut response = json!({"description": description, "content": {"application/problem+json": schema}});
        if matches!(status, "429" | "503") {
            response["headers"] = json!({"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds"}});
        }
        (format!("Problem{status}"), response)
    };
    Value::Object(PROBLEMS.into_iter().map(problem).collect())
}

/// Text that cannot be stored is not looked through for personal values either, so the gateway keeps no event with such.
const WITHOUT_NUL: &str = "^[^\\u0000]*$";

fn name() -> Value {
    json!({"type": "string", "pattern": "^[a-z][a-z0-9_]{0,49}$", "description": "The event's name, without a prefix"})
}

fn text(longest: u32) -> Value {
    json!({"type": ["string", "null"], "minLength": 1, "maxLength": longest, "pattern": WITHOUT_NUL})
}

fn schemas() -> Value {
    let reasons = json!({"type": "array", "items": {
        "type": "object",
        "required": ["reason", "path", "expected"],
        "properties": {
            "reason": {"type": "string"}, "path": {"type": "string"}, "expected": {"type": "string"},
        },
    }});
    json!({
        "Event": {
            "type": "object",
            "required": ["event_name", "chat_id"],
            "additionalProperties": false,
            "properties": {
                "event_id": {"type": ["string", "null"], "format": "uuid", "description": "A UUIDv7 of its time; minted where it is absent"},
                "event_name": name(),
                "chat_id": {"type": "integer", "format": "int64"},
                "occurred_at": {"type": ["string", "null"], "format": "date-time"},
                "session_id": text(64),
                "platform": text(20),
                "properties": {"anyOf": [{"type": "null"}, {"$ref": "#/components/schemas/Object"}]},
            },
        },
        "CloudEvent": {
            "type": "object",
            "required": ["specversion", "id", "source", "type", "data"],
            "anyOf": [
                {"required": ["time"]},
                {"properties": {"id": {"pattern": "^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-7[0-9a-fA-F]{3}-[89abAB][0-9a-fA-F]{3}-[0-9a-fA-F]{12}$"}}},
            ],
            "properties": {
                "specversion": {"const": "1.0"},
                "id": {"type": "string", "pattern": "^[^\\u0000]+$", "description": "A UUIDv7, or another together with time"},
                "source": {"type": "string", "pattern": "^[^\\u0000]+$"},
                "type": name(),
                "time": {"type": "string", "format": "date-time"},
                "data": {
                    "type": "object",
                    "required": ["chat_id"],
                    "properties": {
                        "chat_id": {"type": "integer", "format": "int64"},
                        "session_id": text(64),
                        "platform": text(20),
                        "properties": {"anyOf": [{"type": "null"}, {"$ref": "#/components/schemas/Object"}]},
                    },
                    "propertyNames": {"$ref": "#/components/schemas/Text"},
                    "additionalProperties": {"$ref": "#/components/schemas/Value"},
                },
            },
            "propertyNames": {"$ref": "#/components/schemas/Text"},
            "additionalProperties": {"$ref": "#/components/schemas/Value"},
        },
        "Text": {"type": "string", "pattern": WITHOUT_NUL, "description": "Text that can be stored: no NUL, no lone surrogate"},
        "Object": {
            "type": "object",
            "propertyNames": {"$ref": "#/components/schemas/Text"},
            "additionalProperties": {"$ref": "#/components/schemas/Value"},
        },
        "Value": {"description": "Any JSON of such text, of at most 32 levels", "anyOf": [
            {"type": ["null", "boolean", "number"]},
            {"$ref": "#/components/schemas/Text"},
            {"type": "array", "items": {"$ref": "#/components/schemas/Value"}},
            {"$ref": "#/components/schemas/Object"},
        ]},
        "Published": {
            "type": "object",
            "required": ["accepted", "rejected", "events"],
            "properties": {
                "accepted": {"type": "integer"},
                "rejected": {"type": "integer"},
                "events": {"type": "array", "items": {
                    "type": "object",
                    "required": ["index", "event_id", "status"],
                    "properties": {
                        "index": {"type": "integer"},
                        "event_id": {"type": "string", "format": "uuid"},
                        "status": {"enum": ["accepted", "rejected"]},
                        "reasons": reasons.clone(),
                    },
                }},
            },
        },
        "Chat": {
            "type": "object",
            "required": ["chat_id", "dialog_today", "events", "user_segment", "day"],
            "properties": {
                "chat_id": {"type": "integer", "format": "int64"},
                "dialog_today": {"type": "boolean"},
                "events": {"type": "integer"},
                "user_segment": {"enum": ["new", "engaged", "returning"]},
                "day": {"type": "string", "format": "date"},
            },
        },
        "Health": {
            "type": "object",
            "required": ["ready", "nats", "spool", "spool_bytes"],
            "properties": {
                "ready": {"type": "boolean"},
                "nats": {"enum": ["connected", "away"]},
                "spool": {"type": "string"},
                "spool_bytes": {"type": "integer"},
            },
        },
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "errors": {"type": "array", "items": {
                    "type": "object",
                    "required": ["index", "pointer", "reasons"],
                    "properties": {
                        "index": {"type": "integer"}, "pointer": {"type": "string"}, "reasons": reasons,
                    },
                }},
            },
        },
    })
}
