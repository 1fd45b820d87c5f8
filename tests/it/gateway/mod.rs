//! What the gateway promises to those who publish by HTTP.

mod canary;
mod chats;
mod hostile;
mod kills;
mod limits;
mod openapi;
pub(crate) mod wire;

use crate::support::{System, eventually};
use serde_json::json;
use wire::Served;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_posted_is_stored_and_what_breaks_the_contract_becomes_a_dead_letter() {
    let system = System::start().await;
    let served = Served::start(&system, &[]).await;
    let reply = served
        .post(
            r#"[{"event_name":"review_left","chat_id":7,"properties":{"stars":5}},
                {"event_name":"ai_response_time","chat_id":7,"properties":{"model_used":"m"}},
                {"event_id":null,"event_name":"Nope","chat_id":7}]"#,
        )
        .await;
    assert_eq!(
        (reply.status, &reply.body["accepted"], &reply.body["rejected"]),
        (202, &json!(1), &json!(2)),
        "{reply:?}"
    );
    let events = &reply.body["events"];
    assert_eq!((&events[0]["status"], &events[1]["status"]), (&json!("accepted"), &json!("rejected")), "{events}");
    assert_eq!(events[1]["reasons"][0]["reason"], "missing_property", "{events}");

    // The same id is the same event, however often it is sent.
    let again = json!({"event_id": events[0]["event_id"], "event_name": "review_left", "chat_id": 7, "properties": {"stars": 5}});
    assert_eq!(served.post(&again.to_string()).await.status, 202);
    eventually("the gateway has published", async || system.last_sequence().await >= 3).await;
    system.settle().await;
    let stored: Vec<(String, i64)> = system.rows("SELECT event_id::text, chat_id FROM analytics_events").await;
    assert_eq!(stored, [(events[0]["event_id"].as_str().unwrap().to_owned(), 7)]);
    let letters: Vec<(String,)> = system.rows("SELECT subject FROM dead_letters ORDER BY subject").await;
    assert_eq!(letters, [("analytics._invalid".to_owned(),), ("analytics.ai_response_time".to_owned(),)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_form_is_taken_and_an_event_that_can_be_kept_nowhere_is_named() {
    let system = System::start().await;
    let served = Served::start(&system, &[]).await;
    let post = async |headers: &str, body: &str| {
        served
            .ask(&format!("POST /v1/events\nAuthorization: Bearer {}\n{headers}", wire::TOKEN), body.as_bytes())
            .await
    };
    let data = r#"{"chat_id":9,"properties":{"stars":4}}"#;
    let cloud = format!(
        r#"{{"specversion":"1.0","type":"review_left","source":"shop","id":"42","time":"{}","data":{data}}}"#,
        chrono::Utc::now().to_rfc3339()
    );
    let structured = post("Content-Type: application/cloudevents+json", &cloud).await;
    let batch = post("Content-Type: application/cloudevents-batch+json", &format!("[{cloud}]")).await;
    assert_eq!((structured.status, batch.status), (202, 202), "{structured:?} {batch:?}");
    assert_eq!(structured.body["events"][0]["event_id"], batch.body["events"][0]["event_id"]);
    assert_eq!(batch.body["accepted"], 1, "{batch:?}");
    let id = "01976d2e-0000-7000-8000-000000000001";
    let binary = format!(
        "Content-Type: application/json\nce-specversion: 1.0\nce-id: {id}\nce-source: shop\nce-type: review_left"
    );
    let binary = post(&binary, data).await;
    assert_eq!(binary.body["events"][0]["event_id"], id, "{binary:?}");
    let lines =
        post("Content-Type: application/x-ndjson", "{\"event_name\":\"review_left\",\"chat_id\":9}\n\nnot json\n")
            .await;
    lines.is_problem(422);
    assert_eq!(lines.body["errors"][0]["index"], 2, "{lines:?}");
    let timeless = post("Content-Type: application/cloudevents+json", &cloud.replace("\"time\"", "\"when\"")).await;
    timeless.is_problem(422);
    post("Content-Type: text/plain", "x").await.is_problem(415);
    post("Content-Type: application/json\nAccept: text/html", "{}").await.is_problem(406);
    post("Content-Type: application/json", "[{]").await.is_problem(400);
    served.ask("GET /nowhere", b"").await.is_problem(404);
    let reply = served.ask("DELETE /v1/events", b"").await;
    reply.is_problem(405);
    assert!(reply.headers.contains_key("allow"), "{reply:?}");
    assert_eq!(served.ask("GET /openapi.json", b"").await.body, valera_analytics::gateway::openapi::document());
    assert_eq!(served.ask("GET /health", b"").await.body["ready"], true);
}
