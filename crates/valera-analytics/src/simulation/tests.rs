//! What the simulation promises: the same bytes, exact counts, plausible people and honest mistakes.
//!
//! It does not ask the pipeline; the program's own tests do that.

use std::collections::{BTreeMap, HashMap, HashSet};

use anyhow::{Context, Result, bail, ensure};
use chrono::{DateTime, TimeDelta, Timelike, Utc};
use serde_json::Value;
use uuid::Uuid;
use valera_events::{catalogue, id};

use super::{Expected, Kind, Message, Simulation, Way, moscow_day, rhythm::moscow};
use crate::report::FunnelCounts;

const EVENTS: usize = 12_000;

fn now() -> Result<DateTime<Utc>> {
    "2026-11-24T09:30:15.123456Z".parse().context("parsing the moment of the test")
}

fn simulation() -> Result<Simulation> {
    Ok(Simulation::new(7, EVENTS, 10, now()?))
}

/// The body and time of an acceptable message.
fn read(message: &Message) -> Result<(Value, DateTime<Utc>)> {
    let body: Value = serde_json::from_slice(&message.body)?;
    let occurred_at = match (body["occurred_at"].as_str(), sent_id(&body)) {
        (Some(text), _) => DateTime::parse_from_rfc3339(text)?.to_utc(),
        (None, Some(id)) => DateTime::from_timestamp_millis(id::millis(id)).context("reading the time of an id")?,
        (None, None) => bail!("no time in {body}"),
    };
    Ok((body, occurred_at))
}

fn sent_id(body: &Value) -> Option<Uuid> {
    body["event_id"].as_str().and_then(|text| text.parse().ok())
}

fn is_bad(message: &Message) -> bool {
    matches!(message.kind, Kind::Bad(_))
}

#[test]
fn the_same_seed_and_moment_give_the_same_bytes() -> Result<()> {
    let first = simulation()?;
    assert_eq!(first.messages(), simulation()?.messages());
    assert_ne!(first.messages(), Simulation::new(8, EVENTS, 10, now()?).messages());
    Ok(())
}

#[test]
fn the_same_seed_a_second_later_shares_no_id() -> Result<()> {
    let first: HashSet<_> = simulation()?.into_iter().filter_map(|message| message.msg_id).collect();
    let later = Simulation::new(7, EVENTS, 10, now()? + TimeDelta::seconds(1));
    assert!(later.into_iter().filter_map(|message| message.msg_id).all(|id| !first.contains(&id)));
    Ok(())
}

#[test]
fn there_are_exactly_as_many_distinct_events_as_asked_for() -> Result<()> {
    for events in [0, 1, 3, 99, 1_100] {
        for days in [0, 1, 365, 9_999] {
            let simulation = Simulation::new(1, events, days, now()?);
            let expected = simulation.expected(moscow_day);
            assert_eq!(expected.distinct, events as u64);
            assert_eq!(expected.by_name.values().sum::<u64>(), events as u64);
            let bad = simulation.messages().iter().filter(|message| is_bad(message)).count();
            assert_eq!(expected.dead_letters.values().sum::<u64>(), bad as u64);
        }
    }
    Ok(())
}

#[test]
fn every_acceptable_event_is_within_the_bounds_of_the_contract() -> Result<()> {
    let now = now()?;
    for message in [simulation()?, Simulation::new(3, 3_000, 365, now)].into_iter().flatten() {
        if is_bad(&message) {
            continue;
        }
        let (body, occurred_at) = read(&message)?;
        ensure!(occurred_at < now, "in the future: {body}");
        ensure!(occurred_at > now - TimeDelta::days(366), "too old: {body}");
        ensure!(body["chat_id"].is_i64() && body["properties"].is_object(), "incomplete: {body}");
        ensure!(message.body.len() < 2_048, "too long: {body}");
        if let Some(id) = sent_id(&body) {
            ensure!(id.get_version_num() == 7, "not a v7: {body}");
            ensure!(id::millis(id) == occurred_at.timestamp_millis(), "an id of another time: {body}");
            ensure!(message.msg_id.is_none() || message.msg_id == Some(id.to_string()), "two ids: {body}");
        } else {
            ensure!(message.msg_id.is_some(), "nothing identifies {body}");
        }
    }
    Ok(())
}

