//! `track` and `import`: good events are published, flawed ones are named and published all the same.

use super::{file, import, letters};
use crate::support::{Said, System, assert_rollups_agree, eventually};
use chrono::Utc;
use serde_json::json;
use std::{io::Write, process::Stdio};

#[tokio::test(flavor = "multi_thread")]
async fn a_tracked_event_is_published_and_stored() {
    let system = System::start().await;
    let said = system.says(&[
        "track",
        "booking_request_created",
        "--chat-id=-42",
        "--property=booking_id=17",
        "--property=services_count=2",
        "--property=estimated_total=15000.50",
        "--property=user_segment=returning visitor, 8 916 123-45-67",
    ]);
    let out = said.well();
    assert!(out.contains("published to analytics.booking_request_created as sequence 1"), "{out}");
    system.settle().await;
    let stored: Vec<(i64, String, String)> = system
        .rows("SELECT chat_id, properties->>'estimated_total', properties->>'user_segment' FROM analytics_events")
        .await;
    assert_eq!(stored, [(-42, "15000.50".to_owned(), "returning visitor, [phone]".to_owned())]);
    assert_eq!(letters(&system).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flawed_event_is_named_and_ends_in_the_dead_letters() {
    let system = System::start().await;
    let said = system.says(&["track", "booking_request_created", "--chat-id=1", "--property=booking_id=1.5"]);
    said.complaining(1, &["dead letters", "missing_property", "properties.services_count", "properties.booking_id"]);
    assert!(said.out.contains("published to analytics.booking_request_created"), "{said:?}");
    let said = system.says(&["track", "Booking Created!", "--chat-id=1"]);
    said.complaining(1, &["dead letters", "bad_event_name"]);
    assert!(said.out.contains("published to analytics._invalid"), "{said:?}");
    let said = system.says(&["track", "review_left", "--chat-id=1", "--occurred-at=2016-01-01T00:00:00Z"]);
    said.complaining(1, &["occurred_at_out_of_range"]);

    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 0);
    let names: Vec<_> = letters(&system).await.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, [Some("booking_request_created".to_owned()), None, Some("review_left".to_owned())]);
    let kept = "SELECT count(*) FROM dead_letters WHERE convert_from(payload, 'UTF8')::jsonb->>'event_name' = 'Booking Created!'";
    assert_eq!(system.count(kept).await, 1);
}

const HISTORY: &str = r#"
{"event_name":"ai_dialog_started","chat_id":1,"occurred_at":"2019-05-01T12:00:00+03:00","properties":{}}
{"event_name":"review_left","chat_id":1,"occurred_at":"2019-05-01T12:00:01+03:00"}

