//! What the rules make of one message, each message by itself: the part of detection that needs no memory.
//!
//! Rules hear of live messages only, and only of those that were received soon after they occurred: history that is
//! imported, replayed or retried, and what a publisher had to keep for hours, is news to nobody. The time that counts is
//! when JetStream received the message, so a redelivery means what the first delivery meant. It does not decide what is
//! an incident.

use super::rules::{Message, Notice, Rules};
use crate::handler::{Delivery, Outcome};
use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;
use valera_events::{Origin, Verdict, catalogue};

/// An event that occurred longer before it was received is not news.
pub(crate) const FRESH: TimeDelta = TimeDelta::minutes(15);
/// How far apart two live and fresh messages of one event can be received: the contract lets a clock run ten minutes
/// ahead.
pub(crate) const ECHO: TimeDelta = TimeDelta::minutes(25);

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Observation {
    pub(crate) sequence: u64,
    pub(crate) received_at: DateTime<Utc>,
    pub(crate) outcome: Outcome,
    /// Whose echo a later message may be: the event, and whether it was accepted.
    pub(crate) identity: (Uuid, bool),
    /// By position of the rule.
    pub(crate) notices: Vec<(usize, Notice)>,
}

impl Observation {
    pub(crate) fn of(delivery: &Delivery, rules: &Rules) -> Self {
        let (outcome, event_id, notices) = match delivery.check() {
            Verdict::Accepted(event) => {
                let is_news = event.origin == Origin::Live && delivery.received_at - event.occurred_at <= FRESH;
                let notices = if is_news { rules.notices(&Message::Accepted(&event)) } else { Vec::new() };
                (Outcome::Stored, event.event_id(&delivery.arrival()), notices)
            }
            Verdict::Rejected(rejection) => {
                let headers = delivery.contract_headers();
                let is_old = rejection.occurred_at.is_some_and(|at| delivery.received_at - at > FRESH);
                let is_news = headers.origin == Origin::Live && !is_old;
                let spec = rejection.event_name.as_deref().and_then(catalogue::find).filter(|_| is_news);
                let message = spec.map(|spec| Message::Rejected { name: spec.name, reasons: &rejection.reasons });
                let notices = message.map(|message| rules.notices(&message)).unwrap_or_default();
                (Outcome::Rejected, rejection.event_id(headers.msg_id, &delivery.arrival()), notices)
            }
        };
        Self {
            sequence: delivery.sequence,
            received_at: delivery.received_at,
            outcome,
            identity: (event_id, outcome == Outcome::Stored),
            notices,
        }
    }
}

impl Rules {
    fn notices(&self, message: &Message<'_>) -> Vec<(usize, Notice)> {
        let notices = self.0.iter().enumerate();
        notices.filter_map(|(position, rule)| Some((position, rule.kind.notice(message)?))).collect()
    }
}
