//! Detection as a pure machine: which steps a run of messages leads to, and that neither echoes nor restarts change them.

mod stream;

use super::{Alert, Mutes, Phase, Rules, Withheld, detector::Detector, rules::Reading};
use crate::{handler::Delivery, progress::Progress, room::Room};
use chrono::TimeDelta;
use chrono_tz::Tz;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;
use stream::{Stream, start};

/// One rule of each kind that looks at events, with small numbers.
const RULES: &str = r#"
    [rule.booking]
    kind = "event"
    event = "booking_request_created"
    facts = ["booking_id", "estimated_total"]

    [rule.error]
    kind = "burst"
    at_least = 3
    window = "5m"
    group_by = ["error_class"]
    cooldown = "10m"

    [rule.slow]
    kind = "slow"
    percentile = 75
    at_least = 4
    window = "5m"
    group_by = ["model_used"]

    [rule.unbooked]
    kind = "conversion"
    from = "ai_response_time"
    to = "booking_request_created"
    below_percent = 40
    at_least = 8
    window = "20m"

    [rule.rejected]
    kind = "dead_letters"
    in_a_row = 3
    window = "10m"
"#;

fn rules(text: &str) -> Arc<Rules> {
    Arc::new(Rules::parse(text).unwrap())
}

/// The steps up to `minutes` after noon.
fn steps_of(rules: &Arc<Rules>, stream: &Stream, minutes: i64) -> Vec<Alert> {
    let mut steps = Vec::new();
    let mut detector = Detector::new(rules.clone(), Tz::UTC);
    for observation in stream.observations(rules) {
        detector.observe(&observation, &mut steps);
    }
    detector.pass(start() + TimeDelta::minutes(minutes), &mut steps);
    steps
}

fn told(steps: &[Alert]) -> Vec<(&str, Phase, u64, Option<Withheld>)> {
    steps.iter().map(|step| (step.rule.as_str(), step.phase, step.count, step.withheld)).collect()
}

#[test]
fn each_booking_is_an_incident_named_after_its_event() {
    let rules = rules(RULES);
    let mut stream = Stream::default();
    let booking =
        json!({"booking_id": 7, "services_count": 1, "estimated_total": "15000.50", "customer_name": "Anna"});
    stream.put(0, "booking_request_created", &booking);
    stream.put(1, "booking_request_created", &booking);
    let steps = steps_of(&rules, &stream, 60);
    assert_eq!(told(&steps), [("booking", Phase::Firing, 1, None); 2]);
    assert_ne!(steps[0].incident, steps[1].incident);
    assert_eq!(Value::Object(steps[0].facts.clone()), json!({"booking_id": 7, "estimated_total": "15000.50"}));
}

#[test]
fn history_is_news_to_nobody() {
    let rules = rules(RULES);
    let mut stream = Stream::default();
    let booking = json!({"booking_id": 7, "services_count": 1, "estimated_total": 1});
    for origin in ["import", "retry", "demo"] {
        let header = ("Valera-Origin".to_owned(), origin.to_owned());
        stream.put(0, "booking_request_created", &booking).headers.push(header);
    }
    let occurred_at = start() - TimeDelta::minutes(16);
    stream.put_body(
        0,
        "booking_request_created",
        &json!({"chat_id": 1, "occurred_at": occurred_at, "properties": booking}),
    );
    assert_eq!(told(&steps_of(&rules, &stream, 60)), []);
    stream.put_body(
        0,
        "booking_request_created",
        &json!({"chat_id": 1, "occurred_at": occurred_at + TimeDelta::minutes(2), "properties": booking}),
    );
    assert_eq!(steps_of(&rules, &stream, 60).len(), 1);
}

#[test]
fn ten_thousand_errors_in_a_minute_are_one_incident() {
    let rules = rules(RULES);
    let mut stream = Stream::default();
    stream.errors("Timeout", (0..10_000).map(|n| n * 60 / 10_000));
    let steps = steps_of(&rules, &stream, 60);
    assert!(steps.iter().all(|step| step.incident == steps[0].incident && step.withheld.is_none()));
    assert_eq!(steps[0].phase, Phase::Firing);
    assert!(steps.len() < 20, "{} steps", steps.len());
    let last = steps.last().unwrap();
    assert_eq!((last.phase, last.count, last.revision), (Phase::Resolved, 10_000, steps.len() as u32));
    assert_eq!(last.at, start() + TimeDelta::minutes(6));
}

