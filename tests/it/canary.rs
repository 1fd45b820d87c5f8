//! A person's phone, e-mail and card, sent by a publisher who knows nothing of pseudonyms, in every place that may hold
//! them: none reaches a table, a rollup or a log line. The stream itself and the letters' payloads keep what was sent.
//! Sent by our own commands, they do not reach the stream either.

use crate::support::{Said, System, eventually};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use std::{fs::File, path::Path, process::Stdio};
use valera_events::catalogue::{EVENTS, EventSpec, PERSONAL_KEYS, PropertyKind, Sensitivity, find};
use valera_pipeline::service::STREAM;

/// What is sent, and what must then be found nowhere in any spelling.
pub(crate) const CANARIES: [&str; 4] =
    ["+7 916 555-01-23", "8(916)5550123", "canary.person@example.org", "4111 1111 1111 1111"];
const TRACES: [&str; 7] =
    ["555-01-23", "5550123", "79165550123", "canary.person", "example.org", "4111 1111", "4111111111111111"];

/// A text with all canaries in it.
pub(crate) fn free_text() -> String {
    format!("Звоните: {} или пишите на {}, карта {}.", CANARIES[0], CANARIES[2], CANARIES[3])
}

/// Every declared property filled, with canaries wherever a text is free or personal.
fn filled(spec: &EventSpec) -> Value {
    let properties = spec.properties.iter().map(|property| {
        let value = match property.sensitivity {
            Sensitivity::Plain => serde_json::from_str(property.example).unwrap(),
            Sensitivity::FreeText | Sensitivity::Personal => {
                assert_eq!(property.kind, PropertyKind::Text, "{}", property.name);
                json!(free_text())
            }
        };
        (property.name.to_owned(), value)
    });
    Value::Object(properties.collect())
}

/// Canaries under every personal key, in both cases, nested, and as numbers; and in undeclared strings at any depth.
pub(crate) fn personal() -> Value {
    let mut properties = json!({
        "note": free_text(), "list": [free_text(), {"deep": {"deeper": free_text()}}],
        "first": CANARIES[1], "second": CANARIES[3],
    });
    for (key, _) in PERSONAL_KEYS {
        properties[key] = json!(CANARIES[0]);
        properties[key.to_uppercase()] = json!({"value": [CANARIES[2], 79_165_550_123_i64]});
        properties[format!("of_{key}")] = json!({*key: CANARIES[3]});
    }
    properties
}

