//! Events as tests write them down.

use super::System;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;
use valera_events::id;

/// An event under construction; published with its id as `Nats-Msg-Id`.
#[derive(Debug, Clone)]
pub(crate) struct EventBuilder {
    name: String,
    body: Value,
    msg_id: Option<String>,
}

/// An event of a chat, with an id minted at its time.
#[allow(clippy::needless_pass_by_value, reason = "so that a test can write json! in place")]
pub(crate) fn event(name: &str, chat_id: i64, occurred_at: DateTime<Utc>, properties: Value) -> EventBuilder {
    let event_id = id::mint(occurred_at, rand::random());
    let body = json!({
        "event_id": event_id, "event_name": name, "chat_id": chat_id,
        "occurred_at": occurred_at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true), "properties": properties,
    });
    EventBuilder { name: name.to_owned(), body, msg_id: Some(event_id.to_string()) }
}

impl EventBuilder {
    pub(crate) fn id(mut self, event_id: Uuid) -> Self {
        self.msg_id = Some(event_id.to_string());
        self.with("event_id", json!(event_id))
    }

    /// Without `Nats-Msg-Id`: the broker lets a second one through.
    pub(crate) fn unchecked_by_broker(mut self) -> Self {
        self.msg_id = None;
        self
    }

    pub(crate) fn msg_id(&self) -> Option<&str> {
        self.msg_id.as_deref()
    }

    /// Sets a field of the envelope.
    pub(crate) fn with(mut self, field: &str, value: Value) -> Self {
        self.body[field] = value;
        self
    }

    pub(crate) fn body(&self) -> Bytes {
        serde_json::to_vec(&self.body).unwrap().into()
    }

    pub(crate) fn subject(&self) -> String {
        format!("analytics.{}", self.name)
    }

    pub(crate) async fn publish(&self, system: &System) {
        let headers: Vec<_> = self.msg_id().map(|id| ("Nats-Msg-Id", id)).into_iter().collect();
        system.publish(&self.subject(), &headers, self.body()).await;
    }
}