#[test]
fn a_burst_is_so_many_of_one_group_within_the_window() {
    let rules = rules(RULES);
    let mut scattered = Stream::default();
    scattered.errors("Timeout", [0, 10, 311, 320, 622]).errors("Other", [623, 624]);
    assert_eq!(told(&steps_of(&rules, &scattered, 60)), []);
    let mut burst = Stream::default();
    burst.errors("Timeout", [0, 10, 290]);
    let steps = steps_of(&rules, &burst, 60);
    assert_eq!(told(&steps), [("error", Phase::Firing, 3, None), ("error", Phase::Resolved, 3, None)]);
    assert_eq!(steps[0].group["error_class"], "Timeout");
}

#[test]
fn after_an_incident_the_next_one_cools_down_untold_and_an_hour_later_one_is_told_again() {
    let rules = rules(RULES);
    let mut stream = Stream::default();
    stream.errors("Timeout", [0, 1, 2, 400, 401, 402]).errors("Timeout", [4_000, 4_001, 4_002]);
    let told = steps_of(&rules, &stream, 120).iter().map(|step| (step.phase, step.withheld)).collect::<Vec<_>>();
    let cooldown = Some(Withheld::Cooldown);
    assert_eq!(
        told,
        [
            (Phase::Firing, None),
            (Phase::Resolved, None),
            (Phase::Firing, cooldown),
            (Phase::Resolved, cooldown),
            (Phase::Firing, None),
            (Phase::Resolved, None),
        ]
    );
}

#[test]
fn an_incident_that_outlasts_the_night_is_told_in_the_morning_and_a_critical_one_at_once() {
    let night = RULES.replace("cooldown = \"10m\"", "quiet_hours = \"11:00-12:30\"");
    let mut stream = Stream::default();
    stream.errors("Timeout", (0..60).map(|n| n * 60));
    let steps = steps_of(&rules(&night), &stream, 120);
    let first_told = steps.iter().find(|step| step.withheld.is_none()).unwrap();
    assert_eq!((first_told.phase, first_told.at), (Phase::Updated, start() + TimeDelta::minutes(30)));
    assert_eq!(steps[0].withheld, Some(Withheld::QuietHours));
    assert_eq!(steps.last().unwrap().withheld, None);
    let critical = night.replace("quiet_hours", "severity = \"critical\"\nquiet_hours");
    assert_eq!(steps_of(&rules(&critical), &stream, 120)[0].withheld, None);
}

#[test]
fn a_muted_rule_goes_on_untold() {
    let rules = rules(RULES);
    let mut stream = Stream::default();
    stream.errors("Timeout", [0, 1, 2]);
    let mut detector = Detector::new(rules.clone(), Tz::UTC);
    detector.mute(Mutes([("error".to_owned(), start() + TimeDelta::hours(1))].into()));
    let mut steps = Vec::new();
    stream.observations(&rules).iter().for_each(|observation| detector.observe(observation, &mut steps));
    detector.pass(start() + TimeDelta::minutes(30), &mut steps);
    let withheld: Vec<_> = steps.iter().map(|step| (step.phase, step.withheld)).collect();
    assert_eq!(withheld, [(Phase::Firing, Some(Withheld::Muted)), (Phase::Resolved, Some(Withheld::Muted))]);
}

#[test]
fn slow_answers_are_judged_by_share_and_only_where_there_are_enough() {
    let rules = rules(RULES);
    let answer = |stream: &mut Stream, second, duration| {
        stream.put(second, "ai_response_time", &json!({"duration_ms": duration, "model_used": "m"}));
    };
    let mut few = Stream::default();
    (0..3).for_each(|n| answer(&mut few, n, 9_000));
    assert_eq!(told(&steps_of(&rules, &few, 60)), []);
    // A quarter is not more than the quarter above the 75th percentile.
    let mut enough = Stream::default();
    [9_000, 3_000, 3_000, 3_000].into_iter().for_each(|duration| answer(&mut enough, 1, duration));
    assert_eq!(told(&steps_of(&rules, &enough, 60)), []);
    answer(&mut enough, 2, 3_001);
    let steps = steps_of(&rules, &enough, 60);
    assert_eq!(told(&steps), [("slow", Phase::Firing, 2, None), ("slow", Phase::Resolved, 2, None)]);
    assert_eq!(steps[0].facts["slowest_ms"], 9_000);
    assert_eq!((steps[0].at, steps[1].at), (start() + TimeDelta::minutes(1), start() + TimeDelta::minutes(6)));
}

