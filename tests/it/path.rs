//! The way of an event: published, stored once, rolled up, refused with its name.

use crate::support::{System, assert_rollups_agree, event};
use chrono::{TimeDelta, Utc};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_event_among_five_hundred_is_named_and_the_others_are_stored() {
    let system = System::start().await;
    let context = system.jetstream().await;
    for n in 0..499 {
        let good = event("ai_dialog_started", n, Utc::now() - TimeDelta::hours(n), json!({}));
        context.publish(good.subject(), good.body()).await.unwrap().await.unwrap();
    }
    let bad = event("booking_request_created", 7, Utc::now(), json!({"booking_id": 1, "estimated_total": "15000.5"}));
    bad.publish(&system).await;

    system.settle().await;

    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 499);
    let letters: Vec<(String, serde_json::Value, Vec<u8>)> =
        system.rows("SELECT event_name, reasons, payload FROM dead_letters").await;
    let [(name, reasons, payload)] = letters.as_slice() else { panic!("{letters:?}") };
    assert_eq!(name, "booking_request_created");
    assert_eq!(
        (&reasons[0]["reason"], &reasons[0]["path"]),
        (&json!("missing_property"), &json!("properties.services_count"))
    );
    assert_eq!(payload, &bad.body());
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_id_with_another_content_becomes_a_dead_letter() {
    let system = System::start().await;
    let first = event("cart_confirmed", 1, Utc::now(), json!({"services_count": 1})).unchecked_by_broker();
    let other = first.clone().with("properties", json!({"services_count": 2}));
    first.publish(&system).await;
    first.publish(&system).await;
    system.settle().await;
    other.publish(&system).await;
    first.publish(&system).await;
    system.settle().await;

    let stored: Vec<(i64,)> =
        system.rows("SELECT (properties->>'services_count')::bigint FROM analytics_events").await;
    assert_eq!(stored, [(1,)]);
    let letters: Vec<(String,)> = system.rows("SELECT reasons->0->>'reason' FROM dead_letters").await;
    assert_eq!(letters, [("conflicting_duplicate".to_owned(),)]);
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_keeps_every_value_of_a_header() {
    let system = System::start().await;
    let headers = [("X-Hop", "one"), ("X-Hop", "two"), ("Valera-Origin", "live")];
    system.publish("analytics.review_left", &headers, "not JSON").await;
    system.settle().await;
    let kept: Vec<(serde_json::Value,)> = system.rows("SELECT headers FROM dead_letters").await;
    assert_eq!(kept, [(json!({"X-Hop": ["one", "two"], "Valera-Origin": ["live"]}),)]);
}
