//! What an application asks of a chat, over HTTP.

use super::wire::{Served, TOKEN};
use crate::support::{System, eventually};
use serde_json::{Value, json};

async fn told(served: &Served, chat_id: &str) -> (u16, Value) {
    let reply = served.ask(&format!("GET /v1/chats/{chat_id}\nAuthorization: Bearer {TOKEN}"), b"").await;
    (reply.status, reply.body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_told_from_the_rollups_and_publishing_goes_on_without_them() {
    let mut system = System::start().await;
    let served = Served::start(&system, &[]).await;
    let (status, body) = told(&served, "7").await;
    let day = body["day"].as_str().unwrap().to_owned();
    let nobody = json!({"chat_id": 7, "dialog_today": false, "events": 0, "user_segment": "new", "day": day});
    assert_eq!((status, body), (200, nobody));

    let events: Vec<_> = ["ai_dialog_started", "review_left", "review_left"]
        .map(|name| json!({"event_name": name, "chat_id": 7, "occurred_at": null}))
        .into();
    assert_eq!(served.post(&json!(events).to_string()).await.status, 202);
    eventually("the gateway has published", async || system.last_sequence().await == 3).await;
    system.settle().await;
    let (status, body) = told(&served, "7").await;
    assert_eq!((status, &body["events"], &body["user_segment"]), (200, &json!(3), &json!("engaged")));
    // Midnight may have passed since the dialog began.
    assert!(body["dialog_today"] == true || body["day"] != json!(day), "{body}");

    served.ask("GET /v1/chats/7", b"").await.is_problem(401);
    served.ask(&format!("GET /v1/chats/seven\nAuthorization: Bearer {TOKEN}"), b"").await.is_problem(400);

    system.local.postgres.stop().await.unwrap();
    let reply = served.ask(&format!("GET /v1/chats/7\nAuthorization: Bearer {TOKEN}"), b"").await;
    reply.is_problem(503);
    assert!(reply.headers.contains_key("retry-after"), "{reply:?}");
    assert_eq!(served.post(r#"{"event_name":"review_left","chat_id":7}"#).await.status, 202);
}
