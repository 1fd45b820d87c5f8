//! What identifies an event: its content hash, its id, its time; and what of these a rejected one keeps.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking")]

mod support;

use chrono::{DateTime, Utc};
use support::{accept, arrival, content_key, received_at, verdict};
use valera_events::{ContentKey, Verdict, id};

fn hash(body: &str) -> [u8; 16] {
    accept("analytics.review_left", body.as_bytes()).content_hash(&content_key())
}

#[test]
fn the_hash_hangs_on_everything_but_the_id() {
    let base = r#"{"chat_id":1,"occurred_at":"2025-11-01T12:00:00Z","properties":{"a":[1,"1",{"b":null}],"c":1.5}}"#;
    let same = [
        base.replace("\"a\"", "\"\\u0061\""),
        base.replacen('{', "{\"event_name\":\"review_left\",\"session_id\":null,", 1),
        base.replacen('{', "{\"event_id\":\"019a3f48-ffa0-7000-8000-000000000000\",", 1),
    ];
    for body in same {
        assert_eq!(hash(base), hash(&body), "{body}");
    }
    let different = [
        base.replace("chat_id\":1", "chat_id\":2"),
        base.replace("00Z", "00.000001Z"),
        base.replacen('{', "{\"platform\":\"vk\",", 1),
        base.replacen('{', "{\"session_id\":\"s\",", 1),
        base.replace("[1,", "[1.0,"),
        base.replace("[1,", "[\"1\","),
        base.replace("[1,\"1\",", "[\"1\",1,"),
        base.replace("null", "false"),
        base.replace("{\"b\":null}", "{}"),
        base.replace("1.5", "1.50"),
        base.replace("\"c\"", "\"C\""),
        base.replace("[1,\"1\",{\"b\":null}]", "[1,\"1\"],\"b\":null"),
    ];
    let mut hashes: Vec<_> = different.iter().map(|body| hash(body)).chain([hash(base)]).collect();
    hashes.push(accept("analytics.review_sent", base.as_bytes()).content_hash(&content_key()));
    hashes.push(accept("analytics.review_left", base.as_bytes()).content_hash(&ContentKey::from_bytes([8; 32])));
    let total = hashes.len();
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), total);
}

#[test]
fn the_content_hash_never_changes() {
    let body = br#"{"chat_id":-7,"occurred_at":"2025-11-01T12:00:00.5Z","session_id":"s",
        "properties":{"b":[1.50,"x",null,true],"a":{}}}"#;
    let hash = accept("analytics.review_left", body).content_hash(&content_key());
    assert_eq!(data_encoding::HEXLOWER.encode(&hash), "f50fe87805ae17d14a7c9c4850bb4958");
}

#[test]
fn an_absent_time_is_when_the_message_was_received_cut_to_microseconds() {
    let event = accept("analytics.review_left", br#"{"chat_id":1}"#);
    assert_eq!(event.occurred_at, "2025-11-01T12:00:00.123456Z".parse::<DateTime<Utc>>().unwrap());
    assert_eq!(event.platform, "telegram");
    let with_id =
        accept("analytics.review_left", br#"{"chat_id":1,"event_id":"019A3F48-FFA0-7000-8000-000000000000"}"#);
    assert_eq!(with_id.occurred_at.timestamp_millis(), 1_761_998_340_000);
}

#[test]
fn a_rejected_event_keeps_a_usable_id_and_time() {
    let id = "019a3f48-ffa0-7000-8000-000000000000";
    let reject = |fields: &str| match verdict("analytics.review_left", format!("{{{fields}}}").as_bytes()) {
        Verdict::Rejected(rejection) => rejection,
        Verdict::Accepted(_) => panic!("{fields}"),
    };
    let sent = |fields: &str| reject(fields).sent_id.map(|id| id.to_string());
    let kept = Some(id.to_owned());
    assert_eq!(sent(&format!(r#""event_id":"{id}""#)), kept);
    assert_eq!(sent(&format!(r#""event_id":"{id}","occurred_at":"2025-11-01T11:00:00Z""#)), kept);
    assert_eq!(sent(&format!(r#""event_id":"{id}","occurred_at":"x""#)), kept);
    assert_eq!(sent(&format!(r#""event_id":"{id}","occurred_at":"2001-11-01T11:00:00Z""#)), kept);
    assert_eq!(sent(&format!(r#""event_id":"{id}","occurred_at":"2025-10-01T11:00:00Z""#)), None);
    assert_eq!(sent(r#""event_id":"00000000-0000-7000-8000-000000000000""#), None);
    let millis = |fields: &str| id::millis(reject(fields).event_id(None, &arrival()));
    assert_eq!(millis(r#""occurred_at":"2025-10-01T11:00:00Z""#), 1_759_316_400_000);
    assert_eq!(millis(r#""occurred_at":"2001-10-01T11:00:00Z""#), received_at().timestamp_millis());
}
