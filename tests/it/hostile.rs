//! What no client library would send, but anybody with a socket can: it must not stop the events behind it.

use crate::support::{System, event};
use chrono::Utc;
use serde_json::json;
use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
};

/// Publishes with the bytes of subject and headers as they are.
fn publish_raw(system: &System, subject: &[u8], headers: &[u8], body: &[u8]) {
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

async fn does_not_stop_the_events_behind_it(subject: &[u8], headers: &[u8]) {
    let system = System::start().await;
    publish_raw(&system, subject, headers, br#"{"chat_id":1}"#);
    event("ai_dialog_started", 2, Utc::now(), json!({})).publish(&system).await;
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM analytics_events WHERE chat_id = 2").await, 1);
    let kept = "SELECT (SELECT count(*) FROM analytics_events) + (SELECT count(*) FROM dead_letters)";
    assert_eq!(system.count(kept).await, 2, "the hostile message is neither stored nor a dead letter");
}

macro_rules! hostile {
    ($($(#[$ignored:meta])* $name:ident: $subject:literal, $headers:literal;)*) => {
        $($(#[$ignored])*
        #[tokio::test(flavor = "multi_thread")]
        async fn $name() {
            does_not_stop_the_events_behind_it($subject, $headers).await;
        })*
    };
}

hostile! {
    #[ignore = "async-nats drops its connection at such a message, again at every redelivery"]
    a_header_that_is_not_utf_8_does_not_stop_the_events_behind_it:
        b"analytics.review_left", b"NATS/1.0\r\nX-Name: \xff\xfe\r\n\r\n";
    #[ignore = "async-nats drops its connection at such a message, again at every redelivery"]
    a_header_without_a_colon_does_not_stop_the_events_behind_it:
        b"analytics.review_left", b"NATS/1.0\r\nno colon\r\n\r\n";
    #[ignore = "async-nats drops its connection at such a message, again at every redelivery"]
    a_header_with_an_illegal_name_does_not_stop_the_events_behind_it:
        b"analytics.review_left", b"NATS/1.0\r\nno t oken\xd0\xb6: x\r\n\r\n";
    a_header_with_an_empty_name_does_not_stop_the_events_behind_it:
        b"analytics.review_left", b"NATS/1.0\r\n: x\r\n\r\n";
    headers_with_an_unknown_status_do_not_stop_the_events_behind_them:
        b"analytics.review_left", b"NATS/1.0 99999\r\n\r\n";
    headers_that_look_like_the_end_of_a_pull_do_not_stop_the_events_behind_them:
        b"analytics.review_left", b"NATS/1.0 409 Consumer Deleted\r\n\r\n";
    #[ignore = "async-nats drops its connection at such a message, again at every redelivery"]
    headers_of_another_version_do_not_stop_the_events_behind_them:
        b"analytics.review_left", b"HTTP/1.1\r\nA: b\r\n\r\n";
    #[ignore = "async-nats drops its connection at such a message, again at every redelivery"]
    a_subject_that_is_not_utf_8_does_not_stop_the_events_behind_it:
        b"analytics.\xff\xfe", b"NATS/1.0\r\nA: b\r\n\r\n";
    a_header_with_control_characters_does_not_stop_the_events_behind_it:
        b"analytics.review_left", b"NATS/1.0\r\nA: \0\x01\x7f\r\n\r\n";
}
