//! The ends of what is allowed: the longest texts, the shortest and longest times, and names nobody declared.

use super::{COUNTS, FUNNEL, LETTERS, assert_table, say, settle};
use crate::support::System;

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_ten_thousand_characters_are_stored_whole_and_counted_under_their_beginning() {
    let system = System::start().await;
    let long = "ж".repeat(10_000);
    say(
        &system,
        &format!(
            r#"2026-03-10T12:00:00+03:00  1  ai_response_time  {{"duration_ms":5,"model_used":"{long}"}}
               2026-03-10T12:00:00+03:00  1  ai_response_time  {{"duration_ms":7,"model_used":"{long}!"}}
               2026-03-10T12:00:00+03:00  1  error_occurred    {{"error_class":"{long}","error_message":"{long}","context":"{long}"}}
               2026-03-10T12:00:00+03:00  1  service_added     {{"service_name":"{long}"}}"#
        ),
    )
    .await;
    settle(&system).await;
    assert_table(&system, LETTERS, "").await;
    assert_table(
        &system,
        "SELECT event_name, max(length(properties->>'model_used')) AS model,
            max(length(properties->>'error_message')) AS message
         FROM analytics_events GROUP BY 1 ORDER BY 1",
        "ai_response_time  10001  -
         error_occurred    -      10000
         service_added     -      -",
    )
    .await;
    assert_table(
        &system,
        "SELECT length(model_used), responses, total_ms FROM rollups.response_times_hourly",
        "200  2  12",
    )
    .await;
    assert_table(
        &system,
        "SELECT length(error_class), length(context), errors FROM rollups.errors_hourly",
        "200  200  1",
    )
    .await;
    assert_table(&system, "SELECT length(service_name), added FROM rollups.service_suggestions_daily", "200  1")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn response_times_from_nothing_to_the_longest_integer() {
    let system = System::start().await;
    say(
        &system,
        r#"2026-03-10T10:00:00Z  1  ai_response_time  {"duration_ms":0,"model_used":"zero"}
           2026-03-10T10:00:00Z  1  ai_response_time  {"duration_ms":127,"model_used":"exact"}
           2026-03-10T10:00:00Z  1  ai_response_time  {"duration_ms":128,"model_used":"octave"}
           2026-03-10T10:00:00Z  1  ai_response_time  {"duration_ms":2147483647,"model_used":"longest"}
           2026-03-10T10:00:00Z  1  ai_response_time  {"duration_ms":2147483647,"model_used":"longest"}
           2026-03-10T10:00:00Z  1  ai_response_time  {"duration_ms":3000,"model_used":"slow"}
           2026-03-10T10:00:01Z  1  ai_response_time  {"duration_ms":3001,"model_used":"slow"}"#,
    )
    .await;
    settle(&system).await;
    assert_table(
        &system,
        "SELECT model_used, responses, slow_responses, total_ms, min_ms, max_ms, avg_ms
         FROM rollups.response_times_hourly ORDER BY model_used",
        "exact    1  0  127         127         127         127.00
         longest  2  2  4294967294  2147483647  2147483647  2147483647.00
         octave   1  0  128         128         128         128.00
         slow     2  1  6001        3000        3001        3000.50
         zero     1  0  0           0           0           0.00",
    )
    .await;
    // Exact below 128 ms; above, the middle of a bin that is 1/64 of its octave wide.
    assert_table(
        &system,
        "SELECT model_used, p50_ms, p99_ms FROM rollups.response_times_hourly
         WHERE model_used IN ('zero', 'exact', 'octave') ORDER BY model_used",
        "exact   127  127
         octave  128  128
         zero    0    0",
    )
    .await;
    assert_table(
        &system,
        "SELECT abs(p50_ms - 2147483647) < 21474836 FROM rollups.response_times_hourly WHERE model_used = 'longest'",
        "true",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn response_times_that_an_integer_column_could_not_take_are_refused() {
    let system = System::start().await;
    say(
        &system,
        r#"2026-03-10T10:00:00Z  1  ai_response_time  {"duration_ms":2147483648,"model_used":"m"}
           2026-03-10T10:00:00Z  1  ai_response_time  {"duration_ms":-1,"model_used":"m"}
           2026-03-10T10:00:00Z  1  ai_response_time  {"duration_ms":5.0,"model_used":"m"}
           2026-03-10T10:00:00Z  1  ai_response_time  {"duration_ms":"5","model_used":"m"}
           2026-03-10T10:00:00Z  1  ai_response_time  {"duration_ms":null,"model_used":"m"}"#,
    )
    .await;
    settle(&system).await;
    assert_table(
        &system,
        LETTERS,
        "ai_response_time  out_of_range      properties.duration_ms  open
         ai_response_time  out_of_range      properties.duration_ms  open
         ai_response_time  wrong_type        properties.duration_ms  open
         ai_response_time  wrong_type        properties.duration_ms  open
         ai_response_time  missing_property  properties.duration_ms  open",
    )
    .await;
    assert_table(&system, "SELECT count(*) FROM analytics_events", "0").await;
    assert_table(&system, COUNTS, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_event_alone_in_its_hour_is_its_own_minimum_maximum_and_median() {
    let system = System::start().await;
    say(&system, r#"2026-03-10T10:59:59.999999Z  7  ai_response_time  {"duration_ms":99,"model_used":"m"}"#).await;
    settle(&system).await;
    assert_table(
        &system,
        "SELECT * FROM rollups.response_times_hourly",
        "2026-03-10T10:00:00+00:00  m  1  0  99  99  99  99.00  99  99  99",
    )
    .await;
    assert_table(&system, "SELECT * FROM rollups.response_time_bins_hourly", "2026-03-10T10:00:00+00:00  m  99  1")
        .await;
    assert_table(
        &system,
        "SELECT chat_id, events, bookings, first_seen_at, last_seen_at, user_segment FROM rollups.chats",
        "7  1  0  2026-03-10T10:59:59.999999+00:00  2026-03-10T10:59:59.999999+00:00  new",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_undeclared_event_is_stored_and_counted_like_any_other_but_is_no_step_of_the_funnel() {
    let system = System::start().await;
    say(
        &system,
        r#"2026-03-10T12:00:00+03:00  1  review_left        {"stars":5,"nested":{"a":[1,null,"x"]}}
           2026-03-10T12:00:01+03:00  1  review_left        {}
           2026-03-10T12:00:02+03:00  1  review_left        {"duration_ms":"not a number"}
           2026-03-10T12:00:00+03:00  2  ai_dialog_started  {}"#,
    )
    .await;
    settle(&system).await;
    assert_table(&system, LETTERS, "").await;
    assert_table(
        &system,
        COUNTS,
        "2026-03-10T09:00:00+00:00  ai_dialog_started  telegram  1
         2026-03-10T09:00:00+00:00  review_left        telegram  3",
    )
    .await;
    assert_table(&system, FUNNEL, "2026-03-10  2  1  0  0  0  0  0  0  0.00  0.00").await;
    assert_table(
        &system,
        "SELECT chat_id, events, user_segment FROM rollups.chats ORDER BY chat_id",
        "1  3  engaged
         2  1  new",
    )
    .await;
    assert_table(
        &system,
        "SELECT chat_id, events, errors FROM rollups.chat_days ORDER BY chat_id",
        "1  3  0
         2  1  0",
    )
    .await;
    assert_table(
        &system,
        "SELECT DISTINCT event_name FROM rollups.event_counts_hourly
         WHERE event_name NOT IN (SELECT event_name FROM catalogue_events)",
        "review_left",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_new_until_two_events_engaged_until_ten_and_returning_from_eleven() {
    let system = System::start().await;
    let events: Vec<String> = [(2, 2), (3, 3), (10, 10), (11, 11)]
        .into_iter()
        .flat_map(|(chat, events)| {
            (0..events).map(move |n| format!("2026-03-10T12:00:{n:02}Z  {chat}  review_left  {{}}"))
        })
        .collect();
    say(&system, &events.join("\n")).await;
    settle(&system).await;
    assert_table(
        &system,
        "SELECT chat_id, events, user_segment FROM rollups.chats ORDER BY chat_id",
        "2   2   new
         3   3   engaged
         10  10  engaged
         11  11  returning",
    )
    .await;
}
