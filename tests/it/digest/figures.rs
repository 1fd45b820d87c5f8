//! The figures of a day, counted by hand.

use crate::{
    golden::{say, settle},
    support::{System, Version},
};
use serde_json::{Value, json};

/// What `alerts digest --json` says of a day.
fn digest(system: &System, day: &str) -> Value {
    serde_json::from_str(&system.says(&["alerts", "digest", "--day", day, "--json"]).well()).unwrap()
}

/// Lines for a chat that goes as far as `steps` says, on a day in Moscow.
fn chat(day: &str, chat: u32, steps: usize) -> String {
    const STEPS: [(&str, &str); 5] = [
        ("ai_dialog_started", "{}"),
        ("service_suggested", r#"{"service_name":"paint","confidence_score":0.5}"#),
        ("service_added", "{}"),
        ("cart_confirmed", "{}"),
        ("booking_request_created", r#"{"booking_id":1,"services_count":1,"estimated_total":1}"#),
    ];
    let line = |(name, properties): &(&str, &str)| format!("{day}T12:00:00+03:00  {chat}  {name}  {properties}\n");
    STEPS[..steps].iter().map(line).collect()
}

/// Tuesdays from the 10th of February on, by dialogs and how many of them booked; the last one is the 10th of March,
/// which is told of. On the 3rd nothing came.
pub(super) fn tuesdays() -> String {
    let mut lines = String::new();
    let mut number = 0;
    for (day, dialogs, bookings) in
        [("2026-02-10", 4, 1), ("2026-02-17", 10, 5), ("2026-02-24", 8, 2), ("2026-03-02", 50, 50)]
    {
        for nth in 0..dialogs {
            number += 1;
            lines += &chat(day, number, if nth < bookings { 5 } else { 1 });
        }
    }
    // Ten dialogs: eight with a suggestion, three who added a service, two carts, two bookings; and a booking by
    // somebody whose dialog began the day before.
    for (nth, steps) in [5, 5, 3, 2, 2, 2, 2, 2, 1, 1].into_iter().enumerate() {
        lines += &chat("2026-03-10", 900 + nth as u32, steps);
    }
    lines += "2026-03-09T23:59:00+03:00  950  ai_dialog_started        {}\n";
    lines += "2026-03-10T00:01:00+03:00  950  booking_request_created  {\"booking_id\":\"A-1\",\"services_count\":1,\"estimated_total\":\"1.50\"}\n";
    for ms in [100, 100, 100, 100, 100, 100, 100, 100, 3_000, 3_001] {
        lines += &format!(
            "2026-03-10T13:00:00+03:00  900  ai_response_time  {{\"duration_ms\":{ms},\"model_used\":\"gpt\"}}\n"
        );
    }
    // The day before and the day after.
    lines += "2026-03-09T23:59:59+03:00  900  ai_response_time  {\"duration_ms\":9000,\"model_used\":\"gpt\"}\n";
    lines += "2026-03-11T00:00:00+03:00  900  ai_response_time  {\"duration_ms\":9000,\"model_used\":\"gpt\"}\n";
    for (at, class) in [
        ("2026-03-10T00:00:00", "Timeout"),
        ("2026-03-10T11:00:00", "Refused"),
        ("2026-03-10T23:59:59", "Timeout"),
        ("2026-03-09T23:59:59", "Refused"),
        ("2026-03-11T00:00:00", "Refused"),
    ] {
        lines += &format!("{at}+03:00  900  error_occurred  {{\"error_class\":\"{class}\"}}\n");
    }
    lines
        + "2026-03-10T12:00:00+03:00  900  cart_confirmed  {\"services_count\":\"two\"}
             2026-03-10T12:00:00+03:00  901  cart_confirmed  {\"services_count\":\"three\"}
             2026-03-10T12:00:00+03:00  901  service_suggested  {}\n"
}

/// Letters count by the day on which they were received, which is today.
pub(super) async fn receive_letters_on_the_tenth(system: &System) {
    let received = "UPDATE dead_letters SET received_at = '2026-03-10T20:00:00+03:00'";
    sqlx::query(received).execute(&mut system.postgres().await).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_of_a_day_are_what_a_hand_counts() {
    let system = System::start().await;
    say(&system, &tuesdays()).await;
    settle(&system).await;
    receive_letters_on_the_tenth(&system).await;
    let told = digest(&system, "2026-03-10");
    assert_eq!(
        told["funnel"],
        json!({"chats": 11, "dialogs": 10, "suggestions": 8, "services_added": 3, "carts_confirmed": 2,
            "bookings": 3, "dialogs_with_booking": 2, "conversion_rate": "20.00"})
    );
    // Bookings of three Tuesdays: 1, 2, 5. Conversions: 25, 50, 25 percent. The 2nd of March was a Monday.
    assert_eq!(told["usual"], json!({"weekdays": 3, "bookings": "2.0", "conversion_rate": "25.00"}));
    // Fewer confirmed a cart than booked, so that step is passed by; from eight suggestions to three.
    assert_eq!(told["leaving"], json!({"from": "suggestion", "to": "service_added", "came": 8, "went_on": 3}));
    // Of ten, the fifth is 100 and the tenth 3001, the middle of whose bin from 2976 to 3007 is 2991.
    assert_eq!(told["responses"], json!({"responses": 10, "slow_responses": 1, "p50_ms": 100, "p95_ms": 2_991}));
    assert_eq!(told["errors"], json!({"total": 3, "kinds": 2, "top": "Timeout", "top_total": 2}));
    assert_eq!(told["letters"], json!({"total": 3, "kinds": 2, "top": "wrong_type", "top_total": 2}));
    assert_eq!(told["is_over"], json!(true));

    // An even number of days has its median between two; of a week ago only two had been.
    let fourth = chat("2026-03-03", 700, 1);
    say(&system, &fourth).await;
    settle(&system).await;
    let told = digest(&system, "2026-03-10");
    assert_eq!(told["usual"], json!({"weekdays": 4, "bookings": "1.5", "conversion_rate": "25.00"}));
    assert_eq!(digest(&system, "2026-02-24")["usual"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_twenty_three_hours_and_one_of_twenty_five_hold_what_came_on_them() {
    let system = System::start_on(Version::Current, "Europe/Berlin").await;
    // The clock goes from 02:00 to 03:00 on the 29th of March, and from 03:00 to 02:00 on the 25th of October.
    say(
        &system,
        "2026-03-28T23:59:59+01:00  1  error_occurred  {\"error_class\":\"A\"}
         2026-03-29T00:00:00+01:00  1  error_occurred  {\"error_class\":\"B\"}
         2026-03-29T23:59:59+02:00  1  error_occurred  {\"error_class\":\"B\"}
         2026-03-30T00:00:00+02:00  1  error_occurred  {\"error_class\":\"A\"}
         2026-10-24T23:59:59+02:00  1  error_occurred  {\"error_class\":\"A\"}
         2026-10-25T00:00:00+02:00  1  error_occurred  {\"error_class\":\"B\"}
         2026-10-25T02:30:00+02:00  1  error_occurred  {\"error_class\":\"B\"}
         2026-10-25T02:30:00+01:00  1  error_occurred  {\"error_class\":\"B\"}
         2026-10-25T23:59:59+01:00  1  error_occurred  {\"error_class\":\"B\"}
         2026-10-26T00:00:00+01:00  1  error_occurred  {\"error_class\":\"A\"}",
    )
    .await;
    settle(&system).await;
    for (day, total) in [("2026-03-29", 2), ("2026-10-25", 4)] {
        let errors = json!({"total": total, "kinds": 1, "top": "B", "top_total": total});
        assert_eq!(digest(&system, day)["errors"], errors, "{day}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_any_history_everything_is_nought_and_nothing_is_usual() {
    let system = System::start().await;
    let told = digest(&system, "2026-03-10");
    assert_eq!((&told["usual"], &told["leaving"]), (&json!(null), &json!(null)));
    assert_eq!(told["funnel"]["conversion_rate"], json!(null));
    assert_eq!(told["responses"], json!({"responses": 0, "slow_responses": 0, "p50_ms": null, "p95_ms": null}));
    // Today is not over, and neither is what lies beyond the calendar.
    let today = chrono::Utc::now().with_timezone(&chrono_tz::Europe::Moscow).format("%F").to_string();
    assert_eq!(digest(&system, &today)["is_over"], json!(false));
    assert_eq!(digest(&system, "9999-12-31")["is_over"], json!(false));
    assert_eq!(digest(&system, "0001-01-01")["is_over"], json!(false));
}
