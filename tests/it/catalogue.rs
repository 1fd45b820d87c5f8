//! The catalogue held against what is sent: a change that would refuse it is refused itself, and a fault that is live
//! already is named.

use crate::support::{System, event};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use std::path::PathBuf;
use valera_events::Catalogue;

/// The rendered catalogue, changed.
fn catalogue(system: &System, name: &str, change: impl FnOnce(&mut Value)) -> PathBuf {
    let mut file = Catalogue::OURS.to_json().unwrap();
    change(&mut file);
    let path = system.dir().join(name);
    std::fs::write(&path, file.to_string()).unwrap();
    path
}

fn booking(file: &mut Value) -> &mut Value {
    let events = file["events"].as_array_mut().unwrap();
    events.iter_mut().find(|event| event["name"] == "booking_request_created").unwrap()
}

/// Before somebody thought that bookings should say how many services they are for.
fn lenient(file: &mut Value) {
    let properties = booking(file)["properties"].as_array_mut().unwrap();
    let count = properties.iter_mut().find(|property| property["name"] == "services_count").unwrap();
    count["required"] = json!(false);
}

/// Three bookings as they are sent, one as the catalogue wants it, and dialogs, one of them with another's id.
async fn system_with_bookings() -> System {
    let system = System::start().await;
    let at = Utc::now() - TimeDelta::minutes(1);
    for chat in 1..=4 {
        event("ai_dialog_started", chat, at, json!({})).publish(&system).await;
        let mut properties = json!({"booking_id": chat, "estimated_total": 1});
        if chat == 4 {
            properties["services_count"] = json!(1);
        }
        event("booking_request_created", chat, at, properties).publish(&system).await;
    }
    let first = event("ai_dialog_started", 5, at, json!({}));
    first.publish(&system).await;
    event("ai_dialog_started", 6, at, json!({})).id(first.event_id()).unchecked_by_broker().publish(&system).await;
    system
}

#[tokio::test(flavor = "multi_thread")]
async fn a_catalogue_that_demands_what_nobody_sends_is_refused_before_it_judges() {
    let system = system_with_bookings().await;
    let now = catalogue(&system, "now.json", lenient);
    let demanding = catalogue(&system, "demanding.json", |_| {});
    let (now, demanding) = (now.to_str().unwrap(), demanding.to_str().unwrap());
    let check = ["catalogue", "check", demanding, "--from", now, "--against", "30d"];
    let said = system.says(&check);
    said.complaining(1, &["booking_request_created", "75.00 %", "missing_property at properties.services_count: 3"]);
    assert!(!said.err.contains("ai_dialog_started"), "{said:?}");
    let rows = system.says(&[&check[..], &["--json", "--max-share", "75%"]].concat()).well();
    let rows: Value = serde_json::from_str(&rows).unwrap();
    assert_eq!((&rows[1]["messages"], &rows[1]["refused"]), (&json!(4), &json!(3)), "{rows}");

    assert!(said.out.contains("dead letters that it mends: none\n"), "{said:?}");

    // What is recorded later than asked for does not count, and a catalogue that nothing speaks for does not pass.
    let later = ["catalogue", "check", demanding, "--from", now, "--against", "2999-01-01T00:00:00Z"];
    let nothing = ["nothing to judge by", "since 2999-01-01T00:00:00Z", "--against a longer span"];
    system.says(&later).complaining(1, &nothing);

    // The other way round it mends, also what stands in the dead letters; not what no catalogue refuses.
    system.settle().await;
    assert_eq!(
        system.count("SELECT count(*) FROM dead_letters WHERE reasons->0->>'reason' = 'conflicting_duplicate'").await,
        1
    );
    let table = system.says(&["catalogue", "check", now]).well();
    assert!(table.contains("dead letters that it mends: 3 of booking_request_created\n"), "{table}");
    // Of letters alone it is told what becomes of them, and what is accepted remains unknown.
    let said = system.says(&["catalogue", "check", now, "--against", "2999-01-01T00:00:00Z"]);
    said.complaining(1, &nothing);
    assert!(said.out.contains("3 of booking_request_created"), "{said:?}");
    let rows = system.says(&["catalogue", "check", now, "--json"]).well();
    let rows: Value = serde_json::from_str(&rows).unwrap();
    assert_eq!(
        (&rows[1]["refused"], &rows[1]["mended"], &rows[1]["letters_mended"]),
        (&json!(0), &json!(3), &json!(3))
    );
    assert_eq!((&rows[0]["event_name"], &rows[0]["letters_mended"]), (&json!("ai_dialog_started"), &json!(0)));
    let consumers =
        system.jetstream().await.get_stream("ANALYTICS").await.unwrap().cached_info().state.consumer_count;
    assert_eq!(consumers, 3, "a trial has left its consumer behind");
}