#[test]
fn the_funnel_narrows_as_in_a_real_shop() -> Result<()> {
    let expected = simulation()?.expected(moscow_day);
    let sum =
        |column: fn(&FunnelCounts) -> i64| expected.funnel_daily.iter().map(|day| column(&day.counts)).sum::<i64>();
    let dialogs = sum(|day| day.dialogs);
    for (step, percent) in [
        (sum(|day| day.suggestions), 62),
        (sum(|day| day.services_added), 45),
        (sum(|day| day.carts_confirmed), 30),
        (sum(|day| day.bookings), 22),
    ] {
        let measured = step * 100 / dialogs;
        assert!((percent - 4..=percent + 4).contains(&measured), "{measured} %, not about {percent} %");
    }
    let days = expected.funnel_daily.iter().map(|day| &day.counts);
    let day = days.max_by_key(|day| day.dialogs).context("no day")?;
    assert!(day.chats >= day.dialogs && day.dialogs > 50);
    Ok(())
}

#[test]
fn the_shop_sleeps_at_night_and_its_slow_hour_is_slow() -> Result<()> {
    let mut by_hour = [0_u32; 24];
    let mut durations: HashMap<bool, Vec<i64>> = HashMap::new();
    for message in simulation()? {
        if message.subject != "analytics.ai_response_time" || is_bad(&message) {
            continue;
        }
        let (body, occurred_at) = read(&message)?;
        let hour = moscow(occurred_at).hour();
        by_hour[hour as usize] += 1;
        let duration = body["properties"]["duration_ms"].as_i64().context("no duration")?;
        durations.entry(hour == 19).or_default().push(duration);
    }
    assert!(by_hour[20] > 10 * by_hour[3].max(1), "{by_hour:?}");
    let median = |slow: bool| -> Option<i64> {
        let mut sorted = durations.get(&slow)?.clone();
        sorted.sort_unstable();
        sorted.get(sorted.len() / 2).copied()
    };
    assert!(median(true) > median(false).map(|fast| fast * 2));
    Ok(())
}

#[test]
fn duplicates_repeat_an_earlier_message_with_and_without_its_id() -> Result<()> {
    let mut earlier = HashSet::new();
    let (mut with_id, mut without_id) = (0, 0);
    for message in simulation()? {
        if message.kind != Kind::Duplicate {
            assert!(earlier.insert(message.body.clone()), "an unmarked duplicate");
            continue;
        }
        assert!(earlier.contains(&message.body), "a duplicate came before its original");
        let body: Value = serde_json::from_slice(&message.body)?;
        assert!(message.msg_id.is_some() || sent_id(&body).is_some(), "a duplicate that would be another event");
        *if message.msg_id.is_some() { &mut with_id } else { &mut without_id } += 1;
    }
    let all = with_id + without_id;
    assert!(with_id > 50 && without_id > 50 && all > EVENTS / 50 && all < EVENTS / 25, "{with_id} and {without_id}");
    Ok(())
}

#[test]
fn a_message_id_belongs_to_one_event() -> Result<()> {
    let mut bodies = HashMap::new();
    for message in simulation()? {
        if let Some(id) = message.msg_id {
            assert_eq!(bodies.entry(id).or_insert_with(|| message.body.clone()), &message.body);
        }
    }
    Ok(())
}

#[test]
fn a_share_of_the_chats_goes_by_the_gateway_with_mistakes_and_duplicates_and_no_event_goes_both_ways() -> Result<()> {
    let mut ways = HashMap::new();
    let (mut good, mut duplicate, mut bad) = (0, 0, 0);
    for message in simulation()? {
        let body: Option<Value> = serde_json::from_slice(&message.body).ok();
        assert_eq!(ways.entry(message.body).or_insert(message.way), &message.way);
        if message.way == Way::Nats {
            continue;
        }
        let body = body.context("nothing but JSON is posted")?;
        ensure!(
            Some(message.subject) == body["event_name"].as_str().map(|name| format!("analytics.{name}")),
            "{body}"
        );
        *match message.kind {
            Kind::Bad(_) => &mut bad,
            Kind::Duplicate => &mut duplicate,
            _ => &mut good,
        } += 1;
    }
    assert!(good > EVENTS / 8 && good < EVENTS / 3 && duplicate > 20 && bad > 0, "{good}, {duplicate}, {bad}");
    Ok(())
}

