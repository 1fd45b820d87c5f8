//! A person's phone, e-mail and card in every field of every event, in every form that the gateway takes: found nowhere afterwards,
//! not in its spool, its log or its metrics, not in the stream, the tables or the letters.

use super::wire::{Served, TOKEN};
use crate::{
    canary::{CANARIES, assert_clean, assert_clean_spool, assert_found_nowhere, free_text},
    support::{System, eventually},
    tracker::canary::lines,
};
use chrono::Utc;
use serde_json::{Value, json};
use std::fs::{self, File};

/// The lines of the SDK's test in the gateway's words.
fn events() -> Vec<Value> {
    let mut events = lines();
    for event in &mut events {
        let name = event.as_object_mut().unwrap().remove("event");
        event["event_name"] = name.unwrap();
    }
    let mut stray = json!({"event_name": "review_left", "chat_id": 1});
    stray["phone_number"] = json!(79_165_550_123_i64);
    events.push(stray);
    events.push(json!({"event_name": "review_left", "chat_id": CANARIES[1], "occurred_at": free_text()}));
    events
}

fn cloud_event(number: usize, event: &Value) -> Value {
    json!({
        "specversion": "1.0", "id": number.to_string(), "source": "shop", "time": Utc::now().to_rfc3339(),
        "type": event["event_name"], "data": event, "subject": free_text(), "extension": CANARIES[0],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_a_client_lets_slip_is_found_nowhere() {
    let mut system = System::start().await;
    let log = system.dir().join("gateway.log");
    let served = Served::start_after(&system, |command| {
        command.env("VALERA_LOG", "trace").stderr(File::create(&log).unwrap());
    })
    .await;
    system.local.nats.kill().await.unwrap();

    let events = events();
    let lines: Vec<String> = events.iter().map(Value::to_string).collect();
    let cloud: Vec<_> = events.iter().enumerate().map(|(number, event)| cloud_event(number, event)).collect();
    for (media, body) in [
        ("application/json", json!(events).to_string()),
        ("application/x-ndjson", lines.join("\n")),
        ("application/cloudevents-batch+json", json!(cloud).to_string()),
    ] {
        let head = format!("POST /v1/events\nAuthorization: Bearer {TOKEN}\nContent-Type: {media}");
        let reply = served.ask(&head, body.as_bytes()).await;
        assert_eq!(reply.status, 202, "{media}: {reply:?}");
        assert_eq!(reply.body["events"].as_array().unwrap().len(), events.len(), "{media}");
        assert_clean("the answer", &reply.text);
    }
    // What is taken nowhere, and what is asked.
    let hopeless =
        format!("[{{\"event_name\":\"review_left\",\"chat_id\":1,\"a\":\"\\u0000\"}}, \"{}\"]", free_text());
    let reply = served.post(&hopeless).await;
    reply.is_problem(422);
    assert_clean("a problem", &reply.text);
    let path = CANARIES[1].replace(['(', ')'], "");
    served.ask(&format!("GET /v1/chats/{path}x\nAuthorization: Bearer {}", CANARIES[2]), b"").await.is_problem(401);
    let asked = served.ask(&format!("GET /v1/chats/{path}x\nAuthorization: Bearer {TOKEN}"), b"").await;
    assert_clean("what is told of a chat", &asked.text);
    let metrics = served.ask(&format!("GET /metrics\nAuthorization: Bearer {TOKEN}"), b"").await;
    assert_clean("the metrics", &metrics.text);
    assert_clean_spool(&system.dir().join("spool"));

    system.local.nats.restart().await.unwrap();
    let sent = 3 * events.len() as u64;
    eventually("everything is published", async || system.last_sequence().await >= sent).await;
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.contains("they become dead letters"), "the log says nothing:\n{said}");
    assert_clean("the gateway's log", &said);
    assert_found_nowhere(&system, sent).await;
}
