//! Rows as the database and the broker would give them, for the reports to show.
//!
//! It does not judge how they look.

use super::super::*;
use anyhow::{Context, Result};
use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;
use valera_pipeline::{
    alerts::{Phase, Severity, Withheld},
    replay::PreviewRow,
    store::replays::ReplayRow,
    trial::{Fault, Tried},
};

pub(super) fn counts(counts: [i64; 8]) -> FunnelCounts {
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

pub(super) fn date(day: u32) -> Result<NaiveDate> {
    NaiveDate::from_ymd_opt(2026, 11, day).context("a day")
}

pub(super) fn funnel_days() -> Result<Vec<FunnelDay>> {
    Ok(vec![
        FunnelDay { day: date(22)?, counts: counts([1_250, 1_204, 741, 540, 359, 262, 739, 260]) },
        FunnelDay { day: date(23)?, counts: counts([3, 0, 0, 0, 0, 0, 0, 0]) },
        FunnelDay { day: date(24)?, counts: counts([13_480, 12_977, 8_102, 5_844, 3_899, 2_857, 8_099, 2_851]) },
    ])
}

/// Less than the sum of the days: some chats came on two.
pub(super) fn funnel_total() -> FunnelCounts {
    counts([14_100, 13_500, 8_500, 6_200, 4_100, 3_000, 8_480, 2_990])
}

pub(super) fn funnel_cohort_rows() -> Result<Vec<FunnelCohort>> {
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

pub(super) fn funnel_period() -> Result<FunnelPeriod> {
    let counts = funnel_total();
    let conversion_of_chats = percent(counts.bookings, counts.chats);
    Ok(FunnelPeriod { from_day: date(22)?, to_day: date(24)?, counts, conversion_of_chats })
}

pub(super) fn latency_row(period: &str, model: &str, responses: i64, ms: [i64; 4]) -> LatencyRow {
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

pub(super) fn letter_groups() -> Vec<LetterGroup> {
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

pub(super) fn consumers() -> Vec<ConsumerStatus> {
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
        left_behind: None,
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

pub(super) fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_521_600, 0).unwrap_or_default()
}

pub(super) fn letter_line() -> LetterLine {
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

pub(super) fn incident() -> IncidentRow {
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

pub(super) fn mute() -> MuteRow {
    MuteRow { rule: "dead_letters".to_owned(), until: noon() }
}

pub(super) fn replay_row() -> ReplayRow {
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

pub(super) fn preview_row() -> Result<PreviewRow> {
    let event_name = "booking_request_created".to_owned();
    Ok(PreviewRow { day: date(24)?, event_name, messages: 12_345, new: 12_000, ..PreviewRow::default() })
}

pub(super) fn event_day() -> Result<EventDay> {
    let event_name = "booking_request_created".to_owned();
    Ok(EventDay { event_name, day: date(24)?, accepted: 12_345, rejected: 1_234, repaired: 123 })
}

pub(super) fn tried_row() -> Tried {
    let fault = |path: &str| Fault { reason: "missing_property", path: path.to_owned(), messages: 1_204 };
    Tried {
        event_name: "booking_request_created".to_owned(),
        messages: 123_456,
        accepted: 120_456,
        refused: 1_204,
        mended: 12,
        letters_mended: 12,
        faults: vec![fault("properties.services_count"), fault("properties.estimated_total")],
    }
}

pub(super) fn outlook() -> Outlook {
    Outlook {
        id: Uuid::max(),
        event_name: "booking_request_created".to_owned(),
        verdict: NOT_PUBLISHED,
        detail: "missing_property at properties.services_count: a required integer; got nothing".to_owned(),
    }
}

pub(super) fn retry_counts() -> Vec<RetryCount> {
    let mut tally = RetryTally::default();
    let outlook = outlook();
    tally.add(&outlook.event_name, outlook.verdict, &outlook.detail);
    tally.add(&outlook.event_name, REJECTED_AGAIN, "");
    tally.rows()
}
