//! An event as the bot says it: a name, a chat, properties.
//!
//! Values are taken as JSON values, so that nothing the bot can say fails here; what the contract has against it is told by
//! [`Tracker::track`](crate::Tracker::track), and travels all the same.
//!
//! It does not check or conceal anything: `prepare` does.

use chrono::{DateTime, Utc};
use serde_json::Value;
use std::{borrow::Cow, time::Duration};
use valera_events::json::{MAX_DEPTH, Members, Node};

/// The confidence of a suggestion whose model gave none.
pub const DEFAULT_CONFIDENCE: f64 = 0.8;

/// The greatest duration that the contract knows, in milliseconds.
const LONGEST_MS: u128 = 2_147_483_647;

/// What is nested deeper is flawed for certain, and walking it could exhaust the host's stack.
const CUT_DEPTH: usize = 2 * MAX_DEPTH;

/// An event under construction. The constructors are named for the catalogue; [`Event::new`] takes any other name.
///
/// ```
/// use valera_tracker::Event;
/// let event = Event::new("review_left", 42).with("stars", 5).with("text", "Спасибо!");
/// ```
#[derive(Debug, Clone)]
pub struct Event {
    pub(crate) name: Cow<'static, str>,
    pub(crate) chat_id: i64,
    pub(crate) occurred_at: Option<DateTime<Utc>>,
    pub(crate) session_id: Option<String>,
    pub(crate) platform: Option<String>,
    pub(crate) properties: Members<'static>,
    /// At least as long as the texts in `properties`, in bytes.
    pub(crate) size: usize,
}

impl Event {
    /// An event of any name; one that is no `[a-z][a-z0-9_]{0,49}` ends in the dead letters.
    pub fn new(name: impl Into<Cow<'static, str>>, chat_id: i64) -> Self {
        Self {
            name: name.into(),
            chat_id,
            occurred_at: None,
            session_id: None,
            platform: None,
            properties: Vec::with_capacity(4),
            size: 0,
        }
    }

    /// Sets a property; of one that is set twice the last value stands. What is nested deeper than 64 levels is cut.
    #[must_use]
    pub fn with(mut self, key: impl Into<Cow<'static, str>>, value: impl Into<Value>) -> Self {
        let key = key.into();
        self.size += key.len();
        let node = node(value.into(), CUT_DEPTH, &mut self.size);
        match self.properties.iter_mut().find(|(known, _)| *known == key) {
            Some((_, known)) => *known = node,
            None => self.properties.push((key, node)),
        }
        self
    }

    /// Sets when it occurred; else it is when it is tracked. Cut to microseconds.
    #[must_use]
    pub fn at(self, occurred_at: DateTime<Utc>) -> Self {
        Self { occurred_at: Some(occurred_at), ..self }
    }

    /// Sets the session, 1 to 64 characters; else the persister derives one from chat and local day.
    #[must_use]
    pub fn session(self, session_id: impl Into<String>) -> Self {
        Self { session_id: Some(session_id.into()), ..self }
    }

    /// Sets the messenger, 1 to 20 characters; else it is `telegram`.
    #[must_use]
    pub fn platform(self, platform: impl Into<String>) -> Self {
        Self { platform: Some(platform.into()), ..self }
    }

    /// `ai_dialog_started`. [`Tracker::dialog_started`](crate::Tracker::dialog_started) sends it once a day.
    pub fn dialog_started(chat_id: i64, message_type: &str) -> Self {
        Self::new("ai_dialog_started", chat_id).with("message_type", message_type)
    }

    /// `service_suggested`; a confidence is 0 to 1, and [`DEFAULT_CONFIDENCE`] where the model gave none.
    pub fn service_suggested(chat_id: i64, service_name: &str, confidence: Option<f64>) -> Self {
        Self::new("service_suggested", chat_id)
            .with("service_name", service_name)
            .with("confidence_score", confidence.unwrap_or(DEFAULT_CONFIDENCE))
    }

    /// `service_added`; `price` is of one, in roubles, a number or a decimal string.
    pub fn service_added(chat_id: i64, service_name: &str, quantity: u32, price: impl Into<Value>) -> Self {
        Self::new("service_added", chat_id)
            .with("service_name", service_name)
            .with("quantity", quantity)
            .with("price", price)
    }

    /// `cart_confirmed`; `total_amount` is in roubles, a number or a decimal string.
    pub fn cart_confirmed(chat_id: i64, services_count: u32, total_amount: impl Into<Value>) -> Self {
        Self::new("cart_confirmed", chat_id).with("services_count", services_count).with("total_amount", total_amount)
    }

    /// `booking_request_created`; an id is an integer or a text, `estimated_total` is in roubles, a number or a decimal
    /// string. `processing_time_ms` and `user_segment` may be added.
    pub fn booking_created(
        chat_id: i64,
        booking_id: impl Into<Value>,
        services_count: u32,
        estimated_total: impl Into<Value>,
    ) -> Self {
        Self::new("booking_request_created", chat_id)
            .with("booking_id", booking_id)
            .with("services_count", services_count)
            .with("estimated_total", estimated_total)
    }

    /// `ai_suggestion_accepted`.
    pub fn suggestion_accepted(chat_id: i64, service_name: &str) -> Self {
        Self::new("ai_suggestion_accepted", chat_id).with("service_name", service_name)
    }

    /// `ai_response_time`, in whole milliseconds, at most 24 days.
    pub fn response_time(chat_id: i64, duration: Duration, model: &str) -> Self {
        let now = Utc::now();
        Self::new("ai_response_time", chat_id)
            .with("duration_ms", duration.as_millis().min(LONGEST_MS) as i64)
            .with("model_used", model)
            .with("timestamp", now.timestamp_micros() as f64 / 1e6)
            .at(now)
    }

    /// `error_occurred`.
    pub fn error(chat_id: i64, class: &str, message: &str, context: &str) -> Self {
        Self::new("error_occurred", chat_id)
            .with("error_class", class)
            .with("error_message", message)
            .with("context", context)
    }
}

fn node(value: Value, levels: usize, size: &mut usize) -> Node<'static> {
    match value {
        Value::Null => Node::Null,
        Value::Bool(value) => Node::Bool(value),
        Value::Number(number) => Node::Number(Cow::Owned(number.to_string())),
        Value::String(text) => {
            *size += text.len();
            Node::String(Cow::Owned(text))
        }
        Value::Array(_) | Value::Object(_) if levels == 0 => Node::Null,
        Value::Array(items) => {
            *size += items.len();
            Node::Array(items.into_iter().map(|item| node(item, levels - 1, size)).collect())
        }
        Value::Object(members) => {
            let member = |(key, value): (String, Value)| {
                *size += key.len();
                (Cow::Owned(key), node(value, levels - 1, size))
            };
            Node::Object(members.into_iter().map(member).collect())
        }
    }
}
