//! What the reports promise: they fit the terminal, hide nothing and steer nothing.
//!
//! It does not test the queries behind them.

use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDate, Utc};
use insta::assert_snapshot;
use uuid::Uuid;
use valera_events::Catalogue;
use valera_pipeline::{
    alerts::{Phase, Severity, Withheld},
    replay::PreviewRow,
    store::replays::ReplayRow,
    trial::{Fault, Tried},
};

use super::*;
use crate::terminal::Style;

const PLAIN: Style = Style { colour: false, width: 80 };

fn counts(counts: [i64; 8]) -> FunnelCounts {
    let [
        chats,
        dialogs,
        suggestions,
        services_added,
        carts_confirmed,
        bookings,
        dialogs_with_suggestion,
        dialogs_with_booking,
    ] = counts;
    FunnelCounts {
        chats,
        dialogs,
        suggestions,
        services_added,
        carts_confirmed,
        bookings,
        dialogs_with_suggestion,
        dialogs_with_booking,
        conversion_rate: percent(dialogs_with_booking, dialogs),
    }
}

fn date(day: u32) -> Result<NaiveDate> {
    NaiveDate::from_ymd_opt(2026, 11, day).context("a day")
}

fn funnel_days() -> Result<Vec<FunnelDay>> {
    Ok(vec![
        FunnelDay { day: date(22)?, counts: counts([1_250, 1_204, 741, 540, 359, 262, 739, 260]) },
        FunnelDay { day: date(23)?, counts: counts([3, 0, 0, 0, 0, 0, 0, 0]) },
        FunnelDay { day: date(24)?, counts: counts([13_480, 12_977, 8_102, 5_844, 3_899, 2_857, 8_099, 2_851]) },
    ])
}

/// Less than the sum of the days: some chats came on two.
fn funnel_total() -> FunnelCounts {
    counts([14_100, 13_500, 8_500, 6_200, 4_100, 3_000, 8_480, 2_990])
}

fn funnel_cohort_rows() -> Result<Vec<FunnelCohort>> {
    let cohort = |day, started_dialogs, received_suggestions, created_bookings| -> Result<FunnelCohort> {
        let conversion_rate = percent(created_bookings, started_dialogs);
        Ok(FunnelCohort {
            week: date(day)?,
            started_dialogs,
            received_suggestions,
            created_bookings,
            conversion_rate,
        })
    };
    Ok(vec![cohort(16, 8_200, 5_120, 1_804)?, cohort(23, 1_030, 600, 190)?])
}

fn funnel_period() -> Result<FunnelPeriod> {
    let counts = funnel_total();
    let conversion_of_chats = percent(counts.bookings, counts.chats);
    Ok(FunnelPeriod { from_day: date(22)?, to_day: date(24)?, counts, conversion_of_chats })
}

fn latency_row(period: &str, model: &str, responses: i64, ms: [i64; 4]) -> LatencyRow {
    let [p50, p95, p99, max] = ms.map(Some);
    LatencyRow {
        period: period.to_owned(),
        model: model.to_owned(),
        responses,
        slow_responses: responses / 20,
        avg_ms: Some("1612.483".to_owned()),
        p50_ms: p50,
        p95_ms: p95,
        p99_ms: p99,
        max_ms: max,
    }
}

fn letter_groups() -> Vec<LetterGroup> {
    let group = |event_name: &str, reason: &str, count, path: &str, expected: &str| LetterGroup {
        event_name: event_name.to_owned(),
        reason: reason.to_owned(),
        count,
        path: path.to_owned(),
        expected: expected.to_owned(),
    };
    vec![
        group(
            "booking_request_created",
            "missing_property",
            1_204,
            "properties.services_count",
            "a required integer",
        ),
        group(
            "ai_response_time",
            "wrong_type",
            7,
            "properties.duration_ms",
            "an integer, written without fraction or exponent",
        ),
        group("", "bad_event_name", 1, "", "[a-z][a-z0-9_]{0,49}"),
    ]
}

