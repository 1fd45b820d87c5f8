//! Where a day and a week begin: at the local midnight, whatever the clock does.

use super::{COUNTS, FUNNEL, WEEKS, assert_table, say, settle};
use crate::support::{System, Version};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_before_midnight_and_a_second_after_are_two_days() {
    let system = System::start().await;
    // 23:59:59 and 00:00:01 in Moscow are both 20-something o'clock of the same UTC day.
    say(
        &system,
        "2026-03-10T23:59:59+03:00  1  ai_dialog_started  {}
         2026-03-11T00:00:01+03:00  1  ai_dialog_started  {}
         2026-03-11T00:00:00+03:00  2  ai_dialog_started  {}
         2026-03-10T23:59:59.999999+03:00  3  ai_dialog_started  {}",
    )
    .await;
    settle(&system).await;
    assert_table(
        &system,
        FUNNEL,
        "2026-03-10  2  2  0  0  0  0  0  0  0.00  0.00
         2026-03-11  2  2  0  0  0  0  0  0  0.00  0.00",
    )
    .await;
    assert_table(
        &system,
        COUNTS,
        "2026-03-10T20:00:00+00:00  ai_dialog_started  telegram  2
         2026-03-10T21:00:00+00:00  ai_dialog_started  telegram  2",
    )
    .await;
    assert_table(
        &system,
        "SELECT chat_id, count(*), count(DISTINCT session_id) FROM analytics_events GROUP BY 1 ORDER BY 1",
        "1  2  2
         2  1  1
         3  1  1",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_week_runs_from_monday_to_sunday_across_the_new_year() {
    let system = System::start().await;
    // 2020 ended on a Thursday, as 2026 does: its week 53 holds the first three days of January.
    let booking = r#"{"booking_id":1,"services_count":1,"estimated_total":1}"#;
    say(
        &system,
        &format!(
            "2020-12-27T23:59:59+03:00  1  ai_dialog_started        {{}}
             2020-12-28T00:00:00+03:00  2  ai_dialog_started        {{}}
             2020-12-31T23:59:59+03:00  3  ai_dialog_started        {{}}
             2021-01-01T00:00:01+03:00  3  booking_request_created  {booking}
             2021-01-03T23:59:59+03:00  2  ai_dialog_started        {{}}
             2021-01-04T00:00:00+03:00  2  booking_request_created  {booking}"
        ),
    )
    .await;
    settle(&system).await;
    assert_table(
        &system,
        WEEKS,
        "2020-12-21  1  1  0  0  0.00
         2020-12-28  2  2  1  1  50.00
         2021-01-04  1  0  1  0  -",
    )
    .await;
    assert_table(
        &system,
        "SELECT * FROM rollups.weekly_cohorts('2020-12-21', '2021-01-04')",
        "2020-12-28  2  2  0  2  100.00
         2020-12-21  1  1  0  0  0.00",
    )
    .await;
    assert_table(
        &system,
        "SELECT day, week, starts_at FROM rollups.calendar WHERE day BETWEEN '2026-12-27' AND '2027-01-04' ORDER BY 1",
        "2026-12-27  2026-12-21  2026-12-26T21:00:00+00:00
         2026-12-28  2026-12-28  2026-12-27T21:00:00+00:00
         2026-12-29  2026-12-28  2026-12-28T21:00:00+00:00
         2026-12-30  2026-12-28  2026-12-29T21:00:00+00:00
         2026-12-31  2026-12-28  2026-12-30T21:00:00+00:00
         2027-01-01  2026-12-28  2026-12-31T21:00:00+00:00
         2027-01-02  2026-12-28  2027-01-01T21:00:00+00:00
         2027-01-03  2026-12-28  2027-01-02T21:00:00+00:00
         2027-01-04  2027-01-04  2027-01-03T21:00:00+00:00",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_response_times_is_one_day_also_where_zones_are_half_an_hour_off() {
    let system = System::start_on(Version::Current, "Asia/Kolkata").await;
    say(
        &system,
        r#"2026-03-09T12:00:00+05:30  1  ai_response_time  {"duration_ms":1,"model_used":"a"}
           2026-03-10T12:00:00+05:30  1  ai_response_time  {"duration_ms":2,"model_used":"a"}
           2026-03-11T12:00:00+05:30  1  ai_response_time  {"duration_ms":3,"model_used":"a"}"#,
    )
    .await;
    settle(&system).await;
    let said = system.says(&["latency", "--from", "2026-03-10", "--to", "2026-03-10", "--json"]).well();
    let days: serde_json::Value = serde_json::from_str(&said).unwrap();
    let days: Vec<_> = days.as_array().unwrap().iter().map(|day| &day["period"]).collect();
    assert_eq!(days, ["2026-03-10"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_half_hour_after_midnight_is_in_the_sums_of_days_also_when_nothing_came_before_it() {
    let system = System::start_on(Version::Current, "Asia/Kolkata").await;
    // An hour counts for the day on which it begins, and 00:10 here lies in one that began at 23:30.
    say(
        &system,
        r#"2026-03-10T00:10:00+05:30  1  ai_response_time  {"duration_ms":1,"model_used":"a"}
           2026-03-10T00:10:00+05:30  1  error_occurred    {}
           2026-03-10T00:30:00+05:30  1  ai_response_time  {"duration_ms":2,"model_used":"a"}
           2026-03-12T00:29:59+05:30  1  error_occurred    {}"#,
    )
    .await;
    settle(&system).await;
    assert_table(
        &system,
        "SELECT day, chats, errors, responses
         FROM rollups.funnel_daily_filled
         JOIN rollups.errors_daily_filled USING (day)
         JOIN rollups.response_times_daily_filled USING (day)
         WHERE day <= '2026-03-12'
         ORDER BY day",
        "2026-03-09  0  1  1
         2026-03-10  1  0  1
         2026-03-11  0  1  0
         2026-03-12  1  0  0",
    )
    .await;
    let sum = "SELECT sum(events)::bigint FROM rollups.event_counts_daily_filled";
    assert_eq!(system.count(sum).await, 4);
    let said = system.says(&["latency", "--from", "2026-03-09", "--to", "2026-03-12", "--csv"]).well();
    let days: Vec<_> = said.lines().skip(1).map(|day| day.rsplit_once(",a,").unwrap().0).collect();
    assert_eq!(days, ["2026-03-09", "2026-03-10"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn days_of_23_and_of_25_hours_hold_what_happened_in_them() {
    let system = System::start_on(Version::Current, "Europe/Berlin").await;
    // In 2026 Berlin's clocks go from 02:00 to 03:00 on March 29th and from 03:00 back to 02:00 on October 25th.
    say(
        &system,
        r#"2026-03-28T23:59:59+01:00  1  ai_dialog_started  {}
         2026-03-29T00:00:00+01:00  2  ai_dialog_started  {}
         2026-03-29T01:59:59+01:00  3  ai_dialog_started  {}
         2026-03-29T03:00:00+02:00  4  ai_dialog_started  {}
         2026-03-29T23:59:59+02:00  5  ai_dialog_started  {}
         2026-03-30T00:00:00+02:00  6  ai_dialog_started  {}
         2026-10-24T23:59:59+02:00  1  ai_dialog_started  {}
         2026-10-25T00:00:00+02:00  2  ai_dialog_started  {}
         2026-10-25T01:30:00+02:00  3  ai_response_time  {"duration_ms":1,"model_used":"m"}
         2026-10-25T02:30:00+02:00  3  ai_response_time  {"duration_ms":1,"model_used":"m"}
         2026-10-25T02:30:00+01:00  3  ai_response_time  {"duration_ms":1,"model_used":"m"}
         2026-10-25T03:30:00+01:00  3  ai_response_time  {"duration_ms":1,"model_used":"m"}
         2026-10-25T02:30:00+02:00  3  ai_dialog_started  {}
         2026-10-25T02:30:00+01:00  3  ai_dialog_started  {}
         2026-10-25T23:59:59+01:00  4  ai_dialog_started  {}
         2026-10-26T00:00:00+01:00  5  ai_dialog_started  {}"#,
    )
    .await;
    settle(&system).await;
    assert_table(
        &system,
        "SELECT day, chats, dialogs FROM rollups.funnel_daily ORDER BY day",
        "2026-03-28  1  1
         2026-03-29  4  4
         2026-03-30  1  1
         2026-10-24  1  1
         2026-10-25  3  3
         2026-10-26  1  1",
    )
    .await;
    // The hour that came twice is two hours, and has two names.
    let said =
        system.says(&["latency", "--by", "hour", "--from", "2026-10-25", "--to", "2026-10-25", "--csv"]).well();
    let hours: Vec<_> = said.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert_eq!(hours, ["2026-10-25 01:00", "2026-10-25 02:00 +02", "2026-10-25 02:00 +01", "2026-10-25 03:00"]);
    assert_table(
        &system,
        "SELECT hour, events FROM rollups.event_counts_hourly
         WHERE event_name = 'ai_response_time' AND hour BETWEEN '2026-10-25 00:00Z' AND '2026-10-25 01:00Z'
         ORDER BY hour",
        "2026-10-25T00:00:00+00:00  1
         2026-10-25T01:00:00+00:00  1",
    )
    .await;
    assert_table(
        &system,
        "SELECT week, chats FROM rollups.funnel_weekly ORDER BY week",
        "2026-03-23  5
         2026-03-30  1
         2026-10-19  4
         2026-10-26  1",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_chat_on_two_days_of_a_week_in_one_batch_is_two_chat_days_and_one_chat_week() {
    let system = System::start().await;
    say(
        &system,
        r#"2026-03-10T12:00:00+03:00  1  ai_dialog_started        {}
           2026-03-12T12:00:00+03:00  1  service_suggested        {"service_name":"paint","confidence_score":0.25}
           2026-03-12T12:00:01+03:00  1  booking_request_created  {"booking_id":1,"services_count":1,"estimated_total":1}
           2026-03-10T12:00:02+03:00  1  error_occurred           {}"#,
    )
    .await;
    settle(&system).await;
    assert_table(
        &system,
        FUNNEL,
        "2026-03-10  1  1  0  0  0  0  0  0  0.00  0.00
         2026-03-12  1  0  1  0  0  1  0  0  -     100.00",
    )
    .await;
    assert_table(&system, WEEKS, "2026-03-09  1  1  1  1  100.00").await;
    assert_table(&system, "SELECT week, chat_id, events, errors FROM rollups.chat_weeks", "2026-03-09  1  4  1")
        .await;
    assert_table(&system, "SELECT * FROM rollups.conversion_funnel('2026-03-10', '2026-03-12')", "1  1  1  100.00")
        .await;
    assert_table(&system, "SELECT * FROM rollups.conversion_funnel('2026-03-10', '2026-03-11')", "1  1  0  0.00")
        .await;
}
