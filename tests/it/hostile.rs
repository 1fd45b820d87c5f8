//! What no client library would send, but anybody with a socket can: it must not stop the events behind it.

use crate::support::{System, assert_rollups_agree, event};
use chrono::Utc;
use serde_json::json;
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::Duration,
};

/// Publishes with the bytes of subject and headers as they are.
pub(crate) fn publish_raw(system: &System, subject: &[u8], headers: &[u8], body: &[u8]) {
    let address = system.local.nats.url().replace("nats://", "");
    let mut stream = TcpStream::connect(address).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap()).split(b'\n');
    let mut message = b"CONNECT {\"verbose\":false,\"headers\":true,\"protocol\":1}\r\nHPUB ".to_vec();
    message.extend_from_slice(subject);
    message.extend(format!(" {} {}\r\n", headers.len(), headers.len() + body.len()).into_bytes());
    message.extend_from_slice(headers);
    message.extend_from_slice(body);
    message.extend_from_slice(b"\r\nPING\r\n");
    stream.write_all(&message).unwrap();
    let answered = lines.by_ref().map_while(Result::ok).any(|line| line.starts_with(b"PONG"));
    assert!(answered, "the broker refused the message");
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_headers_and_subjects_do_not_stop_the_events_behind_them() {
    let hostile: [(&[u8], &[u8]); 12] = [
        (b"analytics.review_left", b"NATS/1.0\r\nX-Name: \xff\xfe\r\n\r\n"),
        (b"analytics.review_left", b"NATS/1.0\r\nno colon\r\n\r\n"),
        (b"analytics.review_left", b"NATS/1.0\r\nno t oken\xd0\xb6: x\r\n\r\n"),
        (b"analytics.review_left", b"NATS/1.0\r\n: x\r\n\r\n"),
        (b"analytics.review_left", b"NATS/1.0 99999\r\n\r\n"),
        (b"analytics.review_left", b"NATS/1.0 409 Consumer Deleted\r\n\r\n"),
        (b"analytics.review_left", b"NATS/1.0 100 Idle Heartbeat\r\n\r\n"),
        (b"analytics.review_left", b"NATS/1.0 408 Request Timeout\r\nNats-Pending-Messages: 9999\r\n\r\n"),
        // The client library panics at this one.
        (b"analytics.review_left", b"NATS/1.0\r\nX-Name: a\rb\r\n\r\n"),
        (b"analytics.review_left", b"HTTP/1.1\r\nA: b\r\n\r\n"),
        (b"analytics.\xff\xfe", b"NATS/1.0\r\nA: b\r\n\r\n"),
        (b"analytics.review_left", b"NATS/1.0\r\nA: \0\x01\x7f\r\n\r\n"),
    ];
    let system = System::start().await;
    for (subject, headers) in hostile {
        publish_raw(&system, subject, headers, br#"{"chat_id":1}"#);
        event("ai_dialog_started", 2, Utc::now(), json!({})).publish(&system).await;
    }
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM analytics_events WHERE chat_id = 2").await, 12);
    // A malformed header does not spoil an event; a subject that names none does.
    assert_eq!(system.count("SELECT count(*) FROM analytics_events WHERE chat_id = 1").await, 11);
    let letters: Vec<(String, Vec<u8>)> =
        system.rows("SELECT reasons->0->>'reason', payload FROM dead_letters").await;
    assert_eq!(letters, [("bad_event_name".to_owned(), br#"{"chat_id":1}"#.to_vec())]);
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_client_cannot_read_does_not_wait_to_be_delivered_again() {
    let system = System::start_with_ack_wait(Duration::from_secs(3_600)).await;
    event("ai_dialog_started", 2, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    publish_raw(&system, b"analytics.review_left", b"NATS/1.0\r\nno colon\r\n\r\n", br#"{"chat_id":1}"#);
    system.settle().await;
    event("ai_dialog_started", 2, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 3);
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_in_two_spellings_is_read_alike_at_every_delivery() {
    let system = System::start().await;
    for n in 0..20 {
        let headers = [("nats-msg-id", "other"), ("Nats-Msg-Id", "ours"), ("NATS-MSG-ID", "third")];
        let headers: Vec<_> = headers.map(|(name, value)| (name, format!("{value}/{n}"))).into();
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let body = json!({"chat_id": 1, "occurred_at": Utc::now()}).to_string();
        system.publish("analytics.review_left", &headers, body).await;
        let origins = [("valera-origin", "live"), ("Valera-Origin", "import")];
        system
            .publish("analytics.review_left", &origins, r#"{"chat_id":2,"occurred_at":"2019-11-01T12:00:00Z"}"#)
            .await;
    }
    // Two readers of one message have to agree on who it is: raw and rollups are such two.
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM dead_letters").await, 0);
    assert_eq!(system.count("SELECT count(*) FROM analytics_events WHERE chat_id = 1").await, 20);
    let apart = "SELECT count(*) FROM analytics_events FULL JOIN rollups.inbox i USING (event_id)
        WHERE i.event_id IS NULL OR chat_id IS NULL";
    assert_eq!(system.count(apart).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_with_a_folded_header_is_one_event_however_it_is_read() {
    let system = System::start_with_ack_wait(Duration::from_secs(5)).await;
    let body = json!({"chat_id": 1, "occurred_at": Utc::now()}).to_string();
    for n in 0..20 {
        let headers = format!("NATS/1.0\r\nNats-Msg-Id: order/{n}\r\n  of today\r\n\r\n");
        publish_raw(&system, b"analytics.review_left", headers.as_bytes(), body.as_bytes());
        // The library drops its connection here, and what stands before is looked at once more, by our own reading.
        publish_raw(&system, b"analytics.review_left", b"NATS/1.0\r\nno colon\r\n\r\n", b"{\"chat_id\":2}");
    }
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM analytics_events WHERE chat_id = 1").await, 20);
    assert_eq!(system.count("SELECT count(*) FROM analytics_events WHERE chat_id = 2").await, 20);
    assert_rollups_agree(&system).await;
}
