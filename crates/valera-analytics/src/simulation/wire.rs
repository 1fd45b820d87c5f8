//! An event as its publisher writes it: the three forms that the contract allows.
//!
//! Most come from the SDK (an id in body and header), some from a Rails job that has only an id of its own (header and
//! `occurred_at`, local time, nils as nulls), some from a script that sends a body and no header at all. What is
//! posted to the gateway is written as the SDK writes it.
//!
//! It does not make mistakes: `mistakes` does.

use chrono::{DateTime, SecondsFormat, Utc};
use rand::Rng;
use serde_json::{Value, json};
use uuid::Uuid;
use valera_events::{Origin, id, subject};

use super::{Kind, Message, Way, journey::Draft, rhythm::moscow};

/// Tells a job's id from an event's: the header must be unique over all event types.
const JOB: &str = "bot/job/";

/// The draft as a message.
pub(super) fn message(rng: &mut impl Rng, draft: &Draft) -> Message {
    let form = rng.random_range(0..100);
    match (Way::of(draft.chat_id), form) {
        (Way::Gateway, _) => Message { way: Way::Gateway, ..from_sdk(rng, draft) },
        (Way::Nats, 0..80) => from_sdk(rng, draft),
        (Way::Nats, 80..95) => from_job(rng, draft),
        (Way::Nats, _) => from_script(rng, draft),
    }
}

/// The same bytes again. Only where the body has an id of its own may the header be missing: a job's event without it would
/// be another event.
pub(super) fn repeated(rng: &mut impl Rng, original: &Message) -> Message {
    let nameless = original.msg_id.as_ref().is_none_or(|msg_id| !msg_id.starts_with(JOB) && rng.random_bool(0.5));
    let msg_id = if nameless { None } else { original.msg_id.clone() };
    Message { msg_id, kind: Kind::Duplicate, ..original.clone() }
}

/// A message of the simulated bot, by NATS.
pub(super) fn envelope(name: &str, msg_id: Option<String>, body: Vec<u8>, kind: Kind) -> Message {
    let subject = subject::of_event_or_invalid(name);
    Message { subject, msg_id, origin: Origin::Demo, body, kind, way: Way::Nats }
}

/// A fresh id for an event at `at`.
pub(super) fn mint(rng: &mut impl Rng, at: DateTime<Utc>) -> Uuid {
    id::mint(at, rng.random())
}

/// A time as the SDK writes it.
pub(super) fn rfc3339(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn from_sdk(rng: &mut impl Rng, draft: &Draft) -> Message {
    let event_id = mint(rng, draft.occurred_at).to_string();
    let body = json!({
        "event_id": event_id,
        "event_name": draft.name,
        "chat_id": draft.chat_id,
        "occurred_at": rfc3339(draft.occurred_at),
        "platform": "telegram",
        "properties": draft.properties,
    });
    envelope(draft.name, Some(event_id), bytes(&body), draft.kind)
}

fn from_job(rng: &mut impl Rng, draft: &Draft) -> Message {
    let job = format!("{JOB}{:016x}", rng.random::<u64>());
    let body = json!({
        "chat_id": draft.chat_id,
        "session_id": null,
        "occurred_at": moscow(draft.occurred_at).format("%Y-%m-%dT%H:%M:%S%.3f+03:00").to_string(),
        "properties": draft.properties,
    });
    envelope(draft.name, Some(job), bytes(&body), draft.kind)
}

fn from_script(rng: &mut impl Rng, draft: &Draft) -> Message {
    let event_id = mint(rng, draft.occurred_at);
    let body = json!({ "event_id": event_id, "chat_id": draft.chat_id, "properties": draft.properties });
    envelope(draft.name, None, bytes(&body), draft.kind)
}

fn bytes(body: &Value) -> Vec<u8> {
    body.to_string().into_bytes()
}
