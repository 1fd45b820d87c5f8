//! What people ask across rollups, counted by hand: periods, the way to a booking, rejections, days without anything.
//!
//! And that Metabase can tell every table and column to a person: each has a description in Russian.

use super::{assert_table, say, settle};
use crate::support::System;
use valera_pipeline::service::Service;

/// Monday the 9th of March 2026, and the days after it, in Moscow.
const EVENTS: &str = r#"
    2026-03-09T10:00:00+03:00  1  ai_dialog_started        {}
    2026-03-09T10:05:00+03:00  1  service_suggested        {"service_name":"paint","confidence_score":0.5}
    2026-03-09T10:30:30+03:00  1  booking_request_created  {"booking_id":1,"services_count":1,"estimated_total":1}
    2026-03-09T09:00:00+03:00  2  booking_request_created  {"booking_id":2,"services_count":1,"estimated_total":1}
    2026-03-09T09:30:00+03:00  2  ai_dialog_started        {}
    2026-03-10T23:50:00+03:00  3  ai_dialog_started        {}
    2026-03-11T00:10:00+03:00  3  booking_request_created  {"booking_id":3,"services_count":1,"estimated_total":1}
    2026-03-15T09:30:00+03:00  2  booking_request_created  {"booking_id":4,"services_count":1,"estimated_total":1}
    2026-03-16T09:30:00+03:00  2  booking_request_created  {"booking_id":5,"services_count":1,"estimated_total":1}
    2026-03-16T12:00:00+03:00  1  review_left              {}
    2026-03-16T12:30:00+03:00  1  review_left              {}
    2026-03-16T11:00:00+03:00  1  error_occurred           {"error_class":"Timeout"}
    2026-03-16T11:00:00+03:00  1  error_occurred           {"error_class":"Refused"}
    2026-03-09T23:59:59+03:00  1  ai_response_time         {"duration_ms":100,"model_used":"a"}
    2026-03-09T12:00:00+03:00  1  ai_response_time         {"duration_ms":50,"model_used":"b"}
    2026-03-10T00:00:00+03:00  1  ai_response_time         {"duration_ms":70,"model_used":"b"}
    2026-03-10T12:00:00+03:00  1  cart_confirmed           {"services_count":"two"}
    2026-03-10T12:00:00+03:00  1  cart_confirmed           {"services_count":3.5,"total_amount":"much"}
    2026-03-10T12:00:00+03:00  1  review_left              7
"#;