{"event_id":"016a72b5-e740-7abc-8def-0123456789ab","event_name":"cart_confirmed","chat_id":2,"occurred_at":"2019-05-01T12:00:00+03:00"}
{"event_name":"ai_response_time","chat_id":1,"occurred_at":"2019-05-01T12:00:00+03:00","properties":{"duration_ms":"5","model_used":"m"}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_imported_twice_changes_nothing_and_names_its_flawed_lines() {
    let system = System::start().await;
    system.forget_ids_soon().await;
    let path = file(&system, "history.ndjson", HISTORY);
    let first = import(&system, &[], &path);
    first.complaining(1, &["1 flawed", "line=6", "wrong_type", "properties.duration_ms"]);
    let counted = "4 events, 1 flawed, 0 left out; 4 published (0 of them known to the broker)";
    assert!(first.out.contains(counted), "{first:?}");
    system.settle().await;
    let totals = "SELECT (SELECT count(*) FROM analytics_events) * 100 + (SELECT count(*) FROM dead_letters) * 10
        + (SELECT sum(events)::bigint FROM rollups.event_counts_hourly)";
    assert_eq!(system.count(totals).await, 313);

    // Past the broker's memory, so that the consumers see every line again.
    eventually("every line is taken anew", || async {
        let sequence = system.last_sequence().await;
        import(&system, &[], &path);
        system.last_sequence().await == sequence + 4
    })
    .await;
    system.settle().await;
    assert_eq!(system.count(totals).await, 313);
    assert_rollups_agree(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_file_is_imported_from_standard_input_too() {
    let system = System::start().await;
    let mut command = system.program();
    command.args(["import", "-"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut importing = command.spawn().unwrap();
    let good: Vec<_> = HISTORY.lines().filter(|line| line.contains("chat_id") && !line.contains("\"5\"")).collect();
    importing.stdin.take().unwrap().write_all(good.join("\n").as_bytes()).unwrap();
    let out = Said::from(importing.wait_with_output().unwrap()).well();
    assert!(out.contains("3 events, 0 flawed, 0 left out; 3 published"), "{out}");
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_names_the_flaws_and_publishes_nothing() {
    let system = System::start().await;
    let path = file(&system, "history.ndjson", &format!("{HISTORY}not even JSON\n"));
    let said = import(&system, &["--dry-run"], &path);
    said.complaining(1, &["line=6", "wrong_type", "line=7", "not_json"]);
    assert!(said.out.contains("5 events, 1 flawed, 1 left out; 0 published"), "{said:?}");
    assert_eq!(system.last_sequence().await, 0);
    let missing = system.dir().join("nowhere.ndjson");
    import(&system, &[], &missing).complaining(1, &["nowhere.ndjson", "No such file"]);
    let empty = file(&system, "empty.ndjson", "");
    let out = import(&system, &[], &empty).well();
    assert!(out.contains("0 events, 0 flawed, 0 left out"), "{out}");
}

/// Lines whose identity would hang on when they are received, or whose personal values nobody can find.
const UNFINDABLE: &str = r#"{"event_name":"ai_dialog_started","chat_id":1}
{"event_name":"review_left","chat_id":1,"occurred_at":"2019-05-01T12:00:01+03:00"}
{"event_name":"review_left","chat_id":1,"occurred_at":null,"event_id":null}
{"event_name":"review_left","chat_id":1,"occurred_at":"yesterday"}
{"event_name":"review_left","chat_id":1,"occurred_at":"2019-05-01T12:00:01+03:00","properties":{"x":"\ud83d"}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_line_that_a_second_import_would_double_is_named_and_left_out() {
    let system = System::start().await;
    let path = file(&system, "undated.ndjson", UNFINDABLE);
    let said = import(&system, &[], &path);
    said.complaining(
        1,
        &["line=1", "line=3", "line=4", "line=5", "occurred_at", "event_id", "bad_occurred_at", "unstorable_text"],
    );
    assert!(said.out.contains("5 events, 0 flawed, 4 left out; 1 published"), "{said:?}");
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 1);
    assert_eq!(letters(&system).await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_keys_of_pseudonyms_nothing_is_published_and_the_setting_is_named() {
    let system = System::start().await;
    let path = file(&system, "history.ndjson", HISTORY);
    let path = path.to_str().unwrap();
    for command in [&["track", "review_left", "--chat-id=1"][..], &["import", path]] {
        let said = Said::by(system.program().args(command).env_remove("VALERA_PSEUDONYM_KEYS_FILE"));
        said.complaining(1, &["VALERA_PSEUDONYM_KEYS_FILE is not set"]);
    }
    assert_eq!(system.last_sequence().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_after_a_new_pseudonym_key_stores_nothing_twice() {
    let system = System::start().await;
    system.forget_ids_soon().await;
    let line = r#"{"event_name":"review_left","chat_id":1,"occurred_at":"2019-05-01T12:00:01Z","properties":{"vin":"XTA1"}}"#;
    let path = file(&system, "people.ndjson", line);
    import(&system, &[], &path).well();
    let keys = std::fs::read_to_string(system.local.dir().join("pseudonym.keys")).unwrap();
    let rotated = format!("k2:{}\n{keys}", "5".repeat(64));
    eventually("the line is taken anew", || async {
        let sequence = system.last_sequence().await;
        let mut again = system.program();
        again.env_remove("VALERA_PSEUDONYM_KEYS_FILE").env("VALERA_PSEUDONYM_KEYS", &rotated);
        Said::by(again.arg("import").arg(&path)).well();
        system.last_sequence().await > sequence
    })
    .await;
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, 1);
    assert_eq!(letters(&system).await, [(Some("review_left".to_owned()), "conflicting_duplicate".to_owned())]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_too_long_for_the_broker_is_named_and_does_not_hold_up_the_rest() {
    let system = System::start().await;
    let line = |chat: i64, text: &str| {
        let event = json!({"event_name": "review_left", "chat_id": chat, "occurred_at": Utc::now(), "properties": {"x": text}});
        format!("{event}\n")
    };
    let path = file(&system, "long.ndjson", &[line(1, ""), line(2, &"x".repeat(2 << 20)), line(3, "")].concat());
    let said = import(&system, &[], &path);
    said.complaining(1, &["line=2", "at most 524288 bytes"]);
    assert!(said.out.contains("3 events, 0 flawed, 1 left out; 2 published"), "{said:?}");
}
