//! What holds for every message: a verdict without a panic, a stored form that is accepted again, and ids and
//! hashes that hang on exactly what they should.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use chrono::TimeDelta;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::json;
use support::{accept, arrival, content_key, received_at, verdict};
use valera_events::catalogue::EVENTS;
use valera_events::{Arrival, Event, Headers, PseudonymKeys, ReasonCode, Verdict, check, id};

/// The bodies of the golden good events with their subjects.
static GOOD: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(good);

fn good() -> Vec<(String, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/good");
    let folders = fs::read_dir(root).unwrap().map(|folder| folder.unwrap());
    folders
        .flat_map(|folder| {
            let subject = format!("analytics.{}", folder.file_name().to_str().unwrap());
            let files = fs::read_dir(folder.path()).unwrap();
            files.map(move |file| (subject.clone(), fs::read(file.unwrap().path()).unwrap())).collect::<Vec<_>>()
        })
        .collect()
}

/// Whatever the verdict, it has to be sound.
fn judge(subject: &str, body: &[u8]) {
    match verdict(subject, body) {
        Verdict::Accepted(event) => hold_accepted(&event, subject),
        Verdict::Rejected(rejection) => {
            assert!(!rejection.reasons.is_empty());
            assert!(rejection.reasons.iter().all(|reason| reason.path.len() < 700 && reason.expected.len() < 300));
            assert!(id::is_v7(rejection.event_id(None, &arrival())));
        }
    }
}

/// The stored form parses, is accepted again, and means the same; the pseudonymised one is accepted too.
fn hold_accepted(event: &Event<'_>, subject: &str) {
    assert!(id::is_v7(event.event_id(&arrival())));
    let mut pseudonymised = event.clone();
    pseudonymised.pseudonymise(&PseudonymKeys::parse(&format!("k1:{}", "0".repeat(64))).unwrap());
    judge_stored(&pseudonymised, subject);
    let stored = stored(event);
    let again = accept(subject, &stored);
    assert_eq!(properties(&again), properties(event));
    for property in event.spec.iter().flat_map(|spec| spec.properties) {
        assert_eq!(again.text(property.name), event.text(property.name));
        assert_eq!(again.integer(property.name), event.integer(property.name));
        assert_eq!(again.number(property.name), event.number(property.name));
    }
    assert_eq!(again.occurred_at, event.occurred_at);
    if again.properties == event.properties {
        assert_eq!(again.content_hash(&content_key()), event.content_hash(&content_key()));
    }
}

fn judge_stored(event: &Event<'_>, subject: &str) {
    accept(subject, &stored(event));
}

fn properties(event: &Event<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    event.write_properties(&mut out);
    serde_json::from_slice::<serde::de::IgnoredAny>(&out).unwrap();
    out
}

/// A body with everything that is stored of an event.
fn stored(event: &Event<'_>) -> Vec<u8> {
    let envelope = json!({
        "event_id": event.event_id(&arrival()),
        "chat_id": event.chat_id,
        "occurred_at": event.occurred_at.to_rfc3339(),
        "session_id": event.session_id,
        "platform": event.platform,
    });
    let mut body = envelope.to_string().into_bytes();
    body.pop();
    body.extend_from_slice(b",\"properties\":");
    body.extend(properties(event));
    body.push(b'}');
    body
}

fn subject() -> impl Strategy<Value = String> {
    let declared = EVENTS.iter().map(|spec| format!("analytics.{}", spec.name)).collect::<Vec<_>>();
    prop_oneof![8 => select(declared), 1 => Just("analytics.review_left".into()), 1 => ".{0,20}"]
}

fn scalar() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("null".into()),
        any::<bool>().prop_map(|b| b.to_string()),
        any::<i64>().prop_map(|n| n.to_string()),
        (0..3_i64).prop_map(|n| n.to_string()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,25})?([eE][-+]?[0-9]{1,4})?",
        "\"-?[0-9]{1,12}(\\.[0-9]{1,4})?\"",
        ".{0,12}".prop_map(|text| json!(text).to_string()),
        "\"(\\\\u(d83d|de00|0000|0041|D83D)|\\\\n|ж| ){0,5}\"",
    ]
}

/// Text of a JSON value, with duplicate keys, odd numbers and lone surrogates now and then.
fn any_json() -> impl Strategy<Value = String> {
    scalar().prop_recursive(5, 40, 6, |inner| {
        let key = prop_oneof![scalar().prop_filter("a string", |text| text.starts_with('"')), key().boxed()];
        prop_oneof![
            vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(" ,"))),
            vec((key, inner), 0..6).prop_map(|members| object(&members)),
        ]
    })
}

fn key() -> impl Strategy<Value = String> {
    let names = EVENTS.iter().flat_map(|spec| spec.properties).map(|property| property.name);
    let fixed = ["email", "VIN", "a", "b", "phone_number"];
    select(names.chain(fixed).map(|name| format!("\"{name}\"")).collect::<Vec<_>>())
}

fn object(members: &[(String, String)]) -> String {
    let members: Vec<String> = members.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    format!("{{{}}}", members.join(","))
}

