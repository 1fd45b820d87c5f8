//! `funnel`, `latency` and `status`: a table for people, JSON and CSV for programs, the same figures in each.

use crate::support::{Said, System, event, python};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};

/// An hour ago, so that neither the day nor the hour of the events is in doubt for `--days 2`.
async fn system_with_a_booking() -> System {
    let system = System::start().await;
    let at = Utc::now() - TimeDelta::minutes(1);
    let booking = json!({"booking_id": 1, "services_count": 1, "estimated_total": 1});
    for chat in [1, 2, 3] {
        event("ai_dialog_started", chat, at, json!({})).publish(&system).await;
        let answer = json!({"duration_ms": chat * 1_000 + 100, "model_used": "gpt"});
        event("ai_response_time", chat, at, answer).publish(&system).await;
    }
    event("booking_request_created", 1, at, booking).publish(&system).await;
    system.settle().await;
    system
}

fn json_of(said: Said) -> Value {
    serde_json::from_str(&said.well()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_say_the_same_as_tables_as_json_and_as_csv() {
    let system = system_with_a_booking().await;

    let table = system.says(&["funnel"]).well();
    assert!(table.contains("Dialogs") && table.contains("33.33"), "{table}");
    let days = json_of(system.says(&["funnel", "--days", "2", "--json"]));
    let [day] = days.as_array().unwrap().as_slice() else { panic!("{days}") };
    assert_eq!((&day["dialogs"], &day["bookings"], &day["conversion_rate"]), (&json!(3), &json!(1), &json!("33.33")));
    let csv = system.says(&["funnel", "--csv"]).well();
    let lines: Vec<_> = csv.split("\r\n").collect();
    assert!(lines[0].starts_with("day,chats,dialogs,"), "{csv}");
    assert_eq!(lines[1], format!("{},3,3,0,0,0,1,0,1,33.33", day["day"].as_str().unwrap()));

    let table = system.says(&["latency"]).well();
    assert!(table.contains("gpt") && table.contains("p95"), "{table}");
    let models = json_of(system.says(&["latency", "--days", "2", "--by", "whole", "--json"]));
    let [model] = models.as_array().unwrap().as_slice() else { panic!("{models}") };
    assert_eq!((&model["responses"], &model["slow_responses"]), (&json!(3), &json!(1)));
    assert_eq!((&model["avg_ms"], &model["max_ms"]), (&json!("2100.00"), &json!(3_100)));
    for by in ["hour", "day"] {
        let rows = json_of(system.says(&["latency", "--by", by, "--json"]));
        assert_eq!(rows[0]["responses"], json!(3), "{by}: {rows}");
    }
    assert!(system.says(&["latency", "--csv"]).well().starts_with("period,model,responses,"));

    let table = system.says(&["status"]).well();
    for part in ["persister", "rollups", "drained", "7 events counted", "0 open dead letters", "Europe/Moscow"] {
        assert!(table.contains(part), "no {part} in:\n{table}");
    }
    let consumers = json_of(system.says(&["status", "--json"]));
    assert_eq!((&consumers[0]["name"], &consumers[0]["pending"]), (&json!("persister"), &json!(0)));
    assert!(system.says(&["status", "--csv"]).well().starts_with("name,pending,"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_over_nothing_is_an_empty_answer_and_not_a_failure() {
    let system = System::start().await;
    assert!(system.says(&["funnel"]).well().contains("no events in this period"));
    assert_eq!(json_of(system.says(&["funnel", "--from", "2020-01-01", "--to", "2020-01-31", "--json"])), json!([]));
    assert!(system.says(&["latency"]).well().contains("no response times in this period"));
    assert_eq!(json_of(system.says(&["latency", "--json"])), json!([]));
    assert!(system.says(&["funnel", "--csv"]).well().starts_with("day,chats,"));
    system
        .says(&["funnel", "--from", "2026-02-02", "--to", "2026-02-01"])
        .complaining(1, &["2026-02-02", "2026-02-01"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn colour_needs_a_terminal_and_consent() {
    let system = system_with_a_booking().await;
    assert!(!system.says(&["funnel"]).well().contains('\x1b'));
    let on_a_terminal = |no_color: &str| {
        let program = system.program();
        let mut command = python();
        command.args(["-c", "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)"]);
        command.arg(program.get_program()).arg("funnel").env("NO_COLOR", no_color);
        command.envs(
            program
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?)))
                .filter(|(name, _)| *name != "NO_COLOR"),
        );
        Said::by(&mut command).well()
    };
    assert!(on_a_terminal("").contains("\x1b["), "no colour on a terminal");
    assert!(!on_a_terminal("1").contains("\x1b["), "colour against the user's wish");
}
