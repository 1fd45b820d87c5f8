//! Clients that mean no good, or know no better: each is told so, the memory stays flat, and the others are served.

use super::wire::{Line, OTHER, Served, TOKEN, request};
use crate::support::System;
use flate2::{Compression, write::GzEncoder};
use futures::future::join_all;
use std::{io::Write, time::Duration};
use tokio::time::timeout;

const EVENT: &str = r#"{"event_name":"review_left","chat_id":1}"#;
/// What many hostile requests may add to the memory: less than one of their bodies a connection.
const FLAT: u64 = 48 * 1024 * 1024;
const MIB: usize = 1024 * 1024;

fn events(headers: &str) -> String {
    format!("POST /v1/events\nAuthorization: Bearer {TOKEN}\nContent-Type: application/json\n{headers}")
}

/// A well-behaved client of another name.
async fn other_is_served(served: &Served) {
    let head = format!("POST /v1/events\nAuthorization: Bearer {OTHER}\nContent-Type: application/json");
    let reply = served.ask(&head, EVENT.as_bytes()).await;
    assert_eq!(reply.status, 202, "{reply:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_token_is_told_so_and_nothing_is_taken() {
    let system = System::start().await;
    let served = Served::start(&system, &[]).await;
    let prefix = &TOKEN[..TOKEN.len() - 1];
    let longer = format!("{TOKEN}x");
    for authorization in [
        String::new(),
        "Authorization: Bearer".into(),
        "Authorization: Bearer ".into(),
        "Authorization: Bearer wrong-token-of-24-characters".into(),
        format!("Authorization: Bearer {prefix}"),
        format!("Authorization: Bearer {longer}"),
        format!("Authorization: Basic {TOKEN}"),
        format!("Authorization: {TOKEN}"),
        format!("Authorization: Bearer bot:{TOKEN}"),
    ] {
        let head = format!("POST /v1/events\nContent-Type: application/json\n{authorization}");
        let reply = served.ask(&head, EVENT.as_bytes()).await;
        reply.is_problem(401);
        assert_eq!(reply.headers["www-authenticate"], "Bearer");
    }
    assert_eq!(system.last_sequence().await, 0);
    other_is_served(&served).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_nobody_should_send_are_refused_in_words_and_in_little_memory() {
    let system = System::start().await;
    let served = Served::start(&system, &[]).await;
    other_is_served(&served).await;
    let before = served.resident();

    let large = vec![b' '; 10 * MIB];
    let bomb = gzip(200 * MIB);
    assert!(bomb.len() < MIB);
    for _ in 0..10 {
        served.ask(&events(""), &large).await.is_problem(413);
        chunked(&served, &large).await;
        served.ask(&events("Content-Encoding: gzip"), &bomb).await.is_problem(413);
        let deep = "[".repeat(MIB);
        is_refused(&served, deep.as_bytes()).await;
        let deep = format!(r#"{{"event_name":"a","chat_id":1,"properties":{}"#, r#"{"a":"#.repeat(MIB / 8));
        is_refused(&served, deep.as_bytes()).await;
        is_refused(&served, b"{\"event_name\":\"review_left\",\"chat_id\":1,\"properties\":{\"a\":\"\xff\xfe\"}}")
            .await;
        is_refused(&served, b"\xef\xbb\xbf\x00").await;
        is_refused(&served, b"").await;
    }
    let reply = served.ask(&events("Content-Encoding: gzip"), b"no gzip at all").await;
    assert!((400..500).contains(&reply.status), "{reply:?}");
    let reply = served.ask(&events("Content-Encoding: br"), EVENT.as_bytes()).await;
    reply.is_problem(415);
    other_is_served(&served).await;
    let after = served.resident();
    assert!(after < before + FLAT, "{before} bytes became {after}");
}

async fn is_refused(served: &Served, body: &[u8]) {
    let reply = served.ask(&events(""), body).await;
    assert!((400..500).contains(&reply.status), "{reply:?}");
    reply.is_problem(reply.status);
}

/// The same without saying how much it will be.
async fn chunked(served: &Served, body: &[u8]) {
    let mut line = served.connect().await;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {TOKEN}\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    line.say(head.as_bytes()).await;
    for chunk in body.chunks(MIB) {
        line.say(format!("{:x}\r\n", chunk.len()).as_bytes()).await;
        line.say(chunk).await;
        line.say(b"\r\n").await;
    }
    line.say(b"0\r\n\r\n").await;
    // Where it hangs up in the middle of a body, its word may be lost on the way.
    if let Some(reply) = line.hear().await {
        reply.is_problem(413);
    }
}

fn gzip(zeros: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..zeros / MIB {
        encoder.write_all(&vec![b' '; MIB]).unwrap();
    }
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_tiny_requests_wait_their_turn_and_no_one_elses() {
    flood(5_000).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a proof: minutes"]
async fn a_hundred_thousand_tiny_requests_wait_their_turn_and_no_one_elses() {
    flood(100_000).await;
}

/// Half with a token and half without, over eight connections.
async fn flood(requests: usize) {
    let system = System::start().await;
    let served = Served::start(&system, &[]).await;
    other_is_served(&served).await;
    let before = served.resident();
    let floods = join_all((0..8).map(|_| async {
        let mut line = served.connect().await;
        let (mut taken, mut told_to_wait) = (0, 0);
        for number in 0..requests / 8 {
            let head = if number % 2 == 0 { events("") } else { "POST /v1/events".to_owned() };
            line.say(&request(&head, EVENT.as_bytes())).await;
            let reply = line.hear().await.expect("the line was cut");
            match reply.status {
                202 => taken += 1,
                401 => assert_eq!(number % 2, 1),
                _ => {
                    reply.is_problem(429);
                    assert!(reply.headers.contains_key("retry-after"), "{reply:?}");
                    told_to_wait += 1;
                }
            }
        }
        (taken, told_to_wait)
    }));
    let meanwhile = async {
        for _ in 0..20 {
            other_is_served(&served).await;
        }
    };
    let (counts, ()) = futures::join!(floods, meanwhile);
    let (taken, told_to_wait) = counts.iter().fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1));
    assert_eq!(taken + told_to_wait, 8 * (requests / 8).div_ceil(2), "{counts:?}");
    assert!(taken > 0);
    let after = served.resident();
    assert!(after < before + FLAT, "{before} bytes became {after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_a_byte_now_and_then_is_hung_up_on_and_the_others_are_served() {
    let system = System::start().await;
    let served = Served::start(&system, &[]).await;
    let before = served.resident();
    let mut heads: Vec<Line> = join_all((0..100).map(|_| served.connect_from([127, 0, 0, 2]))).await;
    heads.extend(join_all((0..100).map(|_| served.connect_from([127, 0, 0, 3]))).await);
    for line in &mut heads {
        line.say(b"POST /v1/events HTTP/1.1\r\nHost: gate").await;
    }
    let mut bodies: Vec<Line> = join_all((0..8).map(|_| served.connect())).await;
    for line in &mut bodies {
        let whole = request(&events(""), EVENT.as_bytes());
        line.say(&whole[..whole.len() - 10]).await;
    }
    for _ in 0..10 {
        other_is_served(&served).await;
    }
    let after = served.resident();
    assert!(after < before + FLAT, "{before} bytes became {after}");
    let let_go = async {
        for line in &mut bodies {
            line.hear().await.expect("hung up without a word").is_problem(408);
        }
        for line in &mut heads {
            // It may say so first.
            if let Some(reply) = line.hear().await {
                assert_eq!(reply.status, 408, "{reply:?}");
            }
        }
    };
    timeout(Duration::from_secs(120), let_go).await.expect("slow clients are not hung up on");
    other_is_served(&served).await;
}
