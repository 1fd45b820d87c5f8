//! `funnel`, `latency` and `status`: a table for people, JSON and CSV for programs, the same figures in each.

use super::{file, import};
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
    for by in ["model", "whole"] {
        let models = json_of(system.says(&["latency", "--days", "2", "--by", by, "--json"]));
        let [model] = models.as_array().unwrap().as_slice() else { panic!("{models}") };
        assert_eq!((&model["responses"], &model["slow_responses"]), (&json!(3), &json!(1)));
        assert_eq!((&model["avg_ms"], &model["max_ms"]), (&json!("2100.00"), &json!(3_100)));
    }
    for by in ["hour", "day"] {
        let rows = json_of(system.says(&["latency", "--by", by, "--json"]));
        assert_eq!(rows[0]["responses"], json!(3), "{by}: {rows}");
    }
    assert!(system.says(&["latency", "--csv"]).well().starts_with("period,model,responses,"));

    let table = system.says(&["status"]).well();
    for part in [
        "persister",
        "rollups",
        "drained",
        "ANALYTICS holds 7 messages, ",
        "of 8.00 GiB (0 %)",
        "7 events counted",
        "0 open dead letters",
        "Europe/Moscow",
    ] {
        assert!(table.contains(part), "no {part} in:\n{table}");
    }
    let consumers = json_of(system.says(&["status", "--json"]));
    assert_eq!((&consumers[0]["name"], &consumers[0]["pending"]), (&json!("persister"), &json!(0)));
    assert_eq!((&consumers[3]["name"], &consumers[3]["holder"]), (&json!("notify_log"), &json!(null)));
    assert!(system.says(&["status", "--csv"]).well().starts_with("name,pending,"));
}

