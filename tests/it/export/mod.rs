//! `export`: what is stored leaves whole, once, and comes back as it was, into whatever database has the same keys.

mod back;

use crate::support::{Load, System, event};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};
use valera_pipeline::compressed::Frames;

/// All that there is, in `file` of the system's directory.
fn exported(system: &System, file: &str) -> PathBuf {
    let out = system.dir().join(file);
    system.says(&["export", "--out", text(&out)]).well();
    out
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Load, and what is hard to keep: pseudonyms, sessions as sent, spellings of numbers, long texts and many digits.
async fn system_with_history() -> System {
    let system = System::start().await;
    Load::start(&system, 2_000, 400).await.stop().await;
    let now = Utc::now();
    let spelled =
        r#"{"price": 15000.50, "tiny": 1e-7, "text": "Ж\u0001\n\"quoted\" \\ 🚗", "phone_number": "+79161234567"}"#;
    let spelled =
        format!(r#"{{"chat_id": -100, "session_id": "a \"session\"", "platform": "web", "properties": {spelled}}}"#);
    system.publish("analytics.review_left", &[], spelled).await;
    let long = json!({"numbers": vec![serde_json::from_str::<Value>("1e300").unwrap(); 6_000]});
    for chat in 0..8 {
        event("review_left", chat, now, long.clone()).publish(&system).await;
        event("review_left", chat, now, json!({"text": "я".repeat(20_000)})).publish(&system).await;
    }
    system.settle().await;
    system
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_every_stored_event_once_in_the_order_of_ids_whatever_its_form() {
    let system = system_with_history().await;
    let plain = fs::read(exported(&system, "events.ndjson")).unwrap();
    let compressed = fs::read(exported(&system, "events.ndjson.zst")).unwrap();
    let piped = system.says(&["export", "--out", "-"]).well();
    let mut unpacked = Vec::new();
    Frames::new(&compressed[..]).read_to_end(&mut unpacked).unwrap();
    assert_eq!(unpacked, plain);
    assert_eq!(piped.as_bytes(), plain);
    assert!(compressed.len() * 3 < plain.len());

    let lines: Vec<Value> = piped.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids: Vec<_> = lines.iter().map(|line| line["event_id"].as_str().unwrap()).collect();
    let stored: Vec<(String,)> = system.rows("SELECT event_id::text FROM analytics_events ORDER BY event_id").await;
    assert_eq!(ids, stored.iter().map(|(id,)| id.as_str()).collect::<Vec<_>>());
    let spelled = piped.lines().find(|line| line.contains("15000.50")).unwrap();
    assert!(spelled.contains("0.0000001") && spelled.contains("🚗"), "{spelled}");
    assert!(!piped.contains("9161234567"));
    let left: Vec<_> = fs::read_dir(system.dir()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".part")), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_is_chosen_by_local_day_by_time_and_by_event() {
    let system = System::start().await;
    // Days are cut in Moscow: 22:00 in UTC is the next one.
    for (chat, (name, at)) in [
        ("cart_confirmed", "2026-10-31T20:59:59.999999Z"),
        ("cart_confirmed", "2026-10-31T21:00:00Z"),
        ("ai_dialog_started", "2026-11-01T12:00:00Z"),
        ("cart_confirmed", "2026-11-01T20:59:59.999999Z"),
        ("cart_confirmed", "2026-11-01T21:00:00Z"),
    ]
    .into_iter()
    .enumerate()
    {
        event(name, chat as i64, at.parse::<DateTime<Utc>>().unwrap(), json!({})).publish(&system).await;
    }
    system.settle().await;
    let chats = |part: &[&str]| {
        let said = system.says(&[&["export", "--out", "-"], part].concat()).well();
        let mut chats: Vec<_> = said
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["chat_id"].as_i64().unwrap())
            .collect();
        chats.sort_unstable();
        chats
    };
    assert_eq!(chats(&["--from", "2026-11-01", "--to", "2026-11-01"]), [1, 2, 3]);
    assert_eq!(chats(&["--from", "2026-11-01", "--event", "ai_dialog_started", "review_left"]), [2]);
    assert_eq!(chats(&["--from", "2026-11-01T12:00:00Z", "--to", "2026-11-01T21:00:00Z"]), [2, 3]);
    assert_eq!(chats(&["--to", "2026-10-31"]), [0]);
    assert!(chats(&["--event", "review_left"]).is_empty());
    assert!(chats(&["--from", "2030-01-01"]).is_empty());
    system.says(&["export", "--out", "-", "--from", "2026-11-02", "--to", "2026-11-01"]).complaining(2, &["--from"]);
    system.says(&["export", "--out", "-", "--from", "yesterday"]).complaining(2, &["2026-11-24"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn how_much_was_exported_is_told_to_programs_too() {
    let system = system_with_history().await;
    let out = system.dir().join("events.ndjson");
    let told: Value = serde_json::from_str(&system.says(&["export", "--out", text(&out), "--json"]).well()).unwrap();
    let written = fs::read(&out).unwrap();
    let events = written.iter().filter(|byte| **byte == b'\n').count();
    assert_eq!(told, json!([{"file": text(&out), "events": events, "bytes": written.len()}]));
    let csv = system.says(&["export", "--out", text(&out), "--csv"]).well();
    assert_eq!(csv, format!("file,events,bytes\r\n{},{events},{}\r\n", text(&out), written.len()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_that_nothing_matched_succeeds_and_remarks_on_it() {
    let system = system_with_history().await;
    for (part, remark) in [
        (&["--event", "nope", "neither"][..], "no event of nope, neither is stored"),
        (&["--from", "2030-01-01"], "no event in this period"),
    ] {
        let said = system.says(&[&["export", "--out", "-"], part].concat());
        said.complaining(0, &["note: ", remark]);
        assert_eq!(said.out, "");
    }
    let said = system.says(&["export", "--out", "-"]);
    assert!(!said.err.contains("note: "), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_an_export_is_a_failure_and_leaves_what_stood_there() {
    let system = system_with_history().await;
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = system.program();
    command.args(["export", "--out", "-"]).stdout(full).stderr(std::process::Stdio::null());
    assert_eq!(command.status().unwrap().code(), Some(1));
    system.says(&["export", "--out", "/dev/null"]).complaining(1, &["/dev/null is no regular file"]);

    // Postgres goes away in the middle of it, since the pipe is full.
    let mut command = system.program();
    command.args(["export", "--out", "-"]).stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::null());
    let mut exporting = command.spawn().unwrap();
    let waits =
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'valera export' AND state LIKE 'idle in%'";
    crate::support::eventually("it waits for its reader", async || system.count(waits).await > 0).await;
    drop(exporting.stdout.take());
    assert_eq!(exporting.wait().unwrap().code(), Some(1));

    let out = system.dir().join("kept.ndjson");
    fs::write(&out, "kept").unwrap();
    let key = system.dir().join("other.key");
    fs::write(&key, "ab".repeat(32)).unwrap();
    let refused = system.says(&["export", "--out", text(&out), "--content-key-file", text(&key)]);
    refused.complaining(1, &["key"]);
    // The cause comes first.
    assert!(refused.err.split(':').nth(1).unwrap().contains("fingerprint"), "{refused:?}");
    assert_eq!(fs::read_to_string(&out).unwrap(), "kept");
}