/// Three of four bookings are refused already; the one that is accepted is all that the change can take.
#[tokio::test(flavor = "multi_thread")]
async fn the_share_is_of_what_is_accepted_now_not_of_what_is_refused_already() {
    let system = system_with_bookings().await;
    let demanding = catalogue(&system, "demanding.json", |file| {
        let properties = booking(file)["properties"].as_array_mut().unwrap();
        let segment = properties.iter_mut().find(|property| property["name"] == "user_segment").unwrap();
        segment["required"] = json!(true);
    });
    let said = system.says(&["catalogue", "check", demanding.to_str().unwrap(), "--max-share", "99", "--json"]);
    said.complaining(1, &["booking_request_created", "100.00 %"]);
    let rows: Value = serde_json::from_str(&said.out).unwrap();
    let counts = ["messages", "accepted", "refused"].map(|count| &rows[1][count]);
    assert_eq!(counts, [&json!(4), &json!(1), &json!(1)], "{rows}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_no_catalogue_is_named() {
    let system = System::start().await;
    let path = catalogue(&system, "bad.json", |file| booking(file)["properties"][0]["type"] = json!("money"));
    system.says(&["catalogue", "check", path.to_str().unwrap()]).complaining(1, &["bad.json", "money"]);
    system.says(&["catalogue", "check", "/nowhere.json"]).complaining(1, &["/nowhere.json"]);
    system.says(&["catalogue", "check", "x", "--max-share", "200"]).complaining(2, &["percent"]);
}

fn row<'a>(report: &'a Value, event_name: &str) -> &'a Value {
    let events = report["events"].as_array().unwrap();
    events
        .iter()
        .find(|event| event["event_name"] == event_name)
        .unwrap_or_else(|| panic!("no {event_name}: {report}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_report_names_what_never_comes_what_comes_undeclared_and_what_went_silent() {
    let system = System::start().await;
    let now = Utc::now() - TimeDelta::minutes(1);
    event("ai_dialog_started", 1, now - TimeDelta::days(5), json!({})).publish(&system).await;
    event("cart_confirmed", 1, now, json!({})).publish(&system).await;
    event("review_left", 1, now, json!({})).publish(&system).await;
    for chat in 1..=3 {
        let lacking = json!({"booking_id": chat, "estimated_total": 1});
        event("booking_request_created", chat, now, lacking).publish(&system).await;
    }
    system.settle().await;
    let report = |arguments: &[&str]| -> Value {
        let said = system.says(&[&["catalogue", "report", "--json"], arguments].concat());
        serde_json::from_str(&said.well()).unwrap()
    };
    let before = report(&[]);
    for (event_name, state) in [
        ("ai_dialog_started", "silent"),
        ("cart_confirmed", "seen"),
        ("review_left", "undeclared"),
        ("booking_request_created", "never_seen"),
        ("error_occurred", "never_seen"),
    ] {
        assert_eq!(row(&before, event_name)["state"], state, "{event_name}: {before}");
    }
    let booking = row(&before, "booking_request_created");
    assert_eq!((&booking["rejected"], &booking["rejected_percent"]), (&json!(3), &json!("100.00")));
    assert_eq!(before["events"][0]["event_name"], "booking_request_created", "the worst comes first");
    let table = system.says(&["catalogue", "report"]).well();
    assert!(table.contains("never seen") && table.contains("100.00"), "{table}");
    assert!(table.contains("on the day on which they occurred; rejected"), "{table}");
    let patient = report(&["--silent", "240"]);
    assert_eq!(row(&patient, "ai_dialog_started")["state"], "seen");

    let set = ["--set", "properties.services_count=1"];
    system.says(&[&["dead-letters", "retry", "--all", "--wait", "0"], &set[..]].concat()).well();
    system.settle().await;
    let after = report(&[]);
    let booking = row(&after, "booking_request_created");
    assert_eq!((&booking["state"], &booking["accepted"]), (&json!("seen"), &json!(3)));
    assert_eq!((&booking["rejected"], &booking["repaired"]), (&json!(0), &json!(3)));
}
