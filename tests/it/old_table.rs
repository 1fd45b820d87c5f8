//! The rows of the first design's table, exported with the client's SQL and imported.

use crate::support::{Said, System, assert_rollups_agree, checkout};
use serde_json::{Value, json};
use sqlx::{Connection, Executor, PgConnection};
use std::process::Command;
use valera_analytics::embedded::Tools;

/// As the first design's migration makes it, and what its service and its jobs left there.
const OLD: &str = r#"
CREATE TABLE analytics_events (
    id bigserial PRIMARY KEY, event_name varchar(50) NOT NULL, chat_id bigint NOT NULL, session_id varchar(64),
    properties jsonb NOT NULL DEFAULT '{}', occurred_at timestamp(6) NOT NULL, platform varchar(20) DEFAULT 'telegram',
    created_at timestamp(6) NOT NULL DEFAULT now(), updated_at timestamp(6) NOT NULL DEFAULT now());
INSERT INTO analytics_events (event_name, chat_id, session_id, properties, occurred_at, platform)
SELECT name, chat_id, md5(chat_id::text), properties::jsonb, timezone('UTC', now()) - back::interval, platform FROM (VALUES
    ('ai_dialog_started', 42, '{"message_type": "text", "platform": "telegram"}', '3 days', 'telegram'),
    ('ai_dialog_started', 42, '{"message_type": "text", "platform": "telegram"}', '3 days', 'telegram'),
    ('ai_dialog_started', 42, '{"message_type": "text", "platform": "telegram"}', '3 days 0.000001 seconds', NULL),
    ('booking_request_created', 42, '{"booking_id": 7, "services_count": 1, "estimated_total": "15000.50",
        "user_segment": null}', '2 days', 'telegram'),
    ('booking_request_created', -100123, '{"booking_id": 8}', '2 days', 'telegram'),
    ('review_left', 43, '{"text": "\"Отлично\"\n\\ 100 % \u0001 , \u2028", "by": "+7 916 123-45-67"}', '1 day', 'telegram'),
    ('Review Left', 43, '{}', '1 day', 'telegram'),
    ('ai_response_time', 43, '{"duration_ms": 1830, "model_used": "deepseek-chat", "timestamp": 1764000000.123456}', '1 hour', 'web'),
    ('ai_dialog_started', 44, '{}', '800 days', 'telegram'),
    ('ai_dialog_started', 44, '{}', '5000 days', 'telegram')
) AS rows (name, chat_id, properties, back, platform)"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_rows_of_the_first_designs_table_are_imported_once_however_often() {
    let system = System::start().await;
    let url = system.local.postgres.url();
    system.postgres().await.execute("CREATE DATABASE rails").await.unwrap();
    let (server, _) = url.rsplit_once('/').unwrap();
    let rails = format!("{server}/rails");
    PgConnection::connect(&rails).await.unwrap().execute(OLD).await.unwrap();

    let mut psql = Command::new(Tools::locate().unwrap().postgres_bin.join("psql"));
    psql.args([&rails, "-X", "-v", "ON_ERROR_STOP=1", "-f"]).arg(checkout().join("clients/ruby/old_events.sql"));
    let lines = Said::by(psql.env("PGTZ", "Asia/Tokyo")).well();
    assert_eq!(lines.lines().count(), 10, "{lines}");
    let path = system.dir().join("old_events.ndjson");
    std::fs::write(&path, &lines).unwrap();
    for _ in 0..2 {
        let said = system.says(&["import", path.to_str().unwrap()]);
        assert_eq!(said.code, Some(1), "{said:?}");
        assert!(said.out.starts_with("10 events, 2 flawed, 1 left out; 9 published"), "{said:?}");
        system.settle().await;
    }

    let stored: Vec<(String, i64, Value, String)> = system
        .rows("SELECT event_name, chat_id, properties, platform FROM analytics_events ORDER BY occurred_at")
        .await;
    let dialog = json!({"message_type": "text", "platform": "telegram"});
    let [_long_ago, first, second, booking, review, answer] = stored.as_slice() else { panic!("{stored:#?}") };
    for stored in [first, second] {
        assert_eq!(stored, &("ai_dialog_started".to_owned(), 42, dialog.clone(), "telegram".to_owned()));
    }
    assert_eq!(booking.2["estimated_total"], json!(15000.5));
    assert_eq!(review.2["text"], "\"Отлично\"\n\\ 100 % \u{1} , \u{2028}");
    assert!(!review.2.to_string().contains("916"), "{review:?}");
    assert_eq!((answer.0.as_str(), answer.3.as_str()), ("ai_response_time", "web"));
    let known = "SELECT count(*) FROM analytics_events WHERE occurred_at BETWEEN now() - interval '3 days 1 minute'
        AND now() - interval '1 hour' AND session_id IS NOT NULL AND session_id <> md5(chat_id::text)";
    assert_eq!(system.count(known).await, 5);
    let reasons: Vec<(Value,)> = system
        .rows(
            "SELECT jsonb_path_query_array(reasons, '$[*].reason') FROM dead_letters ORDER BY reasons->0->>'reason'",
        )
        .await;
    assert_eq!(reasons, [(json!(["bad_event_name"]),), (json!(["missing_property", "missing_property"]),)]);
    assert_rollups_agree(&system).await;
}
