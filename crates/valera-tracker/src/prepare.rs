//! Makes of what the bot said what travels: concealed, checked, with an id minted at its time.
//!
//! Concealing comes first, so that the verdict is on the bytes that are sent, and so that a flawed event hides its personal
//! values too. The verdict is `check`'s, of the finished body, as the consumers will read it.
//!
//! It does not queue or count.

use crate::{event::Event, record::Record};
use chrono::{DateTime, SecondsFormat, SubsecRound, Utc};
use valera_events::{
    Headers, PseudonymKeys, Reason, Verdict, catalogue, check, id,
    json::{Node, write_string},
    privacy, subject,
};

/// The longest body that is sent, in bytes. The contract allows 64 KiB; what lies between survives as a dead letter.
pub const MAX_BODY: usize = 512 * 1024;

/// Ready to be queued.
pub(crate) struct Prepared {
    pub(crate) record: Record,
    /// What the contract has against it.
    pub(crate) flaws: Vec<Reason>,
}

/// `None` when the body would be longer than [`MAX_BODY`].
pub(crate) fn prepare(event: Event, keys: &PseudonymKeys, now: DateTime<Utc>) -> Option<Prepared> {
    let Event { name, chat_id, occurred_at, session_id, platform, mut properties, size } = event;
    if size.saturating_add(name.len()) > MAX_BODY {
        return None;
    }
    let occurred_at = occurred_at.unwrap_or(now).trunc_subsecs(6);
    let event_id = id::mint(occurred_at, rand::random());
    // A legal name is long enough for a phone number; a blotted one is not legal, and goes where illegal names go.
    let shown = privacy::scrub(&name);
    let subject = subject::of_event(&shown);
    privacy::conceal(&mut properties, catalogue::find(&shown), keys);

    let mut body = Vec::with_capacity(256 + size);
    let mut id_text = uuid::Uuid::encode_buffer();
    body.extend_from_slice(b"{\"event_id\":\"");
    body.extend_from_slice(event_id.hyphenated().encode_lower(&mut id_text).as_bytes());
    body.extend_from_slice(b"\",\"event_name\":");
    write_string(&shown, &mut body);
    body.extend_from_slice(b",\"chat_id\":");
    body.extend_from_slice(chat_id.to_string().as_bytes());
    body.extend_from_slice(b",\"occurred_at\":\"");
    body.extend_from_slice(occurred_at.to_rfc3339_opts(SecondsFormat::Micros, true).as_bytes());
    body.push(b'"');
    for (field, value) in [("session_id", session_id), ("platform", platform)] {
        if let Some(value) = value {
            body.extend_from_slice(format!(",\"{field}\":").as_bytes());
            write_string(&privacy::scrub(&value), &mut body);
        }
    }
    body.extend_from_slice(b",\"properties\":");
    Node::Object(properties).write(&mut body);
    body.push(b'}');
    if body.len() > MAX_BODY {
        return None;
    }

    let subject = subject.unwrap_or_else(|| subject::INVALID.to_owned());
    let flaws = match check(&subject, &Headers::default(), &body, now) {
        Verdict::Accepted(_) => Vec::new(),
        Verdict::Rejected(rejection) => rejection.reasons,
    };
    Some(Prepared { record: Record { event_id, subject, body: body.into() }, flaws })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn keys() -> PseudonymKeys {
        PseudonymKeys::parse("k1:000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f").unwrap()
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[0-9 +()@.a-z-]{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..4).prop_map(|map| json!(map)),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_a_bot_says_travels_as_an_object_with_an_id_of_its_time(
            name in prop_oneof![any::<String>(), "[a-z_]{1,9}", Just("ai_response_time".to_owned())],
            chat_id in any::<i64>(),
            properties in prop::collection::vec((any::<String>(), value()), 0..5),
            millis in any::<i32>(),
        ) {
            let at = DateTime::from_timestamp_millis(1_761_984_000_000 + i64::from(millis)).unwrap();
            let event = properties.into_iter().fold(Event::new(name.clone(), chat_id), |event, (key, value)| event.with(key, value));
            let prepared = prepare(event.at(at).session(name.clone()), &keys(), at).unwrap();
            let body: Value = serde_json::from_slice(&prepared.record.body).unwrap();
            let (id_text, legal) = (prepared.record.event_id.to_string(), subject::of_event(&privacy::scrub(&name)));
            prop_assert_eq!(body["chat_id"].as_i64(), Some(chat_id));
            prop_assert_eq!(body["event_id"].as_str(), Some(id_text.as_str()));
            prop_assert_eq!(id::millis(prepared.record.event_id), at.timestamp_millis());
            prop_assert_eq!(prepared.record.subject.as_str(), legal.as_deref().unwrap_or(subject::INVALID));
        }
    }

    #[test]
    fn a_phone_in_a_legal_name_is_blotted() {
        let prepared = prepare(Event::new("called_79165550123", 1), &keys(), Utc::now()).unwrap();
        let body = String::from_utf8(prepared.record.body.to_vec()).unwrap();
        assert!(!body.contains("79165550123"), "{body}");
        assert_eq!(prepared.record.subject, subject::INVALID);
        assert!(!prepared.flaws.is_empty());
    }

    #[test]
    fn a_property_that_is_set_twice_stands_once() {
        let event = Event::new("review_left", 1).with("stars", 1).with("stars", 5);
        let prepared = prepare(event, &keys(), Utc::now()).unwrap();
        assert!(prepared.flaws.is_empty(), "{:?}", prepared.flaws);
        assert!(prepared.record.body.ends_with(br#""properties":{"stars":5}}"#));
    }
}
