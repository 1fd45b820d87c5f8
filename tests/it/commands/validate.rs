//! `validate`: what would end in the dead letters is named before anything is published, without a server.

use super::file as file_of;
use crate::support::{Said, System, checkout, event, program};
use chrono::{SecondsFormat, SubsecRound, TimeDelta, Utc};
use serde_json::{Value, json};
use std::{io::Write, path::Path, process::Stdio};
use valera_analytics::embedded::scratch_dir;
use valera_events::Catalogue;
use valera_pipeline::service::Service;

const EVENTS: &str = r#"{"event_name":"ai_dialog_started","chat_id":1}

{"event_name":"booking_request_created","chat_id":1,"properties":{"booking_id":1.5,"estimated_total":"1.00"}}
{"event_name":"review_left","chat_id":1}
not even JSON
{"event_name":"cart_confirmed","chat_id":1,"properties":{"phone_number":"+79161234567","servces_count":2}}
{"chat_id":1}
"#;

/// As written into a file of that name in a directory that goes with the result.
fn file(name: &str, text: &str) -> (tempfile::TempDir, String) {
    let dir = scratch_dir().unwrap();
    let path = dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(&path, text).unwrap();
    (dir, path)
}

fn validate(arguments: &[&str]) -> Said {
    // No server is there, and no key.
    Said::by(program().arg("validate").args(arguments))
}

fn validate_input(arguments: &[&str], input: &str) -> Said {
    let mut command = program();
    command.arg("validate").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut validating = command.spawn().unwrap();
    validating.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Said::from(validating.wait_with_output().unwrap())
}

