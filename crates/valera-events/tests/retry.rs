//! A retry keeps the identity of what was rejected, and changes nothing that it was not told to change.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use chrono::TimeDelta;
use support::{accept, arrival, content_key, received_at, verdict};
use uuid::Uuid;
use valera_events::{
    Event, Headers, Verdict, check, id,
    retry::{NoObject, Patch, Rejected, Retry, is_of_letter, retry},
};

const SUBJECT: &str = "analytics.booking_request_created";

fn set(changes: &[&str]) -> Patch {
    let mut patch = Patch::default();
    changes.iter().for_each(|change| patch.set(change).unwrap());
    patch
}

/// As the persister names what it refuses.
fn rejected<'a>(body: &'a str, msg_id: Option<&str>) -> Rejected<'a> {
    let headers = Headers { msg_id, ..Headers::default() };
    let Verdict::Rejected(rejection) = check(SUBJECT, &headers, body.as_bytes(), received_at()) else {
        panic!("accepted: {body}")
    };
    let event_id = rejection.event_id(msg_id, &arrival());
    let letter_id = id::letter_id(event_id, body.as_bytes());
    Rejected { letter_id, event_id, subject: SUBJECT, body: body.as_bytes(), received_at: received_at() }
}

fn event(retry: &Retry) -> Event<'_> {
    accept(&retry.subject, &retry.body)
}

const LACKING: &str = r#"{"chat_id":1,"properties":{"booking_id":1,"estimated_total":15000.50}}"#;

#[test]
fn a_retry_keeps_the_id_and_the_time_that_the_rejected_message_stood_for() {
    let letter = rejected(LACKING, Some("booking/1"));
    let repaired = retry(&letter, &set(&["properties.services_count=1"]), false).unwrap();
    let event = event(&repaired);
    assert_eq!(event.sent_id, Some(letter.event_id));
    assert_eq!(event.occurred_at.timestamp_micros(), received_at().timestamp_micros());
    assert!(String::from_utf8_lossy(&repaired.body).contains("15000.50"), "a number has lost its spelling");

    let with_id = r#"{"event_id":"019a3e6e-307b-711b-8494-ca9a183adee1","chat_id":1}"#;
    let letter = rejected(with_id, None);
    let patch = set(&["properties.services_count=1", "properties.booking_id=1", "properties.estimated_total=1"]);
    let repaired = retry(&letter, &patch, false).unwrap();
    assert_eq!(self::event(&repaired).occurred_at, id::time(letter.event_id).unwrap());
    assert_eq!(self::event(&repaired).sent_id, Some(letter.event_id));
}

/// So that a retry under a mended catalogue closes the letter by its content, and a replay of the original is a
/// duplicate.
#[test]
fn an_unchanged_event_has_the_content_that_was_sent() {
    let full = r#"{ "chat_id": 1, "properties": {"services_count":1,"booking_id":1,"estimated_total":"2.50"} }"#;
    let sent = accept(SUBJECT, full.as_bytes());
    let letter = Rejected {
        letter_id: Uuid::nil(),
        event_id: sent.event_id(&arrival()),
        subject: SUBJECT,
        body: full.as_bytes(),
        received_at: received_at(),
    };
    let again = retry(&letter, &Patch::default(), false).unwrap();
    assert_eq!(event(&again).content_hash(&content_key()), sent.content_hash(&content_key()));
    assert_eq!(event(&again).sent_id, Some(letter.event_id));
}

#[test]
fn a_time_moved_out_of_the_ids_reach_brings_another_id_and_always_the_same() {
    let letter = rejected(LACKING, None);
    let moved = received_at() - TimeDelta::days(40);
    let moved = format!("occurred_at={}", moved.to_rfc3339());
    let patch = set(&["properties.services_count=1", &moved]);
    let (one, other) = (retry(&letter, &patch, false).unwrap(), retry(&letter, &patch, false).unwrap());
    assert_eq!(one, other);
    let event_id = event(&one).sent_id.unwrap();
    assert_ne!(event_id, letter.event_id);
    assert!(is_of_letter(event_id, letter.letter_id, letter.event_id));

    let as_new = retry(&letter, &set(&["properties.services_count=1"]), true).unwrap();
    let event_id = event(&as_new).sent_id.unwrap();
    assert_ne!(event_id, letter.event_id);
    assert!(is_of_letter(event_id, letter.letter_id, letter.event_id));
    assert!(!is_of_letter(id::mint(received_at(), [1; 10]), letter.letter_id, letter.event_id));
}

#[test]
fn what_is_wrong_with_a_time_stays_wrong_until_it_is_changed() {
    for at in ["yesterday", "2016-01-01T00:00:00Z"] {
        let body = LACKING.replacen('{', &format!(r#"{{"occurred_at":"{at}","#), 1);
        let letter = rejected(&body, None);
        let repaired = retry(&letter, &set(&["properties.services_count=1"]), false).unwrap();
        assert!(
            matches!(verdict(SUBJECT, &repaired.body), Verdict::Rejected(_)),
            "{at} was replaced without being told"
        );
    }
}

#[test]
fn the_subject_follows_a_name_that_the_patch_gives() {
    let body = br#"{"event_name":"Booking Created!","chat_id":1}"#;
    let event_id = id::mint(received_at(), [1; 10]);
    let letter = Rejected {
        letter_id: id::letter_id(event_id, body),
        event_id,
        subject: "analytics._invalid",
        body,
        received_at: received_at(),
    };
    assert_eq!(retry(&letter, &Patch::default(), false).unwrap().subject, "analytics._invalid");
    let repaired = retry(&letter, &set(&["event_name=ai_dialog_started"]), false).unwrap();
    assert_eq!(repaired.subject, "analytics.ai_dialog_started");
    event(&repaired);
}

#[test]
fn what_is_no_object_can_only_be_replaced() {
    let letter = rejected("not JSON", Some("a"));
    assert_eq!(retry(&letter, &set(&["chat_id=1"]), false), Err(NoObject::Another));
    let mut patch = Patch::default();
    patch.merge(LACKING.to_owned()).unwrap();
    patch.set("properties.services_count=1").unwrap();
    assert_eq!(event(&retry(&letter, &patch, false).unwrap()).sent_id, Some(letter.event_id));
}

#[test]
fn what_cannot_be_written_again_is_not_replaced_either() {
    let deep = format!("{}{}", r#"{"properties":"#.repeat(40), "1".to_owned() + &"}".repeat(40));
    let mut patch = set(&["chat_id=1"]);
    for _ in 0..2 {
        assert_eq!(retry(&rejected(&deep, None), &patch, false), Err(NoObject::Unreadable));
        patch.merge(r#"{"properties":null}"#.to_owned()).unwrap();
    }
}
