//! What the application's own framework sends: nil as null, decimals as strings, times with an offset, no UUIDv7.

use super::{LETTERS, assert_table, settle};
use crate::support::{System, eventually};

const BOOKING: &str = r#"{
    "chat_id": 42,
    "occurred_at": "2026-03-10T23:30:00.123+03:00",
    "session_id": null,
    "platform": null,
    "properties": {
        "booking_id": 17, "services_count": 2, "estimated_total": "15000.50",
        "processing_time_ms": null, "user_segment": null
    }
}"#;

const HEADERS: [(&str, &str); 2] = [("Nats-Msg-Id", "booking/17"), ("Valera-Origin", "import")];

#[tokio::test(flavor = "multi_thread")]
async fn a_booking_as_rails_writes_it_is_stored_and_counted() {
    let system = System::start().await;
    system.publish("analytics.booking_request_created", &HEADERS, BOOKING).await;
    settle(&system).await;
    assert_table(
        &system,
        "SELECT chat_id, platform, occurred_at, properties->'estimated_total' AS total,
            jsonb_typeof(properties->'estimated_total') AS type, properties->'user_segment' AS segment,
            length(session_id) > 0 AS session
         FROM analytics_events",
        "42  telegram  2026-03-10T20:30:00.123+00:00  15000.50  number  -  true",
    )
    .await;
    assert_table(&system, "SELECT day, bookings FROM rollups.funnel_daily", "2026-03-10  1").await;
    assert_table(&system, LETTERS, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn its_own_key_is_an_identity_also_when_the_broker_has_forgotten_it() {
    let system = System::start().await;
    system.forget_ids_soon().await;
    let publish = || system.publish("analytics.booking_request_created", &HEADERS, BOOKING);
    assert!(!publish().await.duplicate);
    eventually("the window has passed", || async { !publish().await.duplicate }).await;
    settle(&system).await;
    assert_table(&system, "SELECT count(*) FROM analytics_events", "1").await;
    assert_table(&system, "SELECT day, bookings FROM rollups.funnel_daily", "2026-03-10  1").await;
    assert_table(&system, LETTERS, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_random_uuid_as_id_is_refused_with_the_way_out() {
    let system = System::start().await;
    let body = r#"{"event_id":"0b0b6f6e-7f6e-4a53-9d5e-2d2f0a5b7c11","chat_id":1,"properties":{}}"#;
    system.publish("analytics.ai_dialog_started", &[], body).await;
    settle(&system).await;
    assert_table(&system, LETTERS, "ai_dialog_started  bad_event_id  event_id  open").await;
    let expected: Vec<(String,)> = system.rows("SELECT reasons->0->>'expected' FROM dead_letters").await;
    assert!(expected[0].0.contains("Nats-Msg-Id") && expected[0].0.contains("occurred_at"), "{expected:?}");
}
