//! What stories are made of: few chats, times, names and properties, so that events meet in hours, days and weeks.
//!
//! The times stand around midnights in Moscow (21:00 UTC): of a day, of a week and of a year; one comes forty days late,
//! and one has expired. It does not say what should come of a story.

use super::story::{By, Copied, Fate, Place, Places, Plan, Story, Told};
use proptest::{collection::vec, prelude::*, sample::select};

/// Below it, ids have expired.
pub(super) const HORIZON: &str = "2020-03-01T00:00:00Z";
/// When JetStream received the first message; each later one a millisecond after the one before.
pub(super) const RECEIVED_AT: &str = "2021-01-04T12:00:00Z";

const TIMES: [&str; 9] = [
    "2021-01-04T08:00:00Z",
    "2021-01-03T21:00:00Z",
    "2021-01-03T20:59:59.999999Z",
    "2021-01-02T12:00:00Z",
    "2020-12-31T21:30:00Z",
    "2020-12-31T21:00:00Z",
    "2020-12-31T20:59:59.999999Z",
    // Forty days late.
    "2020-11-25T10:00:00Z",
    // Expired.
    "2020-02-01T00:00:00Z",
];

/// Names with properties. `LONG` stands for a model whose name is longer than a key.
const KINDS: [(&str, &str); 21] = [
    ("ai_dialog_started", "{}"),
    ("service_suggested", r#"{"service_name":"paint","confidence_score":0.10}"#),
    ("service_suggested", r#"{"service_name":"paint","confidence_score":0.00}"#),
    ("service_suggested", r#"{"service_name":"полировка","confidence_score":1}"#),
    ("service_added", r#"{"service_name":"paint"}"#),
    ("ai_suggestion_accepted", "{}"),
    ("ai_suggestion_accepted", r#"{"service_name":"paint"}"#),
    ("cart_confirmed", "{}"),
    ("booking_request_created", r#"{"booking_id":1,"services_count":1,"estimated_total":"15000.50"}"#),
    ("ai_response_time", r#"{"duration_ms":0,"model_used":"gpt"}"#),
    ("ai_response_time", r#"{"duration_ms":127,"model_used":"gpt"}"#),
    ("ai_response_time", r#"{"duration_ms":128,"model_used":"яндекс"}"#),
    ("ai_response_time", r#"{"duration_ms":3001,"model_used":"gpt"}"#),
    ("ai_response_time", r#"{"duration_ms":5,"model_used":"LONGa"}"#),
    ("ai_response_time", r#"{"duration_ms":2147483647,"model_used":"LONGb"}"#),
    ("error_occurred", "{}"),
    ("error_occurred", r#"{"error_class":"Timeout","context":"booking","error_message":"call +7 916 123-45-67"}"#),
    ("review_left", r#"{"stars":5}"#),
    // Rejected.
    ("Not_A_Name", "{}"),
    ("ai_response_time", r#"{"model_used":"gpt"}"#),
    ("service_added", "{}"),
];

/// Stories in which an identity has one content; with `conflicts`, sometimes two.
pub(super) fn story(conflicts: bool) -> impl Strategy<Value = Story> {
    // The plans first: what comes first is shrunk first, and events are taken away only once.
    ([plan(), plan()], vec(told(conflicts), 1..14)).prop_map(|(plans, told)| Story { told, plans })
}

fn told(conflicts: bool) -> impl Strategy<Value = Told> {
    let by = prop_oneof![4 => Just(By::Id), 2 => Just(By::Key), 1 => Just(By::Arrival)];
    let platform = prop_oneof![3 => Just(None), 1 => Just(Some("web"))];
    let content = (select(&TIMES[..]), 1..=3_i64, select(&KINDS[..]), platform);
    let copied = prop_oneof![
        2 => places().prop_map(Copied::Redelivered),
        2 => places().prop_map(Copied::Resent),
        if conflicts { 4 } else { 0 } => places().prop_map(Copied::Twisted),
    ];
    (content, by, places(), vec(copied, 0..3)).prop_map(|((at, chat, kind, platform), by, places, copies)| Told {
        at,
        chat,
        kind,
        platform,
        by,
        places,
        copies,
    })
}

fn places() -> impl Strategy<Value = Places> {
    (any::<Place>(), any::<[Place; 2]>()).prop_map(|(stream, consumers)| Places { stream, consumers })
}

fn plan() -> impl Strategy<Value = Plan> {
    let fate = prop_oneof![6 => Just(Fate::Lives), 1 => Just(Fate::DiesBeforeCommit), 1 => Just(Fate::DiesBeforeAck)];
    (1..=3_usize, vec((1..=6_usize, fate), 0..5)).prop_map(|(workers, cuts)| Plan { workers, cuts })
}
