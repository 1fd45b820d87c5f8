//! What an operator sees of the letters, and decides about them.

use super::{BOOKING, LETTERS, LetterRow, lacking, row};
use crate::support::System;
use chrono::Utc;
use serde_json::{Value, json};
use uuid::Uuid;

async fn system_with_three_letters() -> (System, Vec<String>) {
    let system = System::start().await;
    system.publish(BOOKING, &[("Nats-Msg-Id", "a")], lacking(1, Utc::now()).to_string()).await;
    system.publish("analytics.cart_confirmed", &[("X-Hop", "one")], "{\"chat_id\":1,\u{1b}[31m").await;
    system.publish("analytics._invalid", &[], b"\xff\x00\x1b[31m".to_vec()).await;
    system.settle().await;
    let ids: Vec<(Uuid,)> = system.rows("SELECT id FROM dead_letters ORDER BY stream_seq").await;
    (system, ids.into_iter().map(|(id,)| id.to_string()).collect())
}

fn json_of(system: &System, arguments: &[&str]) -> Value {
    serde_json::from_str(&system.says(arguments).well()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_counted_by_event_and_reason_and_found_by_each() {
    let (system, ids) = system_with_three_letters().await;
    let list = ["dead-letters", "list", "--json"];
    let all = json_of(&system, &list);
    assert_eq!((all["groups"].as_array().unwrap().len(), all["letters"].as_array().unwrap().len()), (4, 3));
    for (narrowed, found) in [
        (&["--event", "booking_request_created"][..], vec![&ids[0]]),
        (&["--reason", "not_json"], vec![&ids[2], &ids[1]]),
        (&["--since", "1h", "--limit", "1"], vec![&ids[2]]),
        (&["--since", "2999-01-01T00:00:00Z"], vec![]),
        (&["--status", "closed,discarded"], vec![]),
        (&["--status", "open", "--reason", "bad_event_name"], vec![&ids[2]]),
    ] {
        let listed = json_of(&system, &[&list[..], narrowed].concat());
        let listed: Vec<_> = listed["letters"].as_array().unwrap().iter().map(|letter| &letter["id"]).collect();
        assert_eq!(listed, found, "{narrowed:?}");
    }
    let table = system.says(&["dead-letters", "list"]).well();
    assert!(table.contains(&ids[1]) && table.contains("not_json"), "{table}");
    assert!(!table.contains('\u{1b}'), "a name has steered the terminal");
    system.says(&["dead-letters", "list", "--reason", "bad_luck"]).complaining(2, &["bad_luck"]);
    system.says(&["dead-letters", "retry"]).complaining(2, &["--all"]);
    let retry = |change: [&'static str; 2]| system.says(&[&["dead-letters", "retry", "--all"][..], &change].concat());
    retry(["--set", "services_count"]).complaining(2, &["--set: expected PATH=VALUE"]);
    retry(["--set", "event_id=01a225eb-c0fe-7710-9ff4-558abf7fe599"])
        .complaining(2, &["--set", "event_id", "--as-new"]);
    // What `list` filters by, `retry` does too.
    for (narrowed, found) in [(&["--status", "retried"][..], 0), (&["--status", "open", "--reason", "not_json"], 2)] {
        let said = system.says(&[&["dead-letters", "retry", "--dry-run", "--json"], narrowed].concat());
        let outlooks: Value = serde_json::from_str(&said.out).unwrap();
        assert_eq!(outlooks.as_array().unwrap().len(), found, "{narrowed:?}: {said:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_that_is_not_there_is_said_to_be_missing() {
    let (system, ids) = system_with_three_letters().await;
    let nobody = Uuid::nil().to_string();
    let set = ["--set", "properties.services_count=1"];
    let retry = [&["dead-letters", "retry", &ids[0], &nobody, "--wait", "0"], &set[..]].concat();
    let dry = system.says(&[&retry[..], &["--dry-run"]].concat());
    dry.complaining(1, &["1 of 2 letters would not be published"]);
    let said = system.says(&retry);
    said.complaining(1, &["1 letters were not found"]);
    for said in [dry, said] {
        assert!(said.out.contains("not found") && said.out.contains(&nobody), "{said:?}");
    }
    let left_out = ["dead-letters", "retry", &ids[0], "--event", "cart_confirmed", "--wait", "0"];
    system.says(&left_out).complaining(1, &["1 letters were not found"]);
    assert_eq!(system.count("SELECT count(*) FROM dead_letters WHERE status = 'retried'").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_with_a_reason_twice_is_one_letter() {
    let system = System::start().await;
    let body = json!({"chat_id": 1, "properties": {"duration_ms": "slow", "model_used": 7, "timestamp": "noon"}});
    system.publish("analytics.ai_response_time", &[], body.to_string()).await;
    for chat in 1..=2 {
        system.publish(BOOKING, &[], lacking(chat, Utc::now()).to_string()).await;
    }
    system.settle().await;
    let listed = json_of(&system, &["dead-letters", "list", "--json"]);
    let groups: Vec<_> =
        listed["groups"].as_array().unwrap().iter().map(|group| (&group["reason"], &group["count"])).collect();
    assert_eq!(groups, [(&json!("missing_property"), &json!(2)), (&json!("wrong_type"), &json!(1))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_letter_is_shown_whole_and_steers_no_terminal() {
    let (system, ids) = system_with_three_letters().await;
    let shown = system.says(&["dead-letters", "show", &ids[0]]).well();
    for part in
        ["missing_property at properties.services_count", "Nats-Msg-Id: a", "\"estimated_total\":\"15000.50\""]
    {
        assert!(shown.contains(part), "no {part} in:\n{shown}");
    }
    for id in &ids[1..] {
        let shown = system.says(&["dead-letters", "show", id]).well();
        assert!(!shown.contains('\u{1b}'), "{shown:?}");
    }
    let bytes = json_of(&system, &["dead-letters", "show", &ids[2], "--json"]);
    assert_eq!((&bytes["payload"], &bytes["payload_is_text"]), (&json!(r"\xff\x00\x1b[31m"), &json!(false)));
    let nobody = Uuid::nil().to_string();
    system.says(&["dead-letters", "show", &nobody]).complaining(1, &["there is no letter"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_discarded_keeps_its_reason_and_is_not_retried() {
    let (system, ids) = system_with_three_letters().await;
    system.says(&["dead-letters", "discard", &ids[1]]).complaining(2, &["--reason"]);
    let discard = ["dead-letters", "discard", &ids[1], &ids[2], "--reason", "a test of the bot's"];
    assert!(system.says(&discard).well().contains("2 letters discarded"));
    system.says(&discard).complaining(1, &["2 of the letters named are finished or unknown", &ids[2]]);
    let said = system.says(&["dead-letters", "retry", &ids[1], "--wait", "0"]).well();
    assert!(said.contains("finished") && said.contains("a test of the bot's"), "{said}");
    system.publish("analytics._invalid", &[], b"\xff\x00\x1b[31m".to_vec()).await;
    system.settle().await;
    let letters = system.rows::<LetterRow>(LETTERS).await;
    assert_eq!(letters[1], row("discarded", "a test of the bot's", 0, "not_json"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_retried_is_named_with_the_way_out() {
    let (system, ids) = system_with_three_letters().await;
    sqlx::query("UPDATE dead_letters SET payload = '', payload_cleared_at = now() WHERE id = $1::uuid")
        .bind(&ids[0])
        .execute(&mut system.postgres().await)
        .await
        .unwrap();
    let said = system.says(&["dead-letters", "retry", "--all", "--set", "chat_id=1"]);
    said.complaining(1, &["3 letters were not published"]);
    assert!(said.out.contains("payload is cleared") && said.out.contains("merge patch"), "{said:?}");

    let whole = system.dir().join("cart.json");
    std::fs::write(&whole, r#"{"chat_id": 5, "properties": {"services_count": 2}}"#).unwrap();
    let merge = ["dead-letters", "retry", &ids[1], "--wait", "0", "--merge", whole.to_str().unwrap()];
    system.says(&merge).well();
    system.settle().await;
    assert_eq!(system.count("SELECT chat_id FROM analytics_events").await, 5);
    system.says(&["dead-letters", "show", &ids[0]]).well();
}