#[test]
fn late_undeclared_and_fresh_events_come_along() -> Result<()> {
    let now = now()?;
    let (mut late, mut undeclared, mut fresh, mut disorder) = (0, 0, 0, 0);
    let mut newest = DateTime::UNIX_EPOCH;
    for message in simulation()?.into_iter().filter(|message| !is_bad(message)) {
        let (_, occurred_at) = read(&message)?;
        match message.kind {
            Kind::Late => {
                let days = (now - occurred_at).num_days();
                ensure!((40..=311).contains(&days), "{days} days late");
                late += 1;
            }
            Kind::Undeclared => undeclared += 1,
            _ if occurred_at > now - TimeDelta::minutes(15) => fresh += 1,
            _ => disorder += u32::from(occurred_at < newest),
        }
        newest = newest.max(occurred_at);
    }
    assert!(
        late > 10 && undeclared > 50 && fresh > 3 && disorder > 1_000,
        "{late}, {undeclared}, {fresh}, {disorder}"
    );
    assert!(super::vocabulary::UNDECLARED.iter().all(|name| catalogue::find(name).is_none()));
    Ok(())
}

#[test]
fn every_mistake_has_the_fault_that_it_names() -> Result<()> {
    let simulation = simulation()?;
    for message in simulation.messages() {
        if let Kind::Bad(reason) = message.kind {
            let body = serde_json::from_slice(&message.body).ok();
            ensure!(has_fault(reason, message, body.as_ref())?, "{reason}: {message:?}");
        }
    }
    let reasons = simulation.expected(moscow_day).dead_letters;
    assert_eq!(reasons.len(), 11, "{reasons:?}");
    Ok(())
}

fn has_fault(reason: &str, message: &Message, body: Option<&Value>) -> Result<bool> {
    let Some(body) = body else {
        return Ok(reason == "not_json");
    };
    let properties = &body["properties"];
    Ok(match reason {
        "missing_property" => properties["services_count"].is_null(),
        "wrong_type" => properties["duration_ms"] == "fast",
        "bad_chat_id" => body["chat_id"].is_string(),
        "missing_chat_id" => body["chat_id"].is_null(),
        "occurred_at_out_of_range" => read(message)?.1 > now()? + TimeDelta::hours(1),
        "bad_occurred_at" => {
            body["occurred_at"].as_str().is_some_and(|text| DateTime::parse_from_rfc3339(text).is_err())
        }
        "bad_event_id" => sent_id(body).is_some_and(|id| id.get_version_num() == 4),
        "out_of_range" => properties["confidence_score"].as_f64() > Some(1.0),
        "unknown_field" => body.get("service_name").is_some(),
        "name_mismatch" => {
            body["event_name"].as_str().is_some_and(|name| !message.subject.ends_with(&format!(".{name}")))
        }
        _ => bail!("an unlisted reason: {reason}"),
    })
}

#[test]
fn the_ledger_counts_a_chat_once_a_day_and_an_event_once() -> Result<()> {
    let sent = |event: &str, id: &str, body: &str, kind| Message {
        subject: format!("analytics.{event}"),
        msg_id: Some(id.to_owned()),
        origin: valera_events::Origin::Demo,
        body: body.as_bytes().to_vec(),
        kind,
        way: Way::Nats,
    };
    let evening = r#"{"chat_id":1,"occurred_at":"2026-11-23T20:59:59Z"}"#;
    let next_day = r#"{"chat_id":1,"occurred_at":"2026-11-24T00:00:00+03:00"}"#;
    let expected = Expected::of(
        &[
            sent("ai_dialog_started", "a", evening, Kind::Good),
            sent("ai_dialog_started", "b", evening, Kind::Good),
            sent("ai_dialog_started", "a", evening, Kind::Duplicate),
            sent("booking_request_created", "c", next_day, Kind::Late),
            sent("booking_request_created", "d", "{}", Kind::Bad("missing_chat_id")),
        ],
        moscow_day,
    );
    assert_eq!(expected.distinct, 3);
    assert_eq!(expected.dead_letters, BTreeMap::from([("missing_chat_id", 1)]));
    let days: Vec<_> = expected
        .funnel_daily
        .iter()
        .map(|day| &day.counts)
        .map(|day| (day.chats, day.dialogs, day.bookings, day.conversion_rate.as_deref()))
        .collect();
    assert_eq!(days, [(1, 1, 0, Some("0.00")), (1, 0, 1, None)]);
    Ok(())
}
