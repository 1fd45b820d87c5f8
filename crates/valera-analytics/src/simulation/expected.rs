//! What a simulation's messages must add up to, counted the slow and obvious way.
//!
//! It reads the bytes that were published, not what the generator meant by them, and shares no code with the pipeline: one
//! set of identities, one set of names per chat and day.
//!
//! It does not judge messages: which are bad, their kind says.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use chrono::{DateTime, NaiveDate, Utc};
use serde::Deserialize;
use uuid::Uuid;
use valera_events::{id, subject};

use super::{Kind, Message};
use crate::report::{FunnelCounts, FunnelDay, percent};

/// The ledger of a simulation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Expected {
    /// Distinct acceptable events: the rows of `analytics_events`.
    pub distinct: u64,
    /// The same by event name, undeclared names included.
    pub by_name: BTreeMap<String, u64>,
    /// Dead letters by their one reason.
    pub dead_letters: BTreeMap<&'static str, u64>,
    /// The rows of `funnel_daily`, by day.
    pub funnel_daily: Vec<FunnelDay>,
}

/// The fields of a body that the ledger needs.
#[derive(Deserialize)]
struct Sent {
    event_id: Option<Uuid>,
    chat_id: i64,
    occurred_at: Option<DateTime<Utc>>,
}

impl Expected {
    pub(super) fn of(messages: &[Message], local_day: impl Fn(DateTime<Utc>) -> NaiveDate) -> Self {
        let mut expected = Self::default();
        let mut seen = HashSet::new();
        let mut chat_days: BTreeMap<NaiveDate, BTreeMap<i64, BTreeSet<&str>>> = BTreeMap::new();
        for message in messages {
            if let Kind::Bad(reason) = message.kind {
                *expected.dead_letters.entry(reason).or_default() += 1;
                continue;
            }
            // What cannot be read is left out of every count, and the comparison shows it.
            let Some((name, sent)) = read(message) else {
                continue;
            };
            if !seen.insert(sent.event_id.map(|id| id.to_string()).or_else(|| message.msg_id.clone())) {
                continue;
            }
            let Some(occurred_at) = sent.occurred_at.or_else(|| sent.event_id.and_then(time_of)) else {
                continue;
            };
            expected.distinct += 1;
            *expected.by_name.entry(name.to_owned()).or_default() += 1;
            chat_days.entry(local_day(occurred_at)).or_default().entry(sent.chat_id).or_default().insert(name);
        }
        expected.funnel_daily = chat_days.into_iter().map(|(day, chats)| funnel_day(day, &chats)).collect();
        expected
    }
}

fn read(message: &Message) -> Option<(&str, Sent)> {
    Some((subject::event_name(&message.subject)?, serde_json::from_slice(&message.body).ok()?))
}

fn time_of(event_id: Uuid) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(id::millis(event_id))
}

fn funnel_day(day: NaiveDate, chats: &BTreeMap<i64, BTreeSet<&str>>) -> FunnelDay {
    let with = |names: &[&str]| {
        let count = chats.values().filter(|seen| names.iter().all(|name| seen.contains(name))).count();
        i64::try_from(count).unwrap_or(i64::MAX)
    };
    let dialogs = with(&["ai_dialog_started"]);
    let dialogs_with_booking = with(&["ai_dialog_started", "booking_request_created"]);
    let counts = FunnelCounts {
        chats: with(&[]),
        dialogs,
        suggestions: with(&["service_suggested"]),
        services_added: with(&["service_added"]),
        carts_confirmed: with(&["cart_confirmed"]),
        bookings: with(&["booking_request_created"]),
        dialogs_with_suggestion: with(&["ai_dialog_started", "service_suggested"]),
        dialogs_with_booking,
        conversion_rate: percent(dialogs_with_booking, dialogs),
    };
    FunnelDay { day, counts }
}
