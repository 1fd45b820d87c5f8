//! Pseudonyms and blots equal the golden vectors, and no canary survives.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use valera_events::privacy::{conceal_body, is_pseudonym, pseudonymise_body, scrub};
use valera_events::{Event, Headers, PseudonymKeys, Verdict, check};

#[derive(Deserialize)]
struct Pseudonyms {
    key: String,
    vectors: Vec<Pseudonym>,
}

#[derive(Deserialize)]
struct Pseudonym {
    field: String,
    value: String,
    pseudonym: String,
}

#[derive(Deserialize)]
struct Scrub {
    text: String,
    scrubbed: String,
}

fn golden<T: DeserializeOwned>(name: &str) -> T {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    serde_json::from_slice(&fs::read(file).unwrap()).unwrap()
}

fn keys() -> PseudonymKeys {
    PseudonymKeys::parse(&golden::<Pseudonyms>("pseudonyms.json").key).unwrap()
}

fn accept<'a>(subject: &'a str, body: &'a [u8]) -> Event<'a> {
    match check(subject, &Headers::default(), body, "2025-11-01T12:00:00Z".parse().unwrap()) {
        Verdict::Accepted(event) => event,
        Verdict::Rejected(rejection) => panic!("{:?}", rejection.reasons),
    }
}

/// The stored properties of an event with these properties.
fn stored(event: &str, properties: &Value) -> Value {
    let (subject, body) =
        (format!("analytics.{event}"), json!({ "chat_id": 1, "properties": properties }).to_string());
    let mut event = accept(&subject, body.as_bytes());
    event.pseudonymise(&keys());
    let mut once = Vec::new();
    event.write_properties(&mut once);
    event.pseudonymise(&keys());
    let mut twice = Vec::new();
    event.write_properties(&mut twice);
    assert_eq!(once, twice, "a second time changes nothing");
    serde_json::from_slice(&once).unwrap()
}

#[test]
fn pseudonyms_equal_the_golden_vectors() {
    for vector in golden::<Pseudonyms>("pseudonyms.json").vectors {
        let stored = stored("review_left", &json!({ (vector.field.as_str()): vector.value }));
        assert_eq!(stored[&vector.field], vector.pseudonym, "{} {:?}", vector.field, vector.value);
        assert!(is_pseudonym(&vector.pseudonym));
    }
}

#[test]
fn scrubbed_texts_equal_the_golden_vectors() {
    for vector in golden::<Vec<Scrub>>("scrub.json") {
        assert_eq!(scrub(&vector.text), vector.scrubbed, "{}", vector.text);
    }
}

#[test]
fn personal_keys_match_at_any_depth_and_in_any_case() {
    let sent = json!({
        "Phone_Number": 79161234567_i64,
        "car": [{ "VIN": ["XTA1", { "year": 2020, "known": true, "note": null }] }],
        "email": null,
    });
    let stored = stored("cart_confirmed", &sent);
    for place in ["/Phone_Number", "/car/0/VIN/0", "/car/0/VIN/1/year"] {
        assert!(is_pseudonym(stored.pointer(place).unwrap().as_str().unwrap()), "{place}: {stored}");
    }
    assert_eq!(stored.pointer("/car/0/VIN/1/known"), Some(&Value::Bool(true)));
    assert_eq!((&stored["email"], &stored["car"][0]["VIN"][1]["note"]), (&Value::Null, &Value::Null));
}

#[test]
fn free_text_is_scrubbed_and_plain_properties_are_not() {
    let phone = "+7 916 123-45-67";
    let sent = json!({
        "error_class": phone, "error_message": phone, "context": phone, "extra": [{ "note": phone }],
        "n": 89161234567_i64,
    });
    let expected = json!({
        "error_class": phone, "error_message": "[phone]", "context": phone, "extra": [{ "note": "[phone]" }],
        "n": 89161234567_i64,
    });
    assert_eq!(stored("error_occurred", &sent), expected);
}

/// The body of a message as it may be published.
fn published(subject: &str, body: &str) -> Option<String> {
    let published = pseudonymise_body(subject, body.as_bytes(), &keys());
    published.map(|body| String::from_utf8(body.into_owned()).unwrap())
}

#[test]
fn a_published_body_is_stored_as_the_one_it_was_made_from() {
    let subject = "analytics.booking_request_created";
    let body = r#"{"chat_id": 1, "occurred_at": "2025-11-01T12:00:00Z", "properties": {"booking_id": 7,
        "services_count": 1, "estimated_total": "15000.50", "price": 1.50, "customer_phone": "8 916 123-45-67",
        "note": "call +7 916 123-45-67"}}"#;
    let published = published(subject, body).unwrap();
    assert!(!published.contains("916") && published.contains("[phone]"), "{published}");
    let stored = |body: &str| {
        let mut event = accept(subject, body.as_bytes());
        event.pseudonymise(&keys());
        let mut stored = Vec::new();
        event.write_properties(&mut stored);
        String::from_utf8(stored).unwrap()
    };
    assert_eq!(stored(&published), stored(body));
}

