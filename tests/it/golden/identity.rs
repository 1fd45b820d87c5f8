//! The same id twice: with the same content, with another, inside the broker's window and after it.

use super::{LETTERS, assert_table, settle};
use crate::support::{EventBuilder, System, event, eventually};
use chrono::Utc;
use serde_json::json;

const STORED: &str = "SELECT chat_id, properties->>'services_count' FROM analytics_events ORDER BY chat_id";

#[tokio::test(flavor = "multi_thread")]
async fn inside_the_window_the_broker_keeps_the_first_and_nobody_sees_the_second() {
    let system = System::start().await;
    let first = event("cart_confirmed", 1, Utc::now(), json!({"services_count": 1}));
    let other = first.clone().with("properties", json!({"services_count": 2}));
    assert!(!known(&system, &first).await);
    assert!(known(&system, &other).await);
    settle(&system).await;
    assert_table(&system, STORED, "1  1").await;
    assert_table(&system, LETTERS, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_window_the_first_still_stands_and_the_second_is_named() {
    let system = System::start().await;
    system.forget_ids_soon().await;
    let first = event("cart_confirmed", 1, Utc::now(), json!({"services_count": 1}));
    let other = first.clone().with("properties", json!({"services_count": 2}));
    assert!(!known(&system, &first).await);
    eventually("the window has passed", || async { !known(&system, &first).await }).await;
    eventually("the window has passed again", || async { !known(&system, &other).await }).await;
    settle(&system).await;
    assert_table(&system, STORED, "1  1").await;
    assert_table(&system, LETTERS, "cart_confirmed  conflicting_duplicate  event_id  open").await;
    let payloads: Vec<(Vec<u8>,)> = system.rows("SELECT payload FROM dead_letters").await;
    assert_eq!(payloads, [(other.body().to_vec(),)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_the_same_event_whatever_its_name_or_chat_and_its_content_whatever_the_order_of_its_keys() {
    let system = System::start().await;
    let first = event("cart_confirmed", 1, Utc::now(), json!({"services_count": 1, "note": "x"}));
    let first = first.unchecked_by_broker();
    first.publish(&system).await;
    first.clone().with("chat_id", json!(2)).publish(&system).await;
    let body = String::from_utf8(first.body().to_vec()).unwrap();
    let reordered = body.replace(r#"{"note":"x","services_count":1}"#, r#"{ "services_count": 1, "note": "x" }"#);
    assert_ne!(body, reordered);
    system.publish(&first.subject(), &[], reordered).await;
    let no_name = first.clone().with("event_name", json!(null));
    system.publish("analytics.cart_abandoned", &[], no_name.body()).await;
    settle(&system).await;
    assert_table(&system, STORED, "1  1").await;
    assert_table(
        &system,
        LETTERS,
        "cart_confirmed  conflicting_duplicate  event_id  open
         cart_abandoned  conflicting_duplicate  event_id  open",
    )
    .await;
}

/// Publishes with the id as `Nats-Msg-Id` and gives whether the broker knew it.
async fn known(system: &System, event: &EventBuilder) -> bool {
    let headers = [("Nats-Msg-Id", event.msg_id().unwrap())];
    system.publish(&event.subject(), &headers, event.body()).await.duplicate
}
