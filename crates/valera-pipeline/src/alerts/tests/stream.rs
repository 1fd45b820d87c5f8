//! Messages as a stream would hold them, by what they say and when they came.
//!
//! It knows no rule.

use super::super::{Rules, observation::Observation};
use crate::handler::Delivery;
use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use valera_events::id;

pub(super) fn start() -> DateTime<Utc> {
    "2026-03-10T12:00:00Z".parse().unwrap()
}

/// Messages as a stream would hold them.
#[derive(Debug, Clone, Default)]
pub(super) struct Stream(pub(super) Vec<Delivery>);

impl Stream {
    /// Appends a message, received `seconds` after noon.
    pub(super) fn put(&mut self, seconds: i64, name: &str, properties: &Value) -> &mut Delivery {
        let at = start() + TimeDelta::seconds(seconds);
        let event_id = id::mint(at, (self.0.len() as u128 + 1).to_be_bytes()[6..].try_into().unwrap());
        self.put_body(
            seconds,
            name,
            &json!({"event_id": event_id, "chat_id": 1, "occurred_at": at, "properties": properties}),
        )
    }

    pub(super) fn put_body(&mut self, seconds: i64, name: &str, body: &Value) -> &mut Delivery {
        self.0.push(Delivery {
            stream: "ANALYTICS".to_owned(),
            sequence: self.0.len() as u64 + 1,
            // A little later each, as no two messages of a stream are received at one instant.
            received_at: start() + TimeDelta::seconds(seconds) + TimeDelta::microseconds(self.0.len() as i64 + 1),
            subject: format!("analytics.{name}"),
            headers: Vec::new(),
            body: serde_json::to_vec(body).unwrap().into(),
        });
        self.0.last_mut().unwrap()
    }

    pub(super) fn errors(&mut self, class: &str, seconds: impl IntoIterator<Item = i64>) -> &mut Self {
        for second in seconds {
            self.put(second, "error_occurred", &json!({"error_class": class}));
        }
        self
    }

    /// From noon to the last message.
    pub(super) fn minutes(&self) -> i64 {
        self.0.last().map_or(0, |last| (last.received_at - start()).num_minutes())
    }

    pub(super) fn observations(&self, rules: &Rules) -> Vec<Observation> {
        self.0.iter().map(|delivery| Observation::of(delivery, rules)).collect()
    }
}