#[tokio::test(flavor = "multi_thread")]
async fn status_shows_the_consumers_while_postgres_is_away_and_says_that_it_is() {
    let mut system = System::start().await;
    system.publish("analytics.review_left", &[], r#"{"chat_id":1}"#).await;
    let mut unset = system.program();
    Said::by(unset.arg("status").env_remove("DATABASE_URL")).complaining(1, &["Postgres: DATABASE_URL is not set"]);
    system.local.postgres.stop().await.unwrap();
    for form in [&["status"][..], &["status", "--json"]] {
        let said = system.says(form);
        said.complaining(1, &["Postgres: connecting to Postgres: "]);
        for consumer in ["persister", "rollups", "alerts", "log"] {
            assert!(said.out.contains(consumer), "no {consumer} in:\n{}", said.out);
        }
    }
    let table = system.says(&["status"]).out;
    let persister = table.lines().find(|line| line.contains("persister")).unwrap();
    assert!(persister.contains("waiting"), "{table}");
    let consumers: Value = serde_json::from_str(&system.says(&["status", "--json"]).out).unwrap();
    assert_eq!((&consumers[0]["name"], &consumers[0]["pending"]), (&json!("persister"), &json!(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_over_nothing_is_an_empty_answer_and_not_a_failure() {
    let system = System::start().await;
    let out = system.says(&["funnel", "--from", "2020-01-01", "--to", "2020-01-31"]).well();
    assert_eq!(out, "no events from 2020-01-01 to 2020-01-31\n");
    // Whole weeks: the first of January 2020 is a Wednesday, the 31st a Friday.
    let out = system.says(&["funnel", "--from", "2020-01-01", "--to", "2020-01-31", "--by", "week"]).well();
    assert_eq!(out, "no events from 2019-12-30 to 2020-02-02\n");
    let out = system.says(&["funnel", "--from", "2020-01-01", "--to", "2020-01-31", "--by", "cohort"]).well();
    assert_eq!(out, "no dialogs from 2019-12-30 to 2020-02-02\n");
    let out = system.says(&["funnel", "--from", "2020-01-01", "--to", "2020-01-31", "--by", "whole"]).well();
    assert_eq!(out, "no events from 2020-01-01 to 2020-01-31\n");
    assert!(system.says(&["funnel"]).well().starts_with("no events from "));
    assert_eq!(json_of(system.says(&["funnel", "--from", "2020-01-01", "--to", "2020-01-31", "--json"])), json!([]));
    assert_eq!(system.says(&["latency"]).well(), "no response times in the last 24 hours\n");
    let out = system.says(&["latency", "--to", "2020-01-31", "--days", "2", "--model", "gpt"]).well();
    assert_eq!(out, "no response times of gpt from 2020-01-30 to 2020-01-31\n");
    // Before the calendar begins, and after it ends.
    for day in ["0001-01-01", "9999-12-31"] {
        assert_eq!(json_of(system.says(&["latency", "--from", "0001-01-01", "--to", day, "--json"])), json!([]));
        assert_eq!(json_of(system.says(&["funnel", "--from", "0001-01-01", "--to", day, "--json"])), json!([]));
    }
    assert_eq!(json_of(system.says(&["latency", "--json"])), json!([]));
    assert!(system.says(&["funnel", "--csv"]).well().starts_with("day,chats,"));
    for command in ["funnel", "latency"] {
        let swapped = system.says(&[command, "--from", "2026-02-02", "--to", "2026-02-01"]);
        swapped.complaining(2, &["--from 2026-02-02 is after --to 2026-02-01"]);
        system.says(&[command, "--from", "9999-01-01"]).complaining(2, &["--from 9999-01-01 is after today"]);
    }
}

/// Two weeks, from Monday the 9th of March 2026: chat 1 comes back in the second, and chat 2 books there.
const TWO_WEEKS: &str = r#"
{"event_name":"ai_dialog_started","chat_id":1,"occurred_at":"2026-03-10T12:00:00+03:00"}
{"event_name":"booking_request_created","chat_id":1,"occurred_at":"2026-03-10T12:30:00+03:00","properties":{"booking_id":1,"services_count":1,"estimated_total":1}}
{"event_name":"ai_dialog_started","chat_id":2,"occurred_at":"2026-03-15T23:59:59+03:00"}
{"event_name":"service_suggested","chat_id":2,"occurred_at":"2026-03-16T00:00:00+03:00","properties":{"service_name":"paint","confidence_score":0.5}}
{"event_name":"booking_request_created","chat_id":2,"occurred_at":"2026-03-16T00:30:00+03:00","properties":{"booking_id":2,"services_count":1,"estimated_total":1}}
{"event_name":"ai_dialog_started","chat_id":1,"occurred_at":"2026-03-17T12:00:00+03:00"}
{"event_name":"ai_response_time","chat_id":1,"occurred_at":"2026-03-15T23:59:59.999999+03:00","properties":{"duration_ms":100,"model_used":"a"}}
{"event_name":"ai_response_time","chat_id":1,"occurred_at":"2026-03-16T00:00:00+03:00","properties":{"duration_ms":20,"model_used":"a"}}
{"event_name":"ai_response_time","chat_id":1,"occurred_at":"2026-03-16T00:10:00+03:00","properties":{"duration_ms":4000,"model_used":"b"}}
{"event_name":"ai_response_time","chat_id":1,"occurred_at":"2026-03-17T12:00:00+03:00","properties":{"duration_ms":30,"model_used":"b"}}
"#;

#[tokio::test(flavor = "multi_thread")]
async fn periods_and_groups_give_what_a_hand_counts() {
    let system = System::start().await;
    import(&system, &[], &file(&system, "weeks.ndjson", TWO_WEEKS)).well();
    system.settle().await;
    let period = ["--from", "2026-03-10", "--to", "2026-03-17", "--csv"];
    for (command, expected) in [
        (
            &["funnel"][..],
            &[
                "2026-03-10,1,1,0,0,0,1,0,1,100.00",
                "2026-03-15,2,1,0,0,0,0,0,0,0.00",
                "2026-03-16,2,0,1,0,0,1,0,0,",
                "2026-03-17,1,1,0,0,0,0,0,0,0.00",
            ][..],
        ),
        (&["funnel", "--by", "week"], &["2026-03-09,2,2,0,0,0,1,0,1,50.00", "2026-03-16,2,1,1,0,0,1,0,0,0.00"]),
        (&["funnel", "--by", "cohort"], &["2026-03-09,2,1,2,100.00"]),
        (&["funnel", "--by", "whole"], &["2026-03-10,2026-03-17,2,2,1,0,0,2,1,2,100.00,100.00"]),
        (
            &["latency"],
            &[
                "2026-03-15,a,1,0,100.00,100,100,100,100",
                "2026-03-16,a,1,0,20.00,20,20,20,20",
                "2026-03-16,b,1,1,4000.00,4015,4015,4015,4000",
                "2026-03-17,b,1,0,30.00,30,30,30,30",
            ],
        ),
        (
            &["latency", "--by", "hour", "--model", "a"],
            &["2026-03-15 23:00,a,1,0,100.00,100,100,100,100", "2026-03-16 00:00,a,1,0,20.00,20,20,20,20"],
        ),
        (&["latency", "--by", "model"], &["all,a,2,0,60.00,20,100,100,100", "all,b,2,1,2015.00,30,4015,4015,4000"]),
        (&["latency", "--by", "whole"], &["all,all,4,1,1037.50,30,4015,4015,4000"]),
        (&["latency", "--by", "whole", "--model", "b"], &["all,b,2,1,2015.00,30,4015,4015,4000"]),
    ] {
        let csv = system.says(&[command, &period].concat()).well();
        let rows: Vec<_> = csv.lines().skip(1).collect();
        assert_eq!(rows, expected, "{command:?}");
    }
    // The day after the last event is another day: hours end where the local day does.
    let rows =
        json_of(system.says(&["latency", "--from", "2026-03-16", "--to", "2026-03-16", "--by", "hour", "--json"]));
    assert_eq!(rows.as_array().unwrap().len(), 2, "{rows}");
    // Both chats came, one began a dialog and booked: the seed's rate is of all chats.
    let part = ["funnel", "--by", "whole", "--from", "2026-03-11", "--to", "2026-03-16"];
    let csv = system.says(&[&part[..], &["--csv"]].concat()).well();
    let expected = "from_day,to_day,chats,dialogs,suggestions,services_added,carts_confirmed,bookings,\
        dialogs_with_suggestion,dialogs_with_booking,conversion_rate,conversion_of_chats\r\n\
        2026-03-11,2026-03-16,2,1,1,0,0,1,1,1,100.00,50.00\r\n";
    assert_eq!(csv, expected);
    let seed: Vec<(i64, i64, i64, String)> = system
        .rows(
            "SELECT total_chats, chats_with_dialogs, chats_with_bookings, conversion_rate::text
             FROM rollups.conversion_funnel('2026-03-11', '2026-03-16')",
        )
        .await;
    assert_eq!(seed, [(2, 1, 1, "50.00".to_owned())]);
    let table = system.says(&part).well();
    assert!(table.contains("50.00") && table.contains("from 2026-03-11 to 2026-03-16"), "{table}");

    let table = system.says(&["funnel", "--from", "2026-03-10", "--to", "2026-03-17"]).well();
    let total = table.lines().find(|line| line.starts_with(" Total")).unwrap();
    let total: Vec<_> = total.split_whitespace().skip(1).collect();
    assert_eq!(total, ["2", "2", "1", "0", "0", "2", "100.00"], "each chat once:\n{table}");
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
