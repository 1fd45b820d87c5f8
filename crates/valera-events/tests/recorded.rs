//! A line of an export: it comes back as it was, and nothing else does.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::borrow::Cow;

use proptest::prelude::*;
use uuid::Uuid;
use valera_events::recorded::{LONGEST_LINE, Recorded, Unsealed, is_exported};
use valera_events::{ContentKey, Verdict, check};

fn key(byte: u8) -> ContentKey {
    ContentKey::from_bytes([byte; 32])
}

fn recorded<'a>(platform: &'a str, properties: &'a str, chat_id: i64) -> Recorded<'a> {
    Recorded {
        event_id: Uuid::from_u128(0x0192_f0c1_2345_7abc_8def_0123_4567_89ab),
        event_name: "review_left".into(),
        chat_id,
        occurred_at: "2024-11-03T12:00:00.000001Z".parse().unwrap(),
        session_id: "session \"1\"\n".into(),
        platform: Cow::Borrowed(platform),
        properties,
        content_hash: [7; 16],
        stream_seq: 42,
    }
}

fn line(recorded: &Recorded<'_>) -> Vec<u8> {
    let mut line = Vec::new();
    recorded.write(&key(1), &mut line);
    assert_eq!(line.pop(), Some(b'\n'));
    line
}

proptest! {
    #[test]
    fn what_was_written_is_read_back_to_the_last_digit(platform in "\\PC{0,20}", value in "\\PC{0,40}", chat_id: i64) {
        let properties = format!("{{\"price\": 1.500, \"text\": {}}}", serde_json::to_string(&value).unwrap());
        let stored = recorded(&platform, &properties, chat_id);
        let line = line(&stored);
        prop_assert!(!line.contains(&b'\n') && is_exported(&line));
        prop_assert_eq!(Recorded::read(&line, &key(1)), Ok(stored));
    }

    #[test]
    fn a_line_with_any_byte_changed_or_cut_off_is_refused(at in 0_usize..1_000, flip in 1_u8..=255) {
        let mut line = line(&recorded("telegram", "{\"a\": 1}", 7));
        let at = at % line.len();
        prop_assert!(Recorded::read(&line[..at], &key(1)).is_err());
        line[at] ^= flip;
        prop_assert!(Recorded::read(&line, &key(1)).is_err());
    }
}

#[test]
fn another_key_a_new_layout_and_a_plain_event_are_told_apart() {
    let line = line(&recorded("telegram", "{}", 7));
    assert_eq!(Recorded::read(&line, &key(2)), Err(Unsealed::Broken));
    let spaced = String::from_utf8(line.clone()).unwrap().replacen(',', ", ", 1);
    assert_eq!(Recorded::read(spaced.as_bytes(), &key(1)), Err(Unsealed::Broken));
    assert_eq!(Recorded::read(br#"{"event_name":"x","chat_id":1}"#, &key(1)), Err(Unsealed::NotExported));
    assert_eq!(Recorded::read(b"", &key(1)), Err(Unsealed::NotExported));
    assert!(!is_exported(br#"{"chat_id":1}"#));
}

#[test]
fn a_seal_never_changes() {
    let text = String::from_utf8(line(&recorded("telegram", "{\"a\": 1.50}", 7))).unwrap();
    assert_eq!(text, GOLDEN);
}

const GOLDEN: &str = concat!(
    r#"{"event_id":"0192f0c1-2345-7abc-8def-0123456789ab","event_name":"review_left","chat_id":7,"#,
    r#""occurred_at":"2024-11-03T12:00:00.000001Z","session_id":"session \"1\"\n","platform":"telegram","#,
    r#""properties":{"a": 1.50},"content_hash":"07070707070707070707070707070707","stream_seq":42,"#,
    r#""seal":"4767c06a25fe41e12872a5d6c8de6ed8"}"#
);

#[test]
fn the_body_of_what_is_stored_keeps_the_contract() {
    let stored = recorded("telegram", "{\"a\": 1.50}", 7);
    let body = stored.body();
    let received_at = stored.occurred_at;
    let Verdict::Accepted(event) = check("analytics.review_left", &Default::default(), &body, received_at) else {
        panic!("{}", String::from_utf8_lossy(&body));
    };
    assert_eq!((event.sent_id, event.chat_id), (Some(stored.event_id), 7));
}

#[test]
fn the_longest_event_that_is_accepted_makes_no_longer_line_than_is_read() {
    // Each such number is sent in 6 bytes with its comma, and Postgres spells it in 309 digits, a comma and a space.
    const { assert!(64 * 1024 / 6 * 311 + 64 * 1024 < LONGEST_LINE) };
}
