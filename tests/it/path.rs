//! The way of an event: published, stored once, rolled up, refused with its name.

use crate::support::{System, assert_rollups_agree, event};
use chrono::{TimeDelta, Utc};
use serde_json::json;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use valera_pipeline::{
    consume::{Consumer, Watched},
    handler::Outcome,
    persister::{self, Persister},
    probe::{NoProbe, Probe},
};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_holds_no_more_messages_than_it_may() {
    let system = System::start().await;
    for n in 0..25 {
        event("cart_confirmed", n, Utc::now(), json!({})).publish(&system).await;
    }
    let mut environment = system.environment().clone();
    environment.limits.messages = 10;
    let calendar = environment.calendar().await.unwrap();
    let probe: Arc<dyn Probe> = Arc::new(NoProbe);
    let handler =
        Persister::new(&environment.database_url, calendar, environment.keys.clone(), probe.clone()).unwrap();
    let watched = Watched::new(persister::NAME);
    let source = environment.source(persister::NAME);
    let mut consumer = Consumer::new(source, handler, &watched, probe, CancellationToken::new());

    let mut left = 25;
    while left > 0 {
        let size = consumer.step().await.unwrap();
        assert!((1..=10).contains(&size), "a batch of {size}");
        left -= size;
    }
    assert_eq!(watched.counters.of(Outcome::Stored), 25);
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 25);
}
