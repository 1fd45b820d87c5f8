//! The AsyncAPI 3 document: which messages the system receives and sends, on which subjects, and on which streams they stand.
//!
//! Rendered from the catalogue, the files in `nats/` and the alerts' own type, for programs that make documentation or
//! clients of it. It is told from the system's side, as AsyncAPI wants it: what a publisher sends, the system *receives*.
//! The NATS binding knows nothing of JetStream, so streams and consumers stand in `x-jetstream`; its one field, `queue`,
//! stays empty, since durable consumers are no queue groups.
//!
//! Schemas are those of `schemas/`, in one document and without what draft-07, the dialect of AsyncAPI, lacks. It does
//! not write a file.

mod schemas;

use crate::{
    service::STREAM,
    topology::{self, Resource, Topology, TopologyError},
};
use serde_json::{Map, Value, json};
use valera_events::{
    catalogue::{EVENTS, EventSpec},
    render::{envelope_schema, event_schema, example},
    subject,
};

const DESCRIPTION: &str = "\
An event is published with an acknowledgement to the subject analytics.<event_name>. An event that breaks its schema is \
kept as a dead letter, with the reasons. Names that have no channel here are accepted, stored and reported as undeclared. \
Incidents that the alert rules find are sent to alerts.<rule>.";

/// The document, its keys sorted.
///
/// # Errors
/// When one of the compiled-in files of `nats/` is no configuration, which a test rules out.
pub fn document() -> Result<Value, TopologyError> {
    let topology = topology::desired()?;
    let mut channels = Map::new();
    let mut operations = Map::new();
    let mut messages = Map::new();
    let mut schemas = Map::new();
    for spec in EVENTS {
        let address = subject::of_event_or_invalid(spec.name);
        channels.insert(spec.name.into(), channel(&address, spec.name, spec.en, "ANALYTICS", &json!({})));
        operations.insert(format!("receive_{}", spec.name), receive(spec.name, spec.en, &topology));
        messages.insert(spec.name.into(), declared(spec));
        schemas.insert(spec.name.into(), within(event_schema(spec)));
    }
    let name = json!({ "event_name": { "description": "A lower-case letter and up to 49 of a-z, 0-9 and _." } });
    let undeclared = "An event that is not declared yet.";
    channels
        .insert("undeclared".into(), channel("analytics.{event_name}", "undeclared", undeclared, "ANALYTICS", &name));
    operations.insert("receive_undeclared".into(), receive("undeclared", undeclared, &topology));
    messages.insert(
        "undeclared".into(),
        message("undeclared", undeclared, "envelope", &json!({ "chat_id": 482_133_007 })),
    );
    schemas.insert("envelope".into(), within(envelope_schema()));
    schemas.insert("headers".into(), schemas::headers());

    let rule = json!({ "rule": { "description": "The rule's name in the rule file." } });
    let alert = "One step in the life of an incident.";
    channels.insert("alerts".into(), channel("alerts.{rule}", "alert", alert, "ALERTS", &rule));
    operations.insert("send_alerts".into(), operation("send", "alerts", "alert", alert));
    messages.insert("alert".into(), schemas::alert_message(alert));
    schemas.insert("alert".into(), schemas::alert());

    channels.insert(
        "acknowledgement".into(),
        json!({
            "address": null,
            "description": "The inbox that the publisher named as the reply subject of its message.",
            "messages": { "acknowledgement": { "$ref": "#/components/messages/acknowledgement" } }
        }),
    );
    messages.insert("acknowledgement".into(), schemas::acknowledgement_message());
    schemas.insert("acknowledgement".into(), schemas::acknowledgement());

    let mut document = json!({
        "asyncapi": "3.0.0",
        "info": {
            "title": "Valera Analytics", "version": env!("CARGO_PKG_VERSION"), "description": DESCRIPTION,
            "license": { "name": "MIT" }
        },
        "defaultContentType": "application/json",
        "servers": { "local": { "host": "127.0.0.1:4222", "protocol": "nats", "description": "As `up` starts it." } },
        "channels": channels,
        "operations": operations,
        "components": { "messages": messages, "schemas": schemas },
        "x-jetstream": jetstream(&topology)
    });
    document.sort_all_objects();
    Ok(document)
}

fn channel(address: &str, message: &str, summary: &str, stream: &str, parameters: &Value) -> Value {
    json!({
        "address": address,
        "summary": summary,
        "parameters": parameters,
        "messages": { message: { "$ref": format!("#/components/messages/{message}") } },
        "x-jetstream": { "stream": stream }
    })
}

fn operation(action: &str, channel: &str, message: &str, summary: &str) -> Value {
    json!({
        "action": action,
        "summary": summary,
        "channel": { "$ref": format!("#/channels/{channel}") },
        "messages": [{ "$ref": format!("#/channels/{channel}/messages/{message}") }]
    })
}

/// What a publisher sends, and the broker acknowledges in the system's name.
fn receive(name: &str, summary: &str, topology: &Topology) -> Value {
    let consumers = topology.resources().filter_map(|(resource, _)| match resource {
        Resource::Consumer(stream, consumer) if stream == STREAM => Some(consumer.as_str()),
        _ => None,
    });
    let mut receive = operation("receive", name, name, summary);
    receive["x-jetstream"] = json!({ "consumers": consumers.collect::<Vec<_>>() });
    receive["reply"] = json!({
        "channel": { "$ref": "#/channels/acknowledgement" },
        "messages": [{ "$ref": "#/channels/acknowledgement/messages/acknowledgement" }]
    });
    receive
}

fn declared(spec: &EventSpec) -> Value {
    // Not null: a test of the catalogue reads every example.
    let example: Value = serde_json::from_str(&example(spec)).unwrap_or_default();
    let mut declared = message(spec.name, spec.en, spec.name, &example);
    declared["x-description-ru"] = spec.ru.into();
    declared["x-owner"] = spec.owner.into();
    declared
}

fn message(name: &str, summary: &str, schema: &str, example: &Value) -> Value {
    json!({
        "name": name,
        "summary": summary,
        "contentType": "application/json",
        "headers": { "$ref": "#/components/schemas/headers" },
        "payload": { "$ref": format!("#/components/schemas/{schema}") },
        "examples": [{ "payload": example }]
    })
}

/// A schema of `schemas/` as part of this document.
fn within(mut schema: Value) -> Value {
    if let Some(members) = schema.as_object_mut() {
        members.remove("$schema");
        members.remove("$id");
    }
    if let Some(reference) = schema.pointer_mut("/allOf/0/$ref") {
        *reference = "#/components/schemas/envelope".into();
    }
    schema
}

/// Streams with their settings, and the consumers of each, as `nats/` has them.
fn jetstream(topology: &Topology) -> Value {
    let mut streams = Map::new();
    let mut consumers = Map::new();
    for (resource, config) in topology.resources() {
        match resource {
            Resource::Stream(name) => streams.insert(name.clone(), config.clone().into()),
            Resource::Consumer(_, name) => consumers.insert(name.clone(), config.clone().into()),
        };
    }
    json!({ "streams": streams, "consumers": consumers })
}