fn consumers() -> Vec<ConsumerStatus> {
    let consumer = |name: &str, pending, ack_pending, oldest_seconds| ConsumerStatus {
        name: name.to_owned(),
        pending,
        ack_pending,
        redelivered: 0,
        oldest_seconds,
        stream: "ANALYTICS".to_owned(),
        last_ack_at: Some(noon()),
        holder: None,
        last_shown_at: None,
    };
    let channel = |name: &str, pending, holder: Option<&str>, last_shown_at| ConsumerStatus {
        stream: CHANNELS.to_owned(),
        holder: holder.map(str::to_owned),
        last_shown_at,
        ..consumer(name, pending, 0, None)
    };
    vec![
        consumer("persister", 0, 0, None),
        consumer("rollups", 120_400, 5_000, Some(3)),
        consumer("alerts", 17, 0, Some(600)),
        channel("notify_telegram", 0, Some("019acb7e-7a07-7c3f-8b2a-0c5d1f2e3a4b"), Some(noon())),
        channel("notify_webhook", 3, Some("019acb7e-7a07-7c3f-8b2a-0c5d1f2e3a4c"), None),
        channel("notify_email", 120_400, None, None),
    ]
}

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_521_600, 0).unwrap_or_default()
}

fn letter_line() -> LetterLine {
    LetterLine {
        id: Uuid::max(),
        event_id: Uuid::max(),
        event_name: "booking_request_created".to_owned(),
        received_at: noon(),
        status: "discarded".to_owned(),
        status_reason: Some("sent by the bot of the other workshop, whose bookings are its own ".repeat(3)),
        attempts: 12,
        payload_cleared: false,
        reasons: ["missing_property", "occurred_at_out_of_range", "unstorable_number"].map(str::to_owned).to_vec(),
    }
}

fn incident() -> IncidentRow {
    IncidentRow {
        opened_at: noon(),
        at: noon(),
        rule: "dead_letters".to_owned(),
        kind: "dead_letters".to_owned(),
        severity: Severity::Critical,
        phase: Phase::Updated,
        count: 1_234_567,
        group: "event_name=booking_request_created reason=missing_property platform=telegram".to_owned(),
        withheld: Some(Withheld::QuietHours),
        incident: "0123456789abcdef".to_owned(),
        facts: "{\"reason\":\"missing_property\",\"messages\":7}".to_owned(),
    }
}

fn mute() -> MuteRow {
    MuteRow { rule: "dead_letters".to_owned(), until: noon() }
}

fn replay_row() -> ReplayRow {
    ReplayRow {
        name: "persister-1-20000".to_owned(),
        subject: "analytics.>".to_owned(),
        asked_from: String::new(),
        asked_to: String::new(),
        first_seq: 1,
        last_seq: 20_000,
        position: 12_000,
        status: "running".to_owned(),
        at_work: false,
        stored: 11_000,
        duplicate: 900,
        conflicting: 1,
        rejected: 99,
        updated_at: noon(),
        ..ReplayRow::new("persister")
    }
}

fn preview_row() -> Result<PreviewRow> {
    let event_name = "booking_request_created".to_owned();
    Ok(PreviewRow { day: date(24)?, event_name, messages: 12_345, new: 12_000, ..PreviewRow::default() })
}

fn event_day() -> Result<EventDay> {
    let event_name = "booking_request_created".to_owned();
    Ok(EventDay { event_name, day: date(24)?, accepted: 12_345, rejected: 1_234, repaired: 123 })
}

fn tried_row() -> Tried {
    let fault = |path: &str| Fault { reason: "missing_property", path: path.to_owned(), messages: 1_204 };
    Tried {
        event_name: "booking_request_created".to_owned(),
        messages: 123_456,
        refused: 1_204,
        mended: 12,
        letters_mended: 12,
        faults: vec![fault("properties.services_count"), fault("properties.estimated_total")],
    }
}

fn outlook() -> Outlook {
    Outlook {
        id: Uuid::max(),
        event_name: "booking_request_created".to_owned(),
        verdict: NOT_PUBLISHED,
        detail: "missing_property at properties.services_count: a required integer; got nothing".to_owned(),
    }
}

fn retry_counts() -> Vec<RetryCount> {
    let mut tally = RetryTally::default();
    let outlook = outlook();
    tally.add(&outlook.event_name, outlook.verdict, &outlook.detail);
    tally.add(&outlook.event_name, REJECTED_AGAIN, "");
    tally.rows()
}