#[tokio::test(flavor = "multi_thread")]
async fn what_people_ask_is_answered_as_a_hand_counts_it() {
    let system = System::start().await;
    say(&system, EVENTS).await;
    settle(&system).await;
    periods(&system).await;
    time_to_booking(&system).await;
    rejections_and_undeclared(&system).await;
    status(&system).await;
    filled(&system).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rollups_that_have_counted_nothing_are_not_said_to_be_up_to_date() {
    let system = System::start().await;
    let behind = "SELECT newest_stored_at, newest_counted_at, rollups_behind_seconds FROM rollups.pipeline_status";
    assert_table(&system, behind, "-  -  0").await;
    say(&system, "2026-03-09T10:00:00+03:00  1  ai_dialog_started  {}").await;
    system.run_dry(Service::Persister).await;
    assert_table(&system, behind, "2026-03-09T07:00:00+00:00  -  -").await;
    system.settle().await;
    let headers = [("Valera-Origin", "import"), ("Nats-Msg-Id", "golden/later")];
    let body = r#"{"chat_id":1,"occurred_at":"2026-03-09T10:01:30+03:00"}"#;
    system.publish("analytics.review_left", &headers, body).await;
    system.run_dry(Service::Persister).await;
    assert_table(&system, behind, "2026-03-09T07:01:30+00:00  2026-03-09T07:00:00+00:00  90").await;
}

async fn periods(system: &System) {
    // Chat 2 books on three days and chat 1 comes on three: each is one chat.
    let period = "SELECT * FROM rollups.funnel_period('2026-03-09', '2026-03-16')";
    assert_table(system, period, "3  3  1  0  0  3  1  3  100.00  100.00").await;
    let period = "SELECT * FROM rollups.funnel_period('2026-03-10', '2026-03-15')";
    assert_table(system, period, "3  1  0  0  0  2  0  1  100.00  66.67").await;
    let none = "SELECT * FROM rollups.funnel_period('2026-03-12', '2026-03-14')";
    assert_table(system, none, "0  0  0  0  0  0  0  0  -  -").await;
    let steps = "SELECT step, chats FROM rollups.funnel_steps('2026-03-09', '2026-03-09') ORDER BY step";
    assert_table(system, steps, "1  2\n2  1\n3  0\n4  0\n5  2").await;
}

async fn time_to_booking(system: &System) {
    // Chat 2 booked before its dialog on the 9th, within seven days of it on the 15th, and not on the 16th.
    assert_table(
        system,
        "SELECT day, week, chat_id, dialog_at, booking_at, minutes FROM rollups.time_to_booking ORDER BY day",
        "2026-03-09  2026-03-09  1  2026-03-09T07:00:00+00:00  2026-03-09T07:30:30+00:00  30.5
         2026-03-11  2026-03-09  3  2026-03-10T20:50:00+00:00  2026-03-10T21:10:00+00:00  20.0
         2026-03-15  2026-03-09  2  2026-03-09T06:30:00+00:00  2026-03-15T06:30:00+00:00  8640.0",
    )
    .await;
}

async fn rejections_and_undeclared(system: &System) {
    // A letter with two reasons counts once, under the first.
    assert_table(
        system,
        "SELECT event_name, reason, sum(rejections) AS rejections, sum(open) AS open, sum(closed) AS closed
         FROM rollups.rejections_hourly GROUP BY 1, 2 ORDER BY 1, 2",
        "cart_confirmed  wrong_type      2  2  0
         review_left     bad_properties  1  1  0",
    )
    .await;
    assert_table(
        system,
        "SELECT event_name, events, first_hour, last_hour FROM rollups.undeclared_events",
        "review_left  2  2026-03-16T09:00:00+00:00  2026-03-16T09:00:00+00:00",
    )
    .await;
}

async fn status(system: &System) {
    assert_table(
        system,
        "SELECT newest_stored_at, newest_counted_at, rollups_behind_seconds, open_letters,
            oldest_open_letter_at > now() - interval '1 hour' AS lately, letters_last_day, time_zone
         FROM rollups.pipeline_status",
        "2026-03-16T09:30:00+00:00  2026-03-16T09:30:00+00:00  0  3  true  3  Europe/Moscow",
    )
    .await;
}

async fn filled(system: &System) {
    assert_table(
        system,
        "SELECT day, chats, dialogs, bookings, conversion_rate FROM rollups.funnel_daily_filled
         WHERE day <= '2026-03-13' ORDER BY day",
        "2026-03-09  2  2  2  100.00
         2026-03-10  2  1  0  0.00
         2026-03-11  1  0  1  -
         2026-03-12  0  0  0  -
         2026-03-13  0  0  0  -",
    )
    .await;
    assert_table(
        system,
        "SELECT week, chats, dialogs, bookings, conversion_rate FROM rollups.funnel_weekly_filled
         WHERE week <= '2026-03-23' ORDER BY week",
        "2026-03-09  3  3  3  100.00
         2026-03-16  2  0  1  -
         2026-03-23  0  0  0  -",
    )
    .await;
    assert_table(
        system,
        "SELECT day, event_name, events FROM rollups.event_counts_daily_filled
         WHERE day BETWEEN '2026-03-15' AND '2026-03-17'
            AND event_name IN ('booking_request_created', 'error_occurred', 'review_left') ORDER BY day, event_name",
        "2026-03-15  booking_request_created  1
         2026-03-15  error_occurred           0
         2026-03-16  booking_request_created  1
         2026-03-16  error_occurred           2
         2026-03-16  review_left              2
         2026-03-17  booking_request_created  0
         2026-03-17  error_occurred           0",
    )
    .await;
    assert_table(
        system,
        "SELECT day, errors, error_classes FROM rollups.errors_daily_filled
         WHERE day BETWEEN '2026-03-15' AND '2026-03-16' ORDER BY day",
        "2026-03-15  0  0
         2026-03-16  2  2",
    )
    .await;
    assert_table(
        system,
        "SELECT day, responses, slow_responses, avg_ms, p50_ms, p99_ms, max_ms
         FROM rollups.response_times_daily_filled WHERE day <= '2026-03-11' ORDER BY day",
        "2026-03-09  2  0  75.00  50  100  100
         2026-03-10  1  0  70.00  70  70   70
         2026-03-11  0  0  -      -   -    -",
    )
    .await;
    // Up to today, which has begun, and no further.
    let days = "SELECT max(starts_at) <= now() AND max(ends_at) > now() AS today, count(*) = max(day) - min(day) + 1 AS whole
        FROM rollups.days";
    assert_table(system, days, "true  true").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_column_and_function_is_described_in_russian() {
    let system = System::start().await;
    // Partitions are listed as tables too. What sqlx keeps is its own.
    let attach = "SELECT count(*) FROM (VALUES ('analytics_events'), ('rollups.inbox')) AS t (name)
        WHERE valera_attach_month(name::regclass, '2026-03-01')";
    assert_eq!(system.count(attach).await, 2);
    let undescribed: Vec<(String,)> = system
        .rows(
            "SELECT concat_ws('.', c.oid::regclass::text, a.attname)
             FROM pg_class AS c
             JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
             WHERE c.relnamespace IN ('public'::regnamespace, 'rollups'::regnamespace)
                AND c.relkind IN ('r', 'p', 'v', 'm')
                AND c.relname <> '_sqlx_migrations'
                AND coalesce(col_description(c.oid, a.attnum), '') !~ '[а-яё]'
             UNION ALL
             SELECT c.oid::regclass::text
             FROM pg_class AS c
             WHERE c.relnamespace IN ('public'::regnamespace, 'rollups'::regnamespace)
                AND c.relkind IN ('r', 'p', 'v', 'm')
                AND c.relname <> '_sqlx_migrations'
                AND coalesce(obj_description(c.oid, 'pg_class'), '') !~ '[а-яё]'
             UNION ALL
             SELECT p.oid::regprocedure::text
             FROM pg_proc AS p
             WHERE p.pronamespace IN ('public'::regnamespace, 'rollups'::regnamespace)
                AND coalesce(obj_description(p.oid, 'pg_proc'), '') !~ '[а-яё]'",
        )
        .await;
    assert_eq!(undescribed, []);
    assert!(system.count("SELECT count(*) FROM pg_class WHERE relnamespace = 'rollups'::regnamespace").await > 20);
}
