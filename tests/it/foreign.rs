//! Publishers and operators who never read this code: the `nats` CLI and nats-py, on our streams.
//!
//! The recount in `foreign/publisher.py` knows nothing of the rollups' SQL; it counts what it sent.

use crate::support::{Said, System, assert_rollups_agree, checkout, nats_cli, python};
use chrono::{SubsecRound, Utc};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use std::{collections::BTreeMap, path::PathBuf};
use uuid::Uuid;
use valera_analytics::embedded::{NatsOptions, NatsServer, Tools, scratch_dir};

#[tokio::test(flavor = "multi_thread")]
async fn an_event_sent_with_the_nats_cli_is_stored_and_counted() {
    let system = System::start().await;
    let occurred_at = Utc::now().trunc_subsecs(0).to_rfc3339();
    let body = json!({"chat_id": 42, "occurred_at": occurred_at, "properties": {"service_name": "{{Count}}"}});
    let publish = || {
        let mut cli = nats_cli(&system.environment().nats_url);
        cli.args(["pub", "--no-templates", "--jetstream", "-H", "Nats-Msg-Id:cli/1", "analytics.service_added"]);
        Said::by(cli.arg(body.to_string())).well()
    };
    // Without an ack, but before those that are acked.
    let mut bare = nats_cli(&system.environment().nats_url);
    Said::by(bare.args(["pub", "--no-templates", "analytics.ai_dialog_started", r#"{"chat_id":42}"#])).well();
    publish();
    publish();
    system.settle().await;
    let stored: Vec<(String, i64, Option<String>)> =
        system.rows("SELECT event_name, chat_id, properties->>'service_name' FROM analytics_events ORDER BY 1").await;
    let expected = [("ai_dialog_started", None), ("service_added", Some("{{Count}}"))];
    assert_eq!(stored, expected.map(|(name, service)| (name.to_owned(), 42, service.map(str::to_owned))));
    assert_eq!(system.count("SELECT sum(added)::bigint FROM rollups.service_suggestions_daily").await, 1);
    assert_eq!(system.count("SELECT events FROM rollups.chats WHERE chat_id = 42").await, 2);
    assert_eq!(system.count("SELECT count(*) FROM dead_letters").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_publishers_own_recount_agrees_with_every_rollup() {
    let system = System::start().await;
    let seed: u32 = rand::random();
    println!("the seed: {seed}");
    let script = checkout().join("tests/it/foreign/publisher.py");
    let mut publisher = python();
    publisher.arg(script).args([&system.environment().nats_url, &seed.to_string(), "4000"]);
    let recount: Value = serde_json::from_str(&Said::by(&mut publisher).well()).unwrap();
    system.settle().await;

    assert_eq!(system.count("SELECT count(*) FROM dead_letters").await, 0);
    assert_eq!(json!(system.count("SELECT count(*) FROM analytics_events").await), recount["events"], "seed {seed}");
    let ids: Vec<Uuid> = serde_json::from_value(recount["ids"].clone()).unwrap();
    let stored: i64 = sqlx::query_scalar("SELECT count(*) FROM analytics_events WHERE event_id = ANY($1)")
        .bind(&ids)
        .fetch_one(&mut system.postgres().await)
        .await
        .unwrap();
    assert_eq!(stored, ids.len() as i64, "seed {seed}");
    let mut connection = system.postgres().await;
    let said = "CREATE FUNCTION pg_temp.said(timestamptz) RETURNS text LANGUAGE sql
        RETURN to_char($1 AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')";
    sqlx::raw_sql(said).execute(&mut connection).await.unwrap();
    for (table, columns) in KEPT {
        let kept = rows(&mut connection, table, columns).await;
        let counted = recount[table.trim_start_matches("rollups.")].as_array().unwrap();
        assert_eq!(sorted(&kept), sorted(counted), "{table}, seed {seed}");
    }
    let figures = |rows: &[Value]| -> BTreeMap<(String, String), Vec<f64>> {
        let rows = rows.iter().map(|row| serde_json::from_value(row.clone()).unwrap());
        rows.map(|(hour, model, p50, p95, p99)| ((hour, model), vec![p50, p95, p99])).collect()
    };
    let kept = figures(&rows(&mut connection, "rollups.response_times_hourly", QUANTILES).await);
    let exact = figures(recount["quantiles"].as_array().unwrap());
    assert!(kept.keys().eq(exact.keys()), "seed {seed}");
    for (key, exact) in exact {
        let near = |(kept, exact): (&f64, &f64)| (kept - exact).abs() <= exact * 0.01 + 0.5;
        assert!(kept[&key].iter().zip(&exact).all(near), "{key:?}: {:?} for {exact:?}, seed {seed}", kept[&key]);
    }
    assert_rollups_agree(&system).await;
}

/// What the recount has to agree with, row by row.
const KEPT: [(&str, &str); 11] = [
    ("analytics_events", "event_name, chat_id, pg_temp.said(occurred_at), platform"),
    ("rollups.event_counts_hourly", "pg_temp.said(hour), event_name, platform, events"),
    (
        "rollups.errors_hourly",
        "pg_temp.said(hour), error_class, context, errors, pg_temp.said(first_at), pg_temp.said(last_at)",
    ),
    (
        "rollups.chat_days",
        "day, chat_id, events, errors, pg_temp.said(first_dialog_at), pg_temp.said(first_suggestion_at),
            pg_temp.said(first_service_added_at), pg_temp.said(first_cart_confirmed_at), pg_temp.said(first_booking_at)",
    ),
    (
        "rollups.chat_weeks",
        "week, chat_id, events, errors, pg_temp.said(first_dialog_at), pg_temp.said(first_suggestion_at),
            pg_temp.said(first_service_added_at), pg_temp.said(first_cart_confirmed_at), pg_temp.said(first_booking_at)",
    ),
    (
        "rollups.funnel_daily",
        "day, chats, dialogs, suggestions, services_added, carts_confirmed, bookings, dialogs_with_suggestion,
            dialogs_with_booking, conversion_rate::text, conversion_of_chats::text",
    ),
    (
        "rollups.funnel_weekly",
        "week, chats, dialogs, suggestions, services_added, carts_confirmed, bookings, dialogs_with_suggestion,
            dialogs_with_booking, conversion_rate::text, conversion_of_chats::text",
    ),
    (
        "rollups.service_suggestions_daily",
        "day, service_name, suggested, accepted, added, trim_scale(confidence_sum)::text, avg_confidence::text",
    ),
    (
        "rollups.response_times_hourly",
        "pg_temp.said(hour), model_used, responses, slow_responses, total_ms, min_ms, max_ms",
    ),
    ("rollups.response_time_bins_hourly", "pg_temp.said(hour), model_used, bin, responses"),
    (
        "rollups.chats",
        "chat_id, events, bookings, pg_temp.said(first_seen_at), pg_temp.said(last_seen_at), user_segment",
    ),
];

const QUANTILES: &str = "pg_temp.said(hour), model_used, p50_ms, p95_ms, p99_ms";

async fn rows(connection: &mut PgConnection, table: &str, columns: &str) -> Vec<Value> {
    let query = format!("SELECT json_build_array({columns}) FROM {table}");
    sqlx::query_scalar(AssertSqlSafe(query)).fetch_all(connection).await.unwrap()
}

fn sorted(rows: &[Value]) -> Vec<String> {
    let mut rows: Vec<_> = rows.iter().map(Value::to_string).collect();
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nats_cli_shows_our_stream_and_its_consumers() {
    let system = System::start().await;
    let url = &system.environment().nats_url;
    let stream = Said::by(nats_cli(url).args(["stream", "info", "ANALYTICS", "--json"])).well();
    let stream: Value = serde_json::from_str(&stream).unwrap();
    assert_eq!(stream["config"]["subjects"], json!(["analytics.>"]));
    let shown = Said::by(nats_cli(url).args(["stream", "info", "ANALYTICS"])).well();
    assert!(shown.contains("analytics.>"), "{shown}");
    let report = Said::by(nats_cli(url).args(["consumer", "report", "ANALYTICS"])).well();
    assert!(report.contains("persister") && report.contains("rollups"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nats_cli_makes_our_streams_and_consumers_from_our_files() {
    let dir = scratch_dir().unwrap();
    let tools = Tools::locate().unwrap();
    let server = NatsServer::start(&tools, dir.path().join("nats"), NatsOptions::default()).await.unwrap();
    for stream in json_files("streams") {
        Said::by(nats_cli(&server.url()).args(["stream", "add", "--config"]).arg(stream)).well();
    }
    for consumer in json_files("consumers") {
        let is_channel = consumer.file_name().unwrap().to_str().unwrap().starts_with("notify_");
        let stream = if is_channel { "ALERTS" } else { "ANALYTICS" };
        Said::by(nats_cli(&server.url()).args(["consumer", "add", stream, "--config"]).arg(consumer)).well();
    }
    let context = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let differences = valera_pipeline::topology::diff(&context).await.unwrap();
    let differences: Vec<_> = differences.iter().map(ToString::to_string).collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

fn json_files(folder: &str) -> Vec<PathBuf> {
    let folder = checkout().join("nats").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}