#[test]
fn each_flaw_is_named_with_its_line_its_path_and_what_is_expected() {
    let (_dir, path) = file("events.ndjson", EVENTS);
    let said = validate(&[&path]);
    said.complaining(1, &["3 of 6 events would end in the dead letters"]);
    let out = said.out.replace(&path, "events.ndjson");
    insta::assert_snapshot!(out, @r"
    events.ndjson:3: wrong_type at properties.booking_id: expected a string, or an integer of 64 bits; got a number with a fraction or an exponent
    events.ndjson:3: missing_property at properties.services_count: expected an integer from 0 to 2147483647, written without fraction and exponent; got nothing
    events.ndjson:4: undeclared event review_left
    events.ndjson:5: not_json: expected one JSON object and nothing else; the syntax breaks at line 1, column 2
    events.ndjson:6: undeclared at properties.servces_count: cart_confirmed declares no such property
    events.ndjson:7: bad_event_name at event_name: expected a name, which makes the subject; for events without one give --event or --subject
    6 events, 3 rejected, 2 undeclared
    ");
    assert!(!out.contains("7916"), "a value is shown");
}

#[test]
fn good_events_pass_whether_in_lines_an_array_or_a_document_of_their_own() {
    let event = json!({"event_name": "ai_dialog_started", "chat_id": 1, "occurred_at": Utc::now()});
    let array = json!([event, event]);
    for (text, events) in [
        (format!("{event}\n{event}\n"), 2),
        (format!("{event:#}"), 1),
        (format!("{array}"), 2),
        (format!("{array:#}\n"), 2),
    ] {
        let out = validate_input(&["--strict"], &text).well();
        assert_eq!(out, format!("{events} events, 0 rejected, 0 undeclared\n"), "{text}");
    }
    let broken = validate_input(&[], &format!("{array:#}").replace(']', ""));
    broken.complaining(1, &["1 of 1 events"]);
    assert!(broken.out.contains("-:1: not_"), "{broken:?}");
    let spoilt = format!("{array:#}").replacen("\"chat_id\": 1", "\"chat_id\": \"1\"", 1);
    let said = validate_input(&[], &spoilt);
    assert!(said.out.contains("-:2:[0] bad_chat_id at chat_id"), "{said:?}");
}

#[test]
fn the_schemas_own_examples_are_valid() {
    let examples: Value =
        serde_json::from_str(&std::fs::read_to_string(checkout().join("schemas/asyncapi.json")).unwrap()).unwrap();
    let messages = examples["components"]["messages"].as_object().unwrap();
    let bodies = Catalogue::OURS.events().iter().map(|spec| messages[spec.name]["examples"][0]["payload"].clone());
    let (_dir, path) = file("examples.json", &Value::from_iter(bodies).to_string());
    let out = validate(&[&path, "--strict", "--received-at", "2025-11-01T12:00:00Z"]).well();
    assert!(out.contains(" 0 rejected, 0 undeclared"), "{out}");
    let late = validate(&[&path, "--received-at", "2035-11-01T12:00:00Z"]);
    assert!(late.out.contains("occurred_at_out_of_range at occurred_at"), "{late:?}");
}

#[test]
fn what_is_undeclared_fails_only_where_that_is_asked_for() {
    let (_dir, path) = file("events.ndjson", "{\"event_name\":\"review_left\",\"chat_id\":1}\n");
    let out = validate(&[&path]).well();
    assert!(out.contains("undeclared event review_left") && out.contains("0 rejected, 1 undeclared"), "{out}");
    validate(&[&path, "--strict"]).complaining(1, &["1 of 1 events", "--strict"]);
    let mut catalogue = Catalogue::OURS.to_json().unwrap();
    let mut declared = catalogue["events"][0].clone();
    declared["name"] = json!("review_left");
    catalogue["events"].as_array_mut().unwrap().push(declared);
    let changed = Path::new(&path).with_file_name("catalogue.json");
    std::fs::write(&changed, catalogue.to_string()).unwrap();
    validate(&[&path, "--strict", "--catalogue", changed.to_str().unwrap()]).well();
}

#[test]
fn a_name_or_a_subject_can_be_given_for_bodies_without_one() {
    let body = r#"{"chat_id":1,"properties":{"services_count":"2"}}"#;
    for arguments in [["--event", "cart_confirmed"], ["--subject", "analytics.cart_confirmed"]] {
        let said = validate_input(&arguments, body);
        said.complaining(1, &["1 of 1 events"]);
        assert!(said.out.contains("wrong_type at properties.services_count"), "{said:?}");
    }
    let other = r#"{"event_name":"service_added","chat_id":1}"#;
    validate_input(&["--event", "cart_confirmed"], other).well();
    let said = validate_input(&["--subject", "analytics.cart_confirmed"], other);
    assert!(said.out.contains("name_mismatch at event_name"), "{said:?}");
}

#[test]
fn programs_read_the_verdict_as_json() {
    let said = validate_input(&["--json"], EVENTS);
    assert_eq!(said.code, Some(1));
    let report: Value = serde_json::from_str(&said.out).unwrap();
    let counts = ["events", "rejected", "undeclared", "unnamed"].map(|count| report[count].as_u64().unwrap());
    assert_eq!(counts, [6, 3, 2, 0]);
    let booking = &report["findings"][0];
    assert_eq!((&booking["file"], &booking["line"]), (&json!("-"), &json!(3)));
    assert_eq!(booking["event_name"], "booking_request_created");
    let missing = booking["reasons"].as_array().unwrap().iter().find(|reason| reason["reason"] == "missing_property");
    assert_eq!(missing.unwrap()["path"], "properties.services_count");
    let misspelt =
        report["findings"].as_array().unwrap().iter().find(|finding| finding["event_name"] == "cart_confirmed");
    assert_eq!(misspelt.unwrap()["undeclared"], json!(["properties.servces_count"]));
}

#[test]
fn nothing_checked_is_no_success_and_what_cannot_be_read_is_wrong_usage() {
    validate_input(&[], "\n\n").complaining(1, &["no events"]);
    validate(&["/nowhere.ndjson"]).complaining(2, &["/nowhere.ndjson", "No such file"]);
    validate(&["/"]).complaining(2, &["reading /", "directory"]);
    validate(&["--catalogue", "/nowhere.json"]).complaining(2, &["/nowhere.json"]);
    validate(&["--event", "Cart"]).complaining(2, &["--event", "lower-case"]);
    validate(&["--subject", "alerts.booking"]).complaining(2, &["--subject", "analytics."]);
}

#[test]
fn a_line_without_end_is_named_and_the_next_one_judged() {
    let said = validate_input(
        &[],
        &format!("{{\"x\":\"{}\"}}\n{{\"event_name\":\"a\",\"chat_id\":\"1\"}}\n", "x".repeat(9 << 20)),
    );
    said.complaining(1, &["2 of 2 events"]);
    assert!(said.out.contains("-:1: too_large") && said.out.contains("-:2: bad_chat_id at chat_id"), "{said:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn published_events_are_waited_for_until_each_has_arrived_or_is_named() {
    let system = System::start().await;
    let at = (Utc::now() - TimeDelta::minutes(1)).trunc_subsecs(6);
    let known = event("ai_dialog_started", 1, at, json!({"message_type": "text"}));
    let flawed = event("cart_confirmed", 1, at, json!({"services_count": "2"}));
    let never = event("cart_confirmed", 2, at, json!({}));
    let time = at.to_rfc3339_opts(SecondsFormat::Micros, true);
    let nameless = json!({"event_name": "service_added", "chat_id": 3, "occurred_at": time}).to_string();
    known.publish(&system).await;
    flawed.publish(&system).await;
    system.publish("analytics.service_added", &[("Nats-Msg-Id", "cart/3")], nameless.clone()).await;
    let text = |events: &[String]| events.join("\n");
    let line = |event: &crate::support::EventBuilder| String::from_utf8(event.body().to_vec()).unwrap();

    let persister = system.run(Service::Persister);
    let arrived = file_of(&system, "arrived.ndjson", &text(&[line(&known), nameless.clone()]));
    let out = system.says(&["validate", "--arrived", "--within", "1m", arrived.to_str().unwrap()]).well();
    assert_eq!(out, "2 events, 0 rejected, 0 undeclared, 0 not arrived\n");
    let other = known.clone().with("chat_id", json!(9));
    let unknowable = r#"{"event_name":"service_added","chat_id":3}"#.to_owned();
    let all = [line(&known), line(&flawed), nameless, line(&never), line(&other), unknowable];
    let path = file_of(&system, "sent.ndjson", &text(&all));
    let said = system.says(&["validate", "--arrived", "--within", "1s", path.to_str().unwrap()]);
    persister.stop().await;
    said.complaining(1, &["3 of 6 events have not arrived, 1 are in the dead letters"]);
    let named: Vec<_> =
        said.out.lines().map(|line| line.rsplit_once(".ndjson:").map_or(line, |(_, said)| said)).collect();
    assert!(named[0].starts_with("2: wrong_type at properties.services_count"), "{named:#?}");
    assert!(named[1].starts_with("4: cart_confirmed has not arrived: not within 1s"), "{named:#?}");
    assert_eq!(named[2], "5: ai_dialog_started has not arrived: another event is stored under its event_id");
    assert!(named[3].starts_with("6: service_added has not arrived: cannot be found"), "{named:#?}");
    assert_eq!(named[4], "6 events, 1 rejected, 0 undeclared, 3 not arrived");
    Said::by(program().args(["validate", "--arrived"])).complaining(2, &["--database-url"]);
}
