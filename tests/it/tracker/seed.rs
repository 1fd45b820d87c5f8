//! The first design's tests of its AnalyticsService, against this tracker, with the limits that it named.

use super::{PATIENCE, flushed, spooling};
use crate::support::{System, assert_rollups_agree};
use chrono::{TimeDelta, Utc};
use serde_json::json;
use std::time::{Duration, Instant};
use valera_tracker::{Event, Tracked};

#[tokio::test(flavor = "multi_thread")]
async fn tracks_valid_event_successfully() {
    let system = System::start().await;
    let tracker = spooling(&system);
    let event = Event::new("ai_dialog_started", 12_345).with("platform", "telegram");
    assert_eq!(tracker.track(event), Tracked::Queued);
    flushed(&tracker).await;
    system.settle().await;
    let stored: Vec<(String, i64, serde_json::Value, String)> =
        system.rows("SELECT event_name, chat_id, properties, platform FROM analytics_events").await;
    let platform = "telegram".to_owned();
    assert_eq!(stored, [("ai_dialog_started".into(), 12_345, json!({"platform": "telegram"}), platform)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn does_not_track_invalid_event_and_keeps_it_as_a_dead_letter() {
    let system = System::start().await;
    let tracker = spooling(&system);
    assert!(matches!(tracker.track(Event::new("booking_request_created", 12_345)), Tracked::Flawed(_)));
    flushed(&tracker).await;
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 0);
    let letters: Vec<(String, serde_json::Value)> = system.rows("SELECT event_name, reasons FROM dead_letters").await;
    let [(name, reasons)] = letters.as_slice() else { panic!("{letters:?}") };
    let missing: Vec<_> = reasons.as_array().unwrap().iter().map(|reason| reason["path"].as_str().unwrap()).collect();
    assert_eq!(name, "booking_request_created");
    assert_eq!(missing, ["properties.booking_id", "properties.services_count", "properties.estimated_total"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_helper_says_what_the_first_design_said() {
    let system = System::start().await;
    let tracker = spooling(&system);
    let tracked = [
        tracker.dialog_started(1, "text"),
        tracker.service_suggested(1, "Полировка", None),
        tracker.suggestion_accepted(1, "Полировка"),
        tracker.service_added(1, "Полировка", 1, "15000.50"),
        tracker.cart_confirmed(1, 1, 15_000.5),
        tracker.booking_created(1, 7, 1, "15000.50"),
        tracker.response_time(1, Duration::from_millis(1_830), "deepseek-chat"),
        tracker.error(1, "execution expired", "webhook_processing"),
    ];
    assert_eq!(tracked, [const { Tracked::Queued }; 8]);
    flushed(&tracker).await;
    system.settle().await;
    let stored: Vec<(String,)> = system
        .rows(
            "SELECT event_name || ' ' || (properties - 'timestamp')::text
             FROM analytics_events ORDER BY event_name",
        )
        .await;
    let stored: Vec<_> = stored.iter().map(|(event,)| event.as_str()).collect();
    insta::assert_snapshot!(stored.join("\n"), @r#"
    ai_dialog_started {"message_type": "text"}
    ai_response_time {"model_used": "deepseek-chat", "duration_ms": 1830}
    ai_suggestion_accepted {"service_name": "Полировка"}
    booking_request_created {"booking_id": 7, "services_count": 1, "estimated_total": 15000.50}
    cart_confirmed {"total_amount": 15000.5, "services_count": 1}
    error_occurred {"context": "webhook_processing", "error_class": "str", "error_message": "execution expired"}
    service_added {"price": 15000.50, "quantity": 1, "service_name": "Полировка"}
    service_suggested {"service_name": "Полировка", "confidence_score": 0.8}
    "#);
}

#[tokio::test(flavor = "multi_thread")]
async fn handles_high_volume_events_efficiently() {
    let system = System::start().await;
    let tracker = spooling(&system);
    let began = Instant::now();
    for n in 0..1_000 {
        let session = format!("session_{n}");
        tracker.track(Event::new("test_event", n).with("test", "data").session(session));
    }
    let left = tracker.flush(PATIENCE).await;
    let took = began.elapsed();
    assert!(left.is_nothing());
    println!("1,000 events tracked and acknowledged in {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?} for 1,000 events");
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn analytics_queries_are_performant() {
    let system = System::start().await;
    let tracker = spooling(&system);
    let now = Utc::now();
    for n in 0..3_000 {
        let event = match n % 3 {
            0 => Event::dialog_started(n / 10, "text"),
            1 => Event::service_suggested(n / 10, "Полировка", Some(0.9)),
            _ => Event::booking_created(n / 10, n, 1, "15000.50"),
        };
        tracker.track(event.at(now - TimeDelta::minutes(n * 14)));
    }
    flushed(&tracker).await;
    system.settle().await;
    let began = Instant::now();
    let funnel: Vec<(i64, i64, i64)> = system
        .rows(
            "SELECT total_chats, chats_with_dialogs, chats_with_bookings
             FROM rollups.conversion_funnel(current_date - 31, current_date + 1)",
        )
        .await;
    let took = began.elapsed();
    println!("the funnel of 3,000 events in {took:?}");
    assert_eq!(funnel, [(300, 300, 300)]);
    assert!(took < Duration::from_secs(1), "{took:?} for the funnel");
    assert_rollups_agree(&system).await;
}