#[test]
fn a_body_without_personal_values_is_published_byte_for_byte() {
    for body in [
        r#"{ "chat_id" : 1,"properties":{"n":1.50, "text":"\u0041 / \/"} , "chat_id":2}"#,
        r#"{"chat_id":"+7 916 123-45-67"}"#,
        "{}",
    ] {
        assert_eq!(published("analytics.review_left", body).as_deref(), Some(body));
    }
}

#[test]
fn a_flawed_body_loses_its_personal_values_too() {
    let phone = "+7 916 123-45-67";
    for (subject, body) in [
        ("analytics.booking_request_created", json!({"properties": {"email": "a@b.ru", "note": phone}})),
        ("analytics._invalid", json!({"chat_id": 1, "properties": {"Phone_Number": phone}})),
        ("analytics.review_left", json!({"chat_id": 1, "phone_number": 79_161_234_567_i64, "note": phone})),
        ("analytics.review_left", json!({"chat_id": 1, "properties": [phone, {"vin": "XTA1"}]})),
    ] {
        let published = published(subject, &body.to_string()).unwrap();
        for trace in ["916", "a@b", "XTA1"] {
            assert!(!published.contains(trace), "{published}");
        }
        assert!(serde_json::from_str::<Value>(&published).unwrap().is_object());
    }
}

