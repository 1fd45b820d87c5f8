//! What the reports promise: they fit the terminal, hide nothing and steer nothing.
//!
//! It does not test the queries behind them.

mod samples;

use anyhow::Result;
use insta::assert_snapshot;
use valera_events::Catalogue;

use super::*;
use crate::terminal::Style;
use samples::*;

const PLAIN: Style = Style { colour: false, width: 80 };

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
fn on_eighty_columns_no_line_is_wider_than_the_terminal() -> Result<()> {
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
                assert!(line.chars().count() <= usize::from(width), "{report}");
            }
        }
    }
    Ok(())
}

#[test]
fn on_a_narrow_terminal_names_stay_whole() -> Result<()> {
    const NARROW: Style = Style { colour: false, width: 60 };
    for report in [
        tried(&[tried_row()], NARROW),
        events(&event_reports(Catalogue::OURS, &[event_day()?], &[], noon()), NARROW),
        event_days(&[event_day()?], NARROW),
    ] {
        assert!(report.contains("booking_request_created"), "{report}");
    }
    assert!(tried(&[tried_row()], NARROW).contains("missing_property at"));
    for report in [letter_lines(&[letter_line()], NARROW), preview(&[preview_row()?], NARROW)] {
        assert!(report.contains("booking_"), "{report}");
    }
    let replay = replay_row();
    assert!(replays(std::slice::from_ref(&replay), NARROW).contains(&replay.name), "{}", replay.name);
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