/// A body whose fields are mostly right.
fn body() -> impl Strategy<Value = String> {
    let time =
        select(vec!["null", "\"2025-11-01T12:00:00.1234567Z\"", "\"2025-11-01T14:00:00+03:00\"", "\"x\"", "5"]);
    let property = (key(), prop_oneof![3 => scalar().boxed(), 1 => any_json().boxed()]);
    (vec(property, 0..8), time, -5..5_i64, any::<Option<bool>>()).prop_map(|(mut members, time, chat, session)| {
        members.sort();
        members.dedup_by(|a, b| a.0 == b.0);
        let session =
            session.map_or(String::new(), |good| if good { r#""session_id":"s","# } else { r#""x":1,"# }.into());
        format!(r#"{{"chat_id":{chat},{session}"occurred_at":{time},"properties":{}}}"#, object(&members))
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 250, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_get_a_verdict(subject in subject(), body in vec(any::<u8>(), 0..300)) {
        judge(&subject, &body);
    }

    #[test]
    fn arbitrary_json_gets_a_verdict(subject in subject(), body in any_json()) {
        judge(&subject, body.as_bytes());
        judge(&subject, format!(r#"{{"chat_id":1,"properties":{{"a":{body}}}}}"#).as_bytes());
    }

    #[test]
    fn likely_events_get_a_verdict(subject in subject(), body in body()) {
        judge(&subject, body.as_bytes());
    }

    #[test]
    fn mutated_good_events_get_a_verdict(
        which in any::<Index>(),
        edits in vec((any::<Index>(), any::<u8>(), 0..3_u8), 1..4),
        subject in subject(),
        own in any::<bool>(),
    ) {
        let (own_subject, mut body) = which.get(&GOOD).clone();
        for (at, byte, edit) in edits {
            let at = at.index(body.len());
            match edit {
                0 => body[at] = byte,
                1 => body.insert(at, byte),
                _ => { body.remove(at); }
            }
        }
        judge(if own { &own_subject } else { &subject }, &body);
    }

    #[test]
    fn the_hash_ignores_the_order_of_keys_and_white_space(
        members in vec(("[a-z\"ж]{0,4}", any_json()), 0..20),
        seed in any::<u64>(),
    ) {
        let members = members.iter().map(|(key, value)| (json!(key).to_string(), value.clone()));
        let mut members: Vec<(String, String)> = members.collect();
        members.sort();
        members.dedup_by(|a, b| a.0 == b.0);
        let one = format!(r#"{{"chat_id":1,"occurred_at":"2025-11-01T12:00:00Z","properties":{}}}"#, object(&members));
        members.sort_by_key(|(key, _)| key.bytes().fold(seed, |sum, byte| sum.rotate_left(9) ^ u64::from(byte)));
        let fields = "\"platform\":\"telegram\",\t\"occurred_at\" : \"2025-11-01T15:00:00+03:00\"\n,\"chat_id\":1";
        let other = format!("{{ \"properties\" :\n {} ,{fields}}}", object(&members));
        // Values with faults of their own have no hash.
        if let Verdict::Accepted(event) = verdict("analytics.review_left", one.as_bytes()) {
            let other = accept("analytics.review_left", other.as_bytes());
            prop_assert_eq!(event.content_hash(&content_key()), other.content_hash(&content_key()));
        }
    }

    #[test]
    fn derived_ids_are_deterministic_and_carry_the_time(back in 0..31_000_000_000_i64, msg_id in ".{1,40}") {
        let at = received_at() - TimeDelta::milliseconds(back);
        let body = format!(r#"{{"chat_id":1,"occurred_at":"{}"}}"#, at.to_rfc3339());
        let headers = Headers { msg_id: Some(&msg_id), ..Headers::default() };
        let Verdict::Accepted(event) = check("analytics.review_left", &headers, body.as_bytes(), received_at()) else {
            panic!("{body}")
        };
        let elsewhere = Arrival { stream: "OTHER", sequence: 9, received_at: received_at() + TimeDelta::days(1) };
        let id = event.event_id(&arrival());
        prop_assert!(id::is_v7(id));
        prop_assert_eq!(id::millis(id), at.timestamp_millis());
        prop_assert_eq!(id, event.event_id(&elsewhere));
        let anonymous = accept("analytics.review_left", body.as_bytes());
        prop_assert_ne!(anonymous.event_id(&arrival()), anonymous.event_id(&elsewhere));
    }
}

#[test]
fn a_hostile_body_is_judged_in_time() {
    let nested = format!(r#"{{"chat_id":1,"properties":{}1{}}}"#, "[".repeat(32_000), "]".repeat(32_000));
    let many = format!(r#"{{"chat_id":1,"properties":{{{}"a":1}}}}"#, r#""a":0,"#.repeat(10_000));
    let wide = format!(
        r#"{{"chat_id":1,"properties":{{"a":{}0{}}}}}"#,
        "[0,".repeat(29),
        format!("{}]", ",0".repeat(30_000)) + &"]".repeat(28)
    );
    let started = std::time::Instant::now();
    let Verdict::Rejected(rejection) = verdict("analytics.review_left", many.as_bytes()) else { panic!("accepted") };
    assert!(
        rejection.reasons.iter().all(|reason| reason.reason == ReasonCode::DuplicateKey)
            && rejection.reasons.len() <= 32
    );
    for body in [nested, wide] {
        judge("analytics.review_left", body.as_bytes());
    }
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

#[test]
fn decimals_in_strings_are_stored_as_numbers() {
    let body =
        br#"{"chat_id":1,"properties":{"price":"15000.50","service_name":"1.5","other":"2.5","quantity":null}}"#;
    let event = accept("analytics.service_added", body);
    let stored = String::from_utf8(properties(&event)).unwrap();
    assert_eq!(stored, r#"{"price":15000.50,"service_name":"1.5","other":"2.5","quantity":null}"#);
    assert_eq!((event.number("price"), event.text("service_name")), (Some("15000.50"), Some("1.5")));
    assert_eq!((event.integer("quantity"), event.text("other"), event.text("price")), (None, None, None));
}