#[test]
fn a_step_of_the_funnel_that_nobody_takes_raises_one_incident_until_somebody_does() {
    let rules = rules(&RULES.replace("\"ai_response_time\"", "\"ai_dialog_started\""));
    let mut stream = Stream::default();
    for second in 0..7 {
        stream.put(second, "ai_dialog_started", &json!({}));
    }
    assert_eq!(told(&steps_of(&rules, &stream, 60)), []);
    stream.put(60, "ai_dialog_started", &json!({}));
    for n in 0..4 {
        stream.put(
            300 + n,
            "booking_request_created",
            &json!({"booking_id": n, "services_count": 1, "estimated_total": 1}),
        );
    }
    let steps: Vec<_> = steps_of(&rules, &stream, 60).into_iter().filter(|step| step.rule == "unbooked").collect();
    assert_eq!(told(&steps), [("unbooked", Phase::Firing, 8, None), ("unbooked", Phase::Resolved, 8, None)]);
    assert_eq!((steps[0].at, steps[1].at), (start() + TimeDelta::minutes(2), start() + TimeDelta::minutes(6)));
    assert_eq!((&steps[0].facts["from_events"], &steps[0].facts["percent"]), (&json!(8), &json!(0)));
}

#[test]
fn a_type_that_used_to_be_accepted_and_is_rejected_in_a_row_raises_one_incident() {
    let rules = rules(RULES);
    let put = |stream: &mut Stream, second, good: bool| {
        let duration = if good { json!(1) } else { json!("slow") };
        stream.put(second, "ai_response_time", &json!({"duration_ms": duration, "model_used": "m"}));
    };
    let mut never_good = Stream::default();
    (0..9).for_each(|n| put(&mut never_good, n, false));
    assert_eq!(told(&steps_of(&rules, &never_good, 60)), []);
    let mut broken = Stream::default();
    put(&mut broken, 0, true);
    (1..6).for_each(|n| put(&mut broken, n, false));
    put(&mut broken, 60, true);
    let steps = steps_of(&rules, &broken, 60);
    assert_eq!(told(&steps), [("rejected", Phase::Firing, 3, None), ("rejected", Phase::Resolved, 5, None)]);
    assert_eq!(
        (&steps[0].group["event"], &steps[0].facts["reason"]),
        (&"ai_response_time".to_owned(), &json!("wrong_type"))
    );
}

#[test]
fn the_shipped_rules_notice_a_type_that_comes_ten_times_an_hour_also_after_a_night_without_any() {
    let rules = Arc::new(Rules::shipped().unwrap());
    for silence in [0, 10 * 3600] {
        let mut stream = Stream::default();
        stream.put(0, "service_added", &json!({"service_name": "paint", "quantity": 1, "price": 1}));
        for n in 1..=20 {
            stream.put(silence + n * 360, "service_added", &json!({"quantity": "many"}));
        }
        let steps = steps_of(&rules, &stream, stream.minutes() + 1);
        assert_eq!(told(&steps), [("dead_letters", Phase::Firing, 20, None)], "after {silence} s");
    }
}

#[test]
fn a_lag_counts_what_is_unsettled_and_not_how_often_it_was_asked() {
    let rules = rules("[rule.behind]\nkind = \"lag\"\nolder_than = \"2m\"");
    let mut detector = Detector::new(rules, Tz::UTC);
    let mut steps = Vec::new();
    // Every five seconds: calm, one stuck message for two minutes, more of them, calm.
    let readings = [(0, 0); 10].into_iter().chain([(1, 121); 24]).chain([(3, 150), (2, 160)]).chain([(0, 0); 3]);
    for (n, (unsettled, oldest)) in readings.enumerate() {
        let progress = Progress {
            consumer: "persister".to_owned(),
            pending: unsettled,
            ack_pending: 0,
            redelivered: 0,
            oldest_seconds: (unsettled > 0).then_some(oldest),
            oldest_at: None,
            last_ack_at: None,
        };
        detector.read(start() + TimeDelta::seconds(5 * n as i64), &Reading::Consumer(&progress), &mut steps);
    }
    let behind = |phase, count| ("behind", phase, count, None);
    assert_eq!(told(&steps), [behind(Phase::Firing, 1), behind(Phase::Updated, 3), behind(Phase::Resolved, 3)]);
}