#[test]
fn the_funnel_fits_eighty_columns() -> Result<()> {
    assert_snapshot!(funnel(&funnel_days()?, &funnel_total(), "on these days", PLAIN));
    Ok(())
}

#[test]
fn weeks_look_like_days() -> Result<()> {
    let weeks: Vec<_> =
        funnel_days()?.into_iter().map(|row| FunnelWeek { week: row.day, counts: row.counts }).collect();
    assert_snapshot!(funnel_weeks(&weeks, &funnel_total(), "in these weeks", PLAIN));
    Ok(())
}

#[test]
fn a_whole_period_is_one_line() -> Result<()> {
    assert_snapshot!(funnel_whole(Some(&funnel_period()?), "from 2026-11-22 to 2026-11-24", PLAIN));
    Ok(())
}

#[test]
fn cohorts_add_up() -> Result<()> {
    assert_snapshot!(funnel_cohorts(&funnel_cohort_rows()?, "from 2026-11-16 to 2026-11-29", PLAIN));
    Ok(())
}

#[test]
fn latency_ends_with_the_row_over_everything() {
    let rows = [
        latency_row("2026-11-23", "deepseek-chat", 18_204, [1_450, 3_020, 4_211, 12_040]),
        latency_row("2026-11-23", "gpt-4o-mini", 7_411, [940, 1_722, 2_204, 3_907]),
        LatencyRow {
            avg_ms: None,
            p50_ms: None,
            p95_ms: None,
            p99_ms: None,
            max_ms: None,
            ..latency_row("2026-11-24", "yandexgpt", 0, [0; 4])
        },
    ];
    let total = latency_row("Total", "", 25_615, [1_302, 2_890, 4_002, 12_040]);
    assert_snapshot!(latency(&rows, Some(&total), "on these days", PLAIN));
}

#[test]
fn hours_of_one_year_do_not_say_it_and_long_names_are_cut() {
    let rows = [
        latency_row("2026-11-23 19:00", "deepseek-chat", 18_204, [1_450, 3_020, 4_211, 12_040]),
        latency_row("2026-11-23 20:00", &"very-long-model-name-".repeat(9), 7_411, [940, 1_722, 2_204, 3_907]),
    ];
    assert_snapshot!(latency(&rows, None, "in the last 24 hours", PLAIN));
    let mut years = rows;
    years[1].period = "2027-01-01 00:00".to_owned();
    assert!(latency(&years, None, "", PLAIN).contains("2027-01-01 00:00"));
}

#[test]
fn letters_say_where_the_fault_is() {
    assert_snapshot!(letters(&letter_groups(), PLAIN));
}

#[test]
fn status_says_who_is_behind() {
    assert_snapshot!(status(&consumers(), PLAIN));
}

#[test]
fn no_line_is_wider_than_the_terminal() -> Result<()> {
    let rows =
        [latency_row("2026-11-23 19:00", &"very-long-model-name-".repeat(9), 18_204, [1_450, 3_020, 4_211, 12_040])];
    for width in [80, 100] {
        let style = Style { colour: false, width };
        for report in [
            funnel(&funnel_days()?, &funnel_total(), "", style),
            funnel_cohorts(&funnel_cohort_rows()?, "from 2026-11-16 to 2026-11-29", style),
            funnel_whole(Some(&funnel_period()?), "from 2026-11-22 to 2026-11-24", style),
            latency(&rows, Some(&latency_row("", "", 1_234_567, [12_040; 4])), "", style),
            letters(&letter_groups(), style),
            letter_lines(&[letter_line()], style),
            outlooks(&[outlook()], style),
            retries(&retry_counts(), style),
            status(&consumers(), style),
            incidents(&[incident()], style),
            mutes(&[mute()], style),
            replays(&[replay_row()], style),
            preview(&[preview_row()?], style),
            events(&event_reports(Catalogue::OURS, &[event_day()?], &[], noon()), style),
            event_days(&[event_day()?], style),
            tried(&[tried_row()], style),
        ] {
            for line in report.lines() {
                assert!(line.chars().count() <= usize::from(width), "{line}");
            }
        }
    }
    Ok(())
}

