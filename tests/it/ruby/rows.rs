//! What the client writes is the contract's, and ends in the rows that the SDK's events end in.

use crate::support::{Said, System, assert_rollups_agree, checkout, ruby};
use chrono::{DateTime, SubsecRound, Utc};
use serde_json::{Value, json};
use std::time::Duration;
use valera_tracker::{Event, Tracked, Tracker};

/// The events of `every_event.rb`, in the SDK's words.
fn in_the_sdks_words(at: DateTime<Utc>) -> Vec<Event> {
    const CHAT: i64 = -1_001_234_567_890;
    let answer = Event::new("ai_response_time", CHAT).with("duration_ms", 1_830).with("model_used", "deepseek-chat");
    let nested = json!([{"email": "a@example.com"}, 1e-7, 1e21, 1_i64 << 53, f64::NAN, true]);
    [
        Event::dialog_started(CHAT, "text"),
        Event::service_suggested(CHAT, "Полировка \"кузова\" \\ \n 😀", None),
        Event::suggestion_accepted(CHAT, "Полировка"),
        Event::service_added(CHAT, "Полировка", 1, "15000.5"),
        Event::cart_confirmed(CHAT, 1, 15_000.5),
        Event::booking_created(CHAT, 7, 1, "15000.5").with("user_segment", Value::Null),
        answer,
        Event::error(CHAT, "str", "позвоните +7 916 123-45-67", "webhook_processing"),
        Event::new("review_left", CHAT).with("customer_name", "Иван").with("nested", nested),
    ]
    .into_iter()
    .map(|event| event.at(at))
    .chain([Event::response_time(1, Duration::from_millis(1_830), "deepseek-chat")])
    .collect()
}

/// Everything of a row but its id, the spelling of its numbers and when it came, and how often it is there; of an answer whose
/// time is the call's, not that time.
const ROWS: &str = "SELECT to_jsonb(event) - '{event_id, content_hash, stream_seq, created_at, properties}'::text[]
        - CASE WHEN properties ? 'timestamp' THEN 'occurred_at' ELSE '' END, properties - 'timestamp', count(*)
    FROM analytics_events event GROUP BY 1, 2 ORDER BY count(*), 2::text";

/// The lines that the client keeps while there is no gateway.
fn kept_by_ruby(system: &System, at: DateTime<Utc>) -> Vec<String> {
    let kept = system.dir().join("kept");
    let mut command = ruby();
    command.arg(checkout().join("tests/it/ruby/every_event.rb")).arg(at.to_rfc3339());
    command.env("ANALYTICS_ENABLED", "true").env("VALERA_GATEWAY_URL", "http://127.0.0.1:1");
    command.env("VALERA_GATEWAY_TOKEN", "none-is-needed-for-this").env("VALERA_SPILL_DIR", &kept);
    Said::by(&mut command).well();
    let files = std::fs::read_dir(kept).unwrap().map(|entry| entry.unwrap().path());
    files
        .flat_map(|path| std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_the_ruby_clients_ends_in_the_row_that_the_sdks_ends_in() {
    let at = Utc::now().trunc_subsecs(6);
    let system = System::start().await;
    let lines = kept_by_ruby(&system, at);
    assert_eq!(lines.len(), 10);
    for line in &lines {
        let event: Value = serde_json::from_str(line).unwrap();
        let subject = format!("analytics.{}", event["event_name"].as_str().unwrap());
        system.publish(&subject, &[("Nats-Msg-Id", event["event_id"].as_str().unwrap())], line.clone()).await;
    }
    let tracker = Tracker::start(system.publisher_config()).unwrap();
    for event in in_the_sdks_words(at) {
        assert_eq!(tracker.track(event), Tracked::Queued);
    }
    assert!(tracker.flush(Duration::from_secs(60)).await.is_nothing());
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM dead_letters").await, 0);
    let rows: Vec<(Value, Value, i64)> = system.rows(ROWS).await;
    assert!(rows.len() == 10 && rows.iter().all(|(_, _, count)| *count == 2), "{rows:#?}");
    let of_another_time = "SELECT count(*) FROM analytics_events WHERE left(replace(event_id::text, '-', ''), 12)
        <> lpad(to_hex(floor(extract(epoch FROM occurred_at) * 1000)::bigint), 12, '0')";
    assert_eq!(system.count(of_another_time).await, 0, "an id is not of its event's time");
    assert_rollups_agree(&system).await;
}