#[test]
fn a_body_that_nothing_can_vouch_for_is_not_published() {
    let deep = format!(r#"{{"properties":{}"+7 916 123-45-67"{}}}"#, "[".repeat(40), "]".repeat(40));
    let faults: Vec<_> = (0..40).map(|n| format!(r#""k{n}":1e999"#)).collect();
    let many = format!(r#"{{{},"properties":{}1{}}}"#, faults.join(","), "[".repeat(40), "]".repeat(40));
    let unpaired = r#"{"properties":{"note":"\ud83d"}}"#;
    for body in ["call +7 916 123-45-67", "[]", r#"{"chat_id":1} {"email":"a@b.ru"}"#, unpaired, &deep, &many] {
        assert_eq!(published("analytics.review_left", body), None, "{body}");
    }
}

fn phone() -> impl Strategy<Value = String> {
    let form = prop::sample::select(vec![
        "+7 (AAA) BBB-CC-DD",
        "8 (AAA) BBB-CC-DD",
        "8AAABBBCCDD",
        "7AAABBBCCDD",
        "+7AAABBBCCDD",
        "8-AAA-BBB-CC-DD",
        "8 AAA BBB CC DD",
        "8(AAA)BBBCCDD",
        "+7.AAA.BBB.CC.DD",
        "AAABBBCCDD",
        "AAA BBB-CC-DD",
        "8 AAA BBBCCDD",
    ]);
    (form, 900..999_u32, 0..1000_u32, 0..100_u32, 0..100_u32).prop_map(|(form, a, b, c, d)| {
        form.replace("AAA", &format!("{a:03}"))
            .replace("BBB", &format!("{b:03}"))
            .replace("CC", &format!("{c:02}"))
            .replace("DD", &format!("{d:02}"))
    })
}

fn card() -> impl Strategy<Value = String> {
    let separator = prop::sample::select(vec!["", " ", "-"]);
    (separator, "[3-6][0-9]{14}").prop_map(|(separator, digits)| {
        let sum: u32 = digits
            .bytes()
            .rev()
            .enumerate()
            .map(|(place, byte)| {
                let digit = u32::from(byte - b'0') * if place % 2 == 0 { 2 } else { 1 };
                digit / 10 + digit % 10
            })
            .sum();
        let digits = format!("{digits}{}", (10 - sum % 10) % 10);
        [&digits[..4], &digits[4..8], &digits[8..12], &digits[12..]].join(separator)
    })
}

/// Text around a canary: anything but what would make other numbers or addresses of it.
fn around() -> impl Strategy<Value = String> {
    prop::string::string_regex("([a-zа-я]{0,9}[ ,:;!?\n\"<>#]{1,3}){0,4}").unwrap()
}

/// Characters of which addresses and numbers are made, so that hits are many.
fn digits_and_marks() -> impl Strategy<Value = String> {
    prop::string::string_regex("([0-9]{1,11}|[-+() .@a-fx\u{a0}/]|\\+7|8|0\\.|@x\\.ru|916){0,40}").unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_canary_survives(
        before in around(),
        after in around(),
        phone in phone(),
        card in card(),
        email in "[a-z][a-z.0-9_+-]{0,9}@[a-z0-9]{1,9}\\.[a-z]{2,4}",
    ) {
        for (canary, blot) in [(&phone, "[phone]"), (&card, "[card]")] {
            let scrubbed = scrub(&format!("{before}{canary}{after}")).into_owned();
            prop_assert_eq!(scrubbed, format!("{before}{blot}{after}"), "{}", canary);
        }
        // Letters that touch an address belong to it, so what is left around it varies.
        let scrubbed = scrub(&format!("{before}{email}{after}")).into_owned();
        prop_assert!(scrubbed.contains("[email]") && !scrubbed.contains('@'), "{}", scrubbed);
    }

    #[test]
    fn scrubbing_is_idempotent_and_bounded(text in prop_oneof![digits_and_marks(), ".{0,200}"]) {
        let once = scrub(&text).into_owned();
        prop_assert!(once.len() <= 2 * text.len());
        prop_assert_eq!(scrub(&once), once.as_str(), "from {}", text);
    }

    #[test]
    fn ids_times_and_short_numbers_survive(
        id in any::<[u8; 16]>(), seconds in 0..4_000_000_000_i64, order in 0..1_000_000_000_u64,
    ) {
        let time = chrono::DateTime::from_timestamp(seconds, 123_456_000).unwrap();
        for text in [
            uuid::Uuid::from_bytes(id).to_string(), time.to_rfc3339(), time.to_string(), order.to_string(),
            format!("заказ №{order} в {time}"), time.format("%s").to_string(), time.format("%s.%6f").to_string(),
        ] {
            prop_assert_eq!(scrub(&text), text.as_str());
        }
        if seconds > 1_000_000_000 {
            for millis in [time.timestamp_millis(), time.timestamp_micros()] {
                let text = millis.to_string();
                prop_assert!(!text.starts_with('1') || scrub(&text) == text.as_str());
            }
        }
    }
}

/// The properties of an event as the SDK sends them.
fn sent(event: &str, properties: &Value) -> Value {
    let (subject, body) =
        (format!("analytics.{event}"), json!({ "chat_id": 1, "properties": properties }).to_string());
    let mut members = accept(&subject, body.as_bytes()).properties;
    let spec = valera_events::catalogue::find(event);
    valera_events::privacy::conceal(&mut members, spec, &keys());
    let once = members.clone();
    valera_events::privacy::conceal(&mut members, spec, &keys());
    assert_eq!(members, once, "concealing twice is not concealing once");
    let mut text = Vec::new();
    valera_events::json::Node::Object(members).write(&mut text);
    serde_json::from_slice(&text).unwrap()
}

#[test]
fn the_sdk_looks_at_plain_texts_too_and_keeps_ids_apart() {
    let error = sent("error_occurred", &json!({"context": "call +7 916 555-01-23", "error_class": "Net::Timeout"}));
    assert_eq!(error, json!({"context": "call [phone]", "error_class": "Net::Timeout"}));
    let booking = |id: &str| {
        let properties = json!({"booking_id": id, "services_count": 1, "estimated_total": "79165550123"});
        sent("booking_request_created", &properties)
    };
    let (one, same, other) = (booking("79165550123"), booking("79165550123"), booking("79165550124"));
    assert!(is_pseudonym(one["booking_id"].as_str().unwrap()), "{one}");
    assert_eq!(one, same);
    assert_ne!(one["booking_id"], other["booking_id"]);
    // A price is a number, however it is written.
    assert_eq!(one["estimated_total"], "79165550123");
    assert_eq!(booking("bk-1042")["booking_id"], "bk-1042");
}

#[test]
fn a_body_is_concealed_as_the_sdk_conceals_and_its_envelope_too() {
    let concealed = |body: &Value| -> Value {
        let text = body.to_string();
        let once = conceal_body("analytics.error_occurred", text.as_bytes(), &keys()).unwrap();
        assert_eq!(conceal_body("analytics.error_occurred", &once, &keys()).unwrap(), once, "twice is not once");
        serde_json::from_slice(&once).unwrap()
    };
    let properties = json!({"context": "call +7 916 555-01-23", "error_class": "a@example.org"});
    let said = concealed(&json!({
        "event_id": "for +7 916 555-01-23", "chat_id": "8 916 555-01-23", "occurred_at": ["a@example.org"],
        "session_id": "+79165550123", "platform": "8(916)5550123", "properties": properties,
    }));
    assert_eq!(said["properties"], sent("error_occurred", &properties));
    let blotted = json!(["for [phone]", "[phone]", ["[email]"], "[phone]", "[phone]"]);
    assert_eq!(
        json!(["event_id", "chat_id", "occurred_at", "session_id", "platform"].map(|field| &said[field])),
        blotted
    );
    let whole = json!({
        "event_id": "01976520-1234-7123-8123-916555012345", "chat_id": "79165550123",
        "occurred_at": "2026-11-28 09:16:55 UTC", "session_id": "chat-42", "platform": "telegram",
    });
    assert_eq!(concealed(&whole), whole);
}