#[test]
fn nothing_to_show_is_said_in_words() {
    let when = "from 2026-11-01 to 2026-11-02";
    let nothing = counts([0; 8]);
    assert_eq!(funnel(&[], &nothing, when, PLAIN), "no events from 2026-11-01 to 2026-11-02\n");
    assert_eq!(funnel_weeks(&[], &nothing, when, PLAIN), "no events from 2026-11-01 to 2026-11-02\n");
    assert_eq!(funnel_whole(None, when, PLAIN), "no events from 2026-11-01 to 2026-11-02\n");
    assert_eq!(funnel_cohorts(&[], when, PLAIN), "no dialogs from 2026-11-01 to 2026-11-02\n");
    assert_eq!(
        latency(&[], None, "of a\x1b in the last 24 hours", PLAIN),
        "no response times of a\u{fffd} in the last 24 hours\n"
    );
    assert!(letters(&[], PLAIN).starts_with("no dead letters"));
    assert!(status(&[], PLAIN).starts_with("no consumers"));
}

#[test]
fn escapes_come_from_the_style_and_never_from_a_name() -> Result<()> {
    let rows = [latency_row("day", "evil\x1b[2J\u{202e}", 1, [1; 4])];
    let plain = latency(&rows, None, "", PLAIN);
    assert!(!plain.contains('\x1b') && !plain.contains('\u{202e}'));
    let coloured = funnel(&funnel_days()?, &funnel_total(), "", Style { colour: true, ..PLAIN });
    assert!(coloured.contains('\x1b'));
    Ok(())
}

#[test]
fn csv_quotes_what_needs_it_and_has_a_header_even_without_rows() -> Result<()> {
    assert_eq!(
        csv(&[incident()])?,
        "opened_at,at,rule,kind,severity,phase,count,group,withheld,incident,facts\r\n\
         2026-11-24T12:00:00Z,2026-11-24T12:00:00Z,dead_letters,dead_letters,critical,updated,1234567,\
         event_name=booking_request_created reason=missing_property platform=telegram,quiet_hours,0123456789abcdef,\
         \"{\"\"reason\"\":\"\"missing_property\"\",\"\"messages\"\":7}\"\r\n"
    );
    assert_eq!(csv::<MuteRow>(&[])?, "rule,until\r\n");
    Ok(())
}

/// The header is written apart from the rows, so it is compared with what serde writes.
fn names_its_fields<T: Row>(row: &T) -> Result<bool> {
    let mut writer = ::csv::Writer::from_writer(Vec::new());
    writer.serialize(row)?;
    let written = String::from_utf8(writer.into_inner()?)?;
    Ok(written.lines().next() == Some(T::COLUMNS.join(",").as_str()))
}

#[test]
fn columns_are_the_fields_in_their_order() -> Result<()> {
    assert!(names_its_fields(&funnel_days()?[0])?);
    assert!(names_its_fields(&FunnelWeek { week: date(23)?, counts: funnel_total() })?);
    assert!(names_its_fields(&funnel_cohort_rows()?[0])?);
    assert!(names_its_fields(&funnel_period()?)?);
    assert!(names_its_fields(&latency_row("", "", 0, [0; 4]))?);
    assert!(names_its_fields(&consumers()[0])?);
    assert!(names_its_fields(&incident())?);
    assert!(names_its_fields(&mute())?);
    assert!(names_its_fields(&replay_row())?);
    assert!(names_its_fields(&preview_row()?)?);
    Ok(())
}

#[test]
fn json_is_an_array_of_rows() -> Result<()> {
    let value: serde_json::Value = serde_json::from_str(&json(&funnel_days()?)?)?;
    assert_eq!(value[0]["day"], "2026-11-22");
    assert_eq!(value[0]["conversion_rate"], "21.59");
    assert!(value[1]["conversion_rate"].is_null());
    Ok(())
}

#[test]
fn percentages_round_like_postgres() {
    assert_eq!(percent(1, 3).as_deref(), Some("33.33"));
    assert_eq!(percent(2, 3).as_deref(), Some("66.67"));
    assert_eq!(percent(1, 800).as_deref(), Some("0.13"));
    assert_eq!(percent(5, 5).as_deref(), Some("100.00"));
    assert_eq!(percent(0, 0), None);
}