async fn send(system: &System, name: &str, properties: &Value) {
    let body = json!({"chat_id": 1, "properties": properties}).to_string();
    system.publish(&format!("analytics.{name}"), &[], body).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_is_found_in_no_table_no_rollup_and_no_log_line() {
    let system = System::start().await;
    let mut accepted = 0;
    for spec in EVENTS {
        send(&system, spec.name, &filled(spec)).await;
        let mut with_personal = filled(spec);
        with_personal.as_object_mut().unwrap().extend(personal().as_object().unwrap().clone());
        send(&system, spec.name, &with_personal).await;
        accepted += 2;
    }
    send(&system, "review_left", &personal()).await;
    accepted += 1;
    // Rejected, for their reasons and for what the log says of them.
    let rejected = [
        ("booking_request_created", personal()),
        ("ai_response_time", json!({"duration_ms": CANARIES[0], "model_used": 5})),
        ("review_left", json!({"a": "\0", "phone_number": CANARIES[0]})),
    ];
    for (name, properties) in &rejected {
        send(&system, name, properties).await;
    }
    let said = log_of_the_services(&system).await;

    assert_eq!(system.count("SELECT count(*) FROM analytics_events").await, accepted);
    assert_eq!(system.count("SELECT count(*) FROM dead_letters").await, 3);
    let blotted = "SELECT count(*) FROM analytics_events WHERE properties::text LIKE '%[phone]%[email]%[card]%'";
    assert!(system.count(blotted).await > 0, "nothing was blotted: were the canaries sent at all?");
    assert!(said.contains("committed"), "the log says nothing at all:\n{said}");
    assert_clean("the log", &said);
    for (table, rows) in everything_kept(&system).await {
        assert_clean(&table, &rows);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_our_own_commands_publish_holds_no_canary_even_in_the_stream() {
    let system = System::start().await;
    let mut track = system.program();
    track.args(["track", "review_left", "--chat-id=1"]);
    for (key, value) in personal().as_object().unwrap() {
        track.arg(format!("--property={key}={value}"));
    }
    Said::by(&mut track).well();
    // Rejected, yet cleaned: an operator will read it.
    Said::by(track.arg("--occurred-at=2016-01-01T00:00:00Z")).complaining(1, &["occurred_at_out_of_range"]);

    let line = |name: &str, properties: Value| json!({"event_name": name, "chat_id": 1, "occurred_at": "2020-01-01T00:00:00Z", "properties": properties});
    let mut lines: Vec<_> = EVENTS.iter().map(|spec| line(spec.name, filled(spec))).collect();
    lines.extend([line("review_left", personal()), line("booking_request_created", personal())]);
    let mut stray = line("review_left", json!([free_text()]));
    stray["phone_number"] = json!(79_165_550_123_i64);
    lines.push(stray);
    let text: Vec<_> = lines.iter().map(Value::to_string).collect();
    let path = system.dir().join("people.ndjson");
    std::fs::write(&path, text.join("\n") + "\nnot JSON: " + &free_text()).unwrap();
    let said = Said::by(system.program().arg("import").arg(&path));
    said.complaining(1, &["2 flawed", "1 left out"]);

    let stream = system.jetstream().await.get_stream(STREAM).await.unwrap();
    let last = system.last_sequence().await;
    assert_eq!(last, 2 + lines.len() as u64);
    for sequence in 1..=last {
        let message = stream.get_raw_message(sequence).await.unwrap();
        let text = format!("{:?} {}", message.headers, String::from_utf8_lossy(&message.payload));
        assert_clean(&format!("message {sequence}"), &text);
    }
}

/// The letter holds what a foreign publisher sent; what is published of it again does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_holds_no_canary_though_its_letter_does() {
    let system = System::start().await;
    let mut lacking = filled(find("service_suggested").unwrap());
    lacking.as_object_mut().unwrap().extend(personal().as_object().unwrap().clone());
    lacking["confidence_score"] = Value::Null;
    send(&system, "service_suggested", &lacking).await;
    system.settle().await;
    let set = ["--set", "properties.confidence_score=0.5"];
    system.says(&[&["dead-letters", "retry", "--all", "--wait", "0"], &set[..]].concat()).well();
    system.settle().await;
    assert_eq!(system.count("SELECT count(*) FROM dead_letters WHERE status_reason = 'stored'").await, 1);
    let stream = system.jetstream().await.get_stream(STREAM).await.unwrap();
    let message = stream.get_raw_message(2).await.unwrap();
    assert_clean("the retry", &format!("{:?} {}", message.headers, String::from_utf8_lossy(&message.payload)));
}

/// Nothing of the canaries is in the stream, in the services' log, in a table or in a letter, whatever its bytes.
pub(crate) async fn assert_found_nowhere(system: &System, messages: u64) {
    let stream = system.jetstream().await.get_stream(STREAM).await.unwrap();
    assert_eq!(system.last_sequence().await, messages);
    for sequence in 1..=messages {
        let message = stream.get_raw_message(sequence).await.unwrap();
        assert_clean("the stream", &String::from_utf8_lossy(&message.payload));
        assert_clean("the stream's headers", &format!("{:?} {}", message.headers, message.subject));
    }
    assert_clean("the services' log", &log_of_the_services(system).await);
    for (table, rows) in everything_kept(system).await {
        assert_clean(&table, &rows);
    }
    let letters: Vec<(Vec<u8>, String)> =
        system.rows("SELECT payload, coalesce(headers::text, '') FROM dead_letters").await;
    assert!(letters.len() > 20, "{} letters", letters.len());
    for (payload, headers) in letters {
        assert_clean("a letter", &format!("{} {headers}", String::from_utf8_lossy(&payload)));
    }
    let stored = system.count("SELECT count(*) FROM analytics_events").await;
    assert!(stored > 100, "{stored} events are stored");
}

/// The same of the files of a spool that has something in it.
pub(crate) fn assert_clean_spool(dir: &Path) {
    let mut spooled = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        spooled += bytes.len();
        assert_clean("the spool", &String::from_utf8_lossy(&bytes));
    }
    assert!(spooled > 100_000, "{spooled} bytes: were the events spooled at all?");
}

/// Runs the services as the product does, at a level that says much, until all is settled.
pub(crate) async fn log_of_the_services(system: &System) -> String {
    let path = system.dir().join("log");
    let mut command = system.program();
    command.args(["run", "all"]).env("VALERA_LOG", "debug").stdout(Stdio::null());
    let mut services = command.stderr(File::create(&path).unwrap()).spawn().unwrap();
    system.drained().await;
    // SAFETY-free way to ask it to stop: the shell's kill.
    let asked = std::process::Command::new("kill").arg(services.id().to_string()).status().unwrap();
    assert!(asked.success());
    eventually("the services have stopped", || {
        let ended = services.try_wait().unwrap();
        async move { ended.is_some() }
    })
    .await;
    std::fs::read_to_string(path).unwrap()
}

/// All rows of all tables and views of ours as text; of the letters only what is not the message itself.
pub(crate) async fn everything_kept(system: &System) -> Vec<(String, String)> {
    let tables: Vec<(String,)> = system
        .rows(
            "SELECT format('%I.%I', table_schema, table_name)
             FROM information_schema.tables
             WHERE table_schema IN ('public', 'rollups') AND table_name <> 'calendar'",
        )
        .await;
    assert!(tables.len() > 10, "{tables:?}");
    let mut all = Vec::new();
    for (table,) in tables {
        let query = format!(
            "SELECT coalesce(string_agg((to_jsonb(t) - 'payload' - 'headers')::text, E'\\n'), '') FROM {table} AS t"
        );
        let rows = sqlx::query_scalar(AssertSqlSafe(query)).fetch_one(&mut system.postgres().await).await.unwrap();
        all.push((table, rows));
    }
    all
}

#[track_caller]
pub(crate) fn assert_clean(place: &str, text: &str) {
    for trace in TRACES {
        let line = text.lines().find(|line| line.contains(trace));
        assert!(line.is_none(), "{trace:?} in {place}: {}", line.unwrap_or_default());
    }
}
