//! What one client may take of the gateway, and what is told of each to whoever watches.

use super::wire::{Line, OTHER, Served, TOKEN};
use crate::support::{System, eventually};
use futures::future::join_all;
use std::collections::BTreeMap;

const EVENT: &str = r#"{"event_name":"review_left","chat_id":1}"#;

/// The series that are told, by name and labels.
async fn metrics(served: &Served) -> BTreeMap<String, u64> {
    let reply = served.ask(&format!("GET /metrics\nAuthorization: Bearer {TOKEN}"), b"").await;
    assert_eq!(reply.status, 200, "{reply:?}");
    assert!(reply.headers["content-type"].starts_with("text/plain; version=0.0.4"), "{reply:?}");
    let series = reply.text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap());
    series.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_each_client_sent_is_counted_under_its_name_and_nothing_of_a_request_becomes_a_label() {
    let system = System::start().await;
    let served = Served::start(&system, &[]).await;
    let events = format!(r#"[{EVENT},{EVENT},{{"event_name":"review_left"}}]"#);
    assert_eq!(served.post(&events).await.status, 202);
    served.post("[{]").await.is_problem(400);
    let shop = format!("Authorization: Bearer {OTHER}");
    served.ask(&format!("GET /v1/chats/a-canary\n{shop}"), b"").await.is_problem(400);
    served.ask("POST /v1/events\nAuthorization: Bearer a-canary-that-is-nobodys-token", b"").await.is_problem(401);
    served.ask("GET /metrics", b"").await.is_problem(401);

    let counted = metrics(&served).await;
    let of = |name: &str| counted.get(name).copied();
    assert_eq!(of(r#"valera_gateway_events_total{client="bot",verdict="accepted"}"#), Some(2));
    assert_eq!(of(r#"valera_gateway_events_total{client="bot",verdict="rejected"}"#), Some(1));
    assert_eq!(of(r#"valera_gateway_event_bytes_total{client="bot"}"#), Some(events.len() as u64));
    assert_eq!(of(r#"valera_gateway_requests_total{client="bot",status="202"}"#), Some(1));
    assert_eq!(of(r#"valera_gateway_requests_total{client="bot",status="400"}"#), Some(1));
    assert_eq!(of(r#"valera_gateway_requests_total{client="shop",status="400"}"#), Some(1));
    assert_eq!(of(r#"valera_gateway_events_total{client="shop",verdict="accepted"}"#), Some(0));
    assert_eq!(of("valera_gateway_unauthorized_total"), Some(2));
    assert!(counted.keys().all(|name| !name.contains("canary") && !name.contains("review_left")), "{counted:?}");
    eventually("what was published is counted", async || {
        metrics(&served).await["valera_gateway_acknowledged_total"] == 3
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_cannot_take_all_connections() {
    let system = System::start().await;
    let served = Served::start(&system, &[]).await;
    // More than there are places: whoever has none is told so and hung up on.
    let mut slow = join_all((0..600).map(async |_| {
        let mut line = served.connect_from([127, 0, 0, 2]).await;
        line.say(b"POST /v1/events HTTP/1.1\r\nHost: gate").await;
        line
    }))
    .await;
    // Connections are accepted in their order: once this one is served, all of them had their turn.
    assert_eq!(served.post(EVENT).await.status, 202);
    let counted = metrics(&served).await;
    assert!(counted["valera_gateway_connections"] <= 128 + 2, "{counted:?}");
    assert!(counted["valera_gateway_connections_refused_total"] > 0, "{counted:?}");
    // What is left of the others is what they were told, where it was not lost on the way.
    let heard = join_all(slow.iter_mut().skip(500).map(Line::hear)).await;
    for reply in heard.iter().flatten().filter(|reply| reply.status != 408) {
        reply.is_problem(429);
        assert!(reply.headers.contains_key("retry-after"), "{reply:?}");
    }
    drop(heard);
    assert_eq!(served.post(EVENT).await.status, 202);
}
