//! A person's phone, e-mail and card in every field of every event that the SDK sends: found nowhere afterwards, not in the
//! spool, not in the stream, not in the tables, the dead letters or the logs.

use super::spool;
use crate::{
    canary::{CANARIES, assert_clean, assert_clean_spool, assert_found_nowhere, free_text, personal},
    support::{Speaker, System, enable},
};
use serde_json::{Value, json};
use std::{fs::File, process::Command};
use valera_events::catalogue::EVENTS;

/// Every event of the catalogue with canaries under every property, whatever its type, and in the envelope.
pub(crate) fn lines() -> Vec<Value> {
    let mut lines = Vec::new();
    for canary in CANARIES.iter().map(ToString::to_string).chain([free_text()]) {
        for spec in EVENTS {
            let everywhere = spec.properties.iter().map(|property| (property.name.to_owned(), json!(canary)));
            let everywhere: serde_json::Map<_, _> = everywhere.collect();
            lines.push(json!({"event": spec.name, "chat_id": 1, "properties": everywhere}));
            lines.push(json!({"event": spec.name, "chat_id": 1, "properties": personal()}));
            // One field at a time, so that the others keep the event whole.
            for property in spec.properties {
                let mut properties: serde_json::Map<_, _> = spec.properties.iter().map(example).collect();
                properties.insert(property.name.to_owned(), json!(canary));
                lines.push(json!({"event": spec.name, "chat_id": 1, "properties": properties}));
                properties.insert(property.name.to_owned(), json!([{"phone_number": canary, "a": [canary]}]));
                lines.push(json!({"event": spec.name, "chat_id": 1, "properties": properties}));
            }
        }
        let envelope = json!({"session_id": canary, "platform": canary, "event": canary, "chat_id": 1});
        for field in ["session_id", "platform", "event"] {
            let mut line = json!({"event": "review_left", "chat_id": 1, "properties": personal()});
            line[field] = envelope[field].clone();
            lines.push(line);
        }
    }
    lines
}

fn example(property: &valera_events::catalogue::PropertySpec) -> (String, Value) {
    (property.name.to_owned(), serde_json::from_str(property.example).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_the_bot_lets_slip_is_found_nowhere() {
    let mut system = System::start().await;
    system.local.nats.kill().await.unwrap();
    let log = system.dir().join("bot.log");
    let mut command = Command::new(env!("CARGO_BIN_EXE_speaker"));
    enable(&mut command, &system, &spool(&system));
    command.arg("--leave").env("VALERA_LOG", "trace").stderr(File::create(&log).unwrap());
    let mut bot = Speaker::of(command);
    let lines = lines();
    lines.iter().for_each(|line| assert!(bot.tell(line)));
    let said = bot.end();
    assert_eq!(said.len(), lines.len());
    let kept = said.iter().filter(|word| *word == "queued" || *word == "flawed").count();
    assert_eq!(kept, lines.len());

    assert_clean_spool(&spool(&system));

    system.local.nats.restart().await.unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_speaker"));
    enable(&mut command, &system, &spool(&system));
    command.env("VALERA_LOG", "trace").stderr(File::options().append(true).open(&log).unwrap());
    Speaker::of(command).end();
    let said = std::fs::read_to_string(&log).unwrap();
    assert!(said.contains("the spool is open"), "the log says nothing:\n{said}");
    assert_clean("the bot's log", &said);

    assert_found_nowhere(&system, lines.len() as u64).await;
}
