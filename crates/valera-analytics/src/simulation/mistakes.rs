//! Events that must be rejected, each a mistake that a developer makes.
//!
//! Every one has exactly one thing wrong, so that its reason is known beforehand and the dead letters can be counted
//! against it. None is sent twice: without a usable id, two copies would be two letters.
//!
//! It does not ask the contract for its verdict; that would prove the contract against itself.

use chrono::{DateTime, TimeDelta, Utc};
use rand::Rng;
use serde_json::{Map, Value, json};
use uuid::Builder;
use valera_events::id;

use super::{
    Kind, Message, Way,
    journey::Draft,
    rhythm::MOSCOW,
    wire::{envelope, mint, rfc3339},
};

/// A mistake: the reason of its dead letter, the event it happens to, and how the body goes wrong.
struct Mistake {
    reason: &'static str,
    event: &'static str,
    spoil: fn(&mut Spoiled),
}

/// A correct event that is about to be spoiled.
struct Spoiled {
    body: Map<String, Value>,
    occurred_at: DateTime<Utc>,
    now: DateTime<Utc>,
    random: [u8; 16],
}

const MISTAKES: &[Mistake] = &[
    // A property was renamed in the bot only.
    Mistake {
        reason: "missing_property",
        event: "booking_request_created",
        spoil: |it| it.property("services_count", None),
    },
    // A label instead of the measurement.
    Mistake {
        reason: "wrong_type",
        event: "ai_response_time",
        spoil: |it| it.property("duration_ms", Some(json!("fast"))),
    },
    // `params[:chat_id]` is a string in Rails.
    Mistake { reason: "bad_chat_id", event: "service_added", spoil: Spoiled::quote_the_chat },
    Mistake { reason: "missing_chat_id", event: "error_occurred", spoil: |it| it.field("chat_id", None) },
    // The wall clock of Moscow, labelled as UTC.
    Mistake { reason: "occurred_at_out_of_range", event: "cart_confirmed", spoil: Spoiled::label_local_time_as_utc },
    // `Time.current.to_s` instead of `iso8601`.
    Mistake { reason: "bad_occurred_at", event: "ai_dialog_started", spoil: Spoiled::print_the_time },
    // `SecureRandom.uuid` makes a version 4.
    Mistake { reason: "bad_event_id", event: "ai_suggestion_accepted", spoil: Spoiled::take_a_random_id },
    // A percentage instead of a share.
    Mistake {
        reason: "out_of_range",
        event: "service_suggested",
        spoil: |it| it.property("confidence_score", Some(json!(87))),
    },
    // A property put beside the properties.
    Mistake {
        reason: "unknown_field",
        event: "service_added",
        spoil: |it| it.field("service_name", Some(json!("рихтовка крыла"))),
    },
    // A class was renamed, the subject was not.
    Mistake {
        reason: NAME_MISMATCH,
        event: "booking_request_created",
        spoil: |it| it.field("event_name", Some(json!("booking_created"))),
    },
    // `hash.to_s` instead of `to_json`; `message` turns the finished body into it.
    Mistake { reason: NOT_JSON, event: "ai_dialog_started", spoil: |_| {} },
];

const NAME_MISMATCH: &str = "name_mismatch";
const NOT_JSON: &str = "not_json";

/// How many mistakes belong among so many events: each once in anything worth a demo, and one in 500 beyond.
pub(super) fn how_many(events: usize) -> usize {
    (events / 10).min(MISTAKES.len()).max(events / 500)
}

/// The mistake with this number (they repeat after the last), in the chat and about the time of another event.
pub(super) fn message(rng: &mut impl Rng, number: usize, like: &Draft, now: DateTime<Utc>) -> Message {
    let mistake = &MISTAKES[number % MISTAKES.len()];
    let occurred_at = like.published_at;
    let body = correct(rng, mistake.event, like.chat_id, occurred_at);
    let mut it = Spoiled { body, occurred_at, now, random: rng.random() };
    (mistake.spoil)(&mut it);
    let msg_id = it.body.get("event_id").and_then(Value::as_str).map(str::to_owned);
    let text = Value::Object(it.body).to_string();
    let text = if mistake.reason == NOT_JSON { text.replace("\":", "\"=>") } else { text };
    let message = envelope(mistake.event, msg_id, text.into_bytes(), Kind::Bad(mistake.reason));
    // The gateway has no subject that the body could contradict, and keeps nothing that is no JSON.
    let way = if [NAME_MISMATCH, NOT_JSON].contains(&mistake.reason) { Way::Nats } else { Way::of(like.chat_id) };
    Message { way, ..message }
}

/// A correct event of this name.
fn correct(rng: &mut impl Rng, event: &str, chat_id: i64, occurred_at: DateTime<Utc>) -> Map<String, Value> {
    let properties = match event {
        "booking_request_created" => {
            json!({ "booking_id": 1, "services_count": 1, "estimated_total": "15000.5" })
        }
        "ai_response_time" => json!({ "duration_ms": 1_200, "model_used": "deepseek-chat" }),
        "service_suggested" => {
            json!({ "service_name": "полировка кузова", "confidence_score": 0.87 })
        }
        _ => json!({}),
    };
    Map::from_iter([
        ("event_id".to_owned(), json!(mint(rng, occurred_at))),
        ("event_name".to_owned(), json!(event)),
        ("chat_id".to_owned(), json!(chat_id)),
        ("occurred_at".to_owned(), json!(rfc3339(occurred_at))),
        ("properties".to_owned(), properties),
    ])
}

impl Spoiled {
    /// Sets a top-level field, or removes it.
    fn field(&mut self, name: &str, value: Option<Value>) {
        set(&mut self.body, name, value);
    }

    /// Sets a property, or removes it.
    fn property(&mut self, name: &str, value: Option<Value>) {
        if let Some(Value::Object(properties)) = self.body.get_mut("properties") {
            set(properties, name, value);
        }
    }

    fn quote_the_chat(&mut self) {
        let quoted = self.body.get("chat_id").map(|chat| json!(chat.to_string()));
        self.field("chat_id", quoted);
    }

    fn label_local_time_as_utc(&mut self) {
        // Only what has just happened lands in the future this way.
        let occurred_at = self.now - TimeDelta::minutes(1) + MOSCOW;
        let [random @ .., _, _, _, _, _, _] = self.random;
        self.field("event_id", Some(json!(id::mint(occurred_at, random))));
        self.field("occurred_at", Some(json!(rfc3339(occurred_at))));
    }

    fn print_the_time(&mut self) {
        let printed = self.occurred_at.format("%Y-%m-%d %H:%M:%S UTC").to_string();
        self.field("occurred_at", Some(json!(printed)));
    }

    fn take_a_random_id(&mut self) {
        self.field("event_id", Some(json!(Builder::from_random_bytes(self.random).into_uuid())));
    }
}

fn set(object: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    match value {
        Some(value) => object.insert(name.to_owned(), value),
        None => object.remove(name),
    };
}