#[test]
fn a_stream_that_runs_full_is_one_incident_until_it_has_room() {
    let rules = rules("[rule.room]\nkind = \"full\"\nover_percent = 80");
    let mut detector = Detector::new(rules, Tz::UTC);
    let mut steps = Vec::new();
    for (n, bytes) in [799, 800, 900, 1_000, 500].into_iter().enumerate() {
        let room = Room { messages: bytes, bytes, max_bytes: 1_000 };
        detector.read(start() + TimeDelta::seconds(5 * n as i64), &Reading::Stream("ANALYTICS", room), &mut steps);
    }
    let room = |phase, count| ("room", phase, count, None);
    assert_eq!(told(&steps), [room(Phase::Firing, 800), room(Phase::Resolved, 1_000)]);
    assert_eq!((&steps[0].facts["percent"], &steps[0].group["stream"]), (&json!(80), &"ANALYTICS".to_owned()));
}

/// A run of live messages of some kinds, seconds to minutes apart.
fn any_stream() -> impl Strategy<Value = Stream> {
    let message = (0..9_u8, prop_oneof![0..20_i64, 0..400_i64]);
    prop::collection::vec(message, 1..120).prop_map(|messages| {
        let mut stream = Stream::default();
        let mut second = 0;
        for (kind, pause) in messages {
            second += pause;
            let (name, properties) = match kind {
                0 => (
                    "booking_request_created",
                    json!({"booking_id": second, "services_count": 1, "estimated_total": 1}),
                ),
                1 => ("booking_request_created", json!({"booking_id": second})),
                2..=4 => ("error_occurred", json!({"error_class": if kind == 2 { "A" } else { "B" }})),
                5 => ("ai_response_time", json!({"duration_ms": "wrong", "model_used": "m"})),
                _ => ("ai_response_time", json!({"duration_ms": i64::from(kind) * 500, "model_used": "m"})),
            };
            stream.put(second, name, &properties);
        }
        stream
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// A message that a publisher sent again, past the broker's deduplication.
    #[test]
    fn echoes_change_nothing(stream in any_stream(), echoes in prop::collection::vec(any::<prop::sample::Index>(), 0..20)) {
        let rules = rules(RULES);
        let mut echoing = stream.clone();
        for echo in echoes {
            let place = echo.index(echoing.0.len());
            let twin = Delivery { received_at: echoing.0[place].received_at + TimeDelta::nanoseconds(1), ..echoing.0[place].clone() };
            echoing.0.insert(place + 1, twin);
        }
        let end = stream.minutes() + 60;
        prop_assert_eq!(steps_of(&rules, &echoing, end), steps_of(&rules, &stream, end));
    }

    /// What was acknowledged up to some message is read back from both streams; the rest is judged again.
    #[test]
    fn a_restart_anywhere_comes_to_the_same_steps(stream in any_stream(), place in any::<prop::sample::Index>()) {
        let rules = rules(RULES);
        let end = stream.minutes() + 60;
        let whole = steps_of(&rules, &stream, end);
        let floor = place.index(stream.0.len());
        let at = stream.0[floor].received_at;

        let mut detector = Detector::new(rules.clone(), Tz::UTC);
        whole.iter().filter(|step| step.at <= at).for_each(|step| detector.learn(step));
        let observations = stream.observations(&rules);
        let since = at - Detector::lookback(&rules);
        for (delivery, observation) in stream.0.iter().zip(&observations).take(floor + 1) {
            if delivery.received_at >= since {
                detector.warm(observation);
            }
        }
        let mut steps = Vec::new();
        observations[floor + 1..].iter().for_each(|observation| detector.observe(observation, &mut steps));
        detector.pass(start() + TimeDelta::minutes(end), &mut steps);
        let beyond: Vec<_> = whole.into_iter().filter(|step| step.at > at).collect();
        prop_assert_eq!(steps, beyond);
    }
}

#[test]
fn an_incident_has_the_same_name_for_ever() {
    let rules = rules(RULES);
    let mut stream = Stream::default();
    let body = json!({"chat_id": 1, "occurred_at": start(),
        "properties": {"booking_id": 7, "services_count": 1, "estimated_total": 1}});
    let header = ("Nats-Msg-Id".to_owned(), "booking/7".to_owned());
    stream.put_body(0, "booking_request_created", &body).headers.push(header);
    stream.errors("Timeout", [0, 1, 2]);
    let names: Vec<_> = steps_of(&rules, &stream, 10).iter().map(Alert::msg_id).collect();
    assert_eq!(
        names,
        [
            "booking/9cebdbfda58fe825e2051c2526cb6cb8/firing/1",
            "error/e9124a6f7e1043fe9a82ff4ff18f9838/firing/1",
            "error/e9124a6f7e1043fe9a82ff4ff18f9838/resolved/2",
        ]
    );
}
