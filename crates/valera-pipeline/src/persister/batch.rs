//! A batch made ready for the raw table: judged, pseudonymised, deduplicated, sorted and encoded.
//!
//! All of it happens before a transaction is open and while the batch before commits. Dead letters of what the contract
//! rejects are made here; those of conflicts wait for what the store says. No database is asked.

use crate::{
    handler::{Delivery, Outcome, covered},
    identity::{Identified, Identities},
    replay::restored::{self, FileLine, Refusals},
    store::{Calendar, copy::Rows, letters::Letter, positions::Covered, raw::RawEvent},
};
use std::collections::HashMap;
use uuid::Uuid;
use valera_events::{Keys, Reason, ReasonCode, Rejection, Verdict, subject};

/// See the module.
pub struct Batch {
    deliveries: Vec<Delivery>,
    pub(super) events: Identities<()>,
    /// One row for each of `events.first`, in that order.
    pub(super) rows: Rows,
    /// Of what the contract rejects.
    pub(super) letters: Vec<Letter>,
    /// Of what the contract accepts: what names a dead letter as the one it retries.
    pub(super) retries: Vec<Retried>,
    /// Final for rejected deliveries, to be judged for the others.
    pub(super) outcomes: Vec<Outcome>,
    /// Places in the stream; lines of files have none.
    pub(super) covered: Option<Covered>,
}

/// An acceptable event that retries a dead letter.
pub(super) struct Retried {
    pub(super) delivery: usize,
    pub(super) event_id: Uuid,
    pub(super) letter_id: Uuid,
}

impl Batch {
    pub(super) fn decode(deliveries: Vec<Delivery>, keys: &Keys, calendar: &Calendar) -> Self {
        let mut outcomes = vec![Outcome::Rejected; deliveries.len()];
        let mut letters = Vec::new();
        let mut accepted = Vec::with_capacity(deliveries.len());
        for (position, delivery) in deliveries.iter().enumerate() {
            match delivery.check() {
                Verdict::Accepted(event) => {
                    outcomes[position] = Outcome::Later;
                    accepted.push(Identified::of(position, delivery, event, keys));
                }
                Verdict::Rejected(rejection) => letters.push(rejected(delivery, rejection)),
            }
        }
        let mut rows = Rows::default();
        let mut properties = Vec::new();
        let events = Identities::of(accepted).map(|identified| {
            let event = &mut identified.event;
            event.pseudonymise(&keys.pseudonym);
            let session_id = match event.session_id.take() {
                Some(session_id) => session_id,
                None => keys.content.session_id(event.chat_id, calendar.day(event.occurred_at).day).into(),
            };
            properties.clear();
            event.write_properties(&mut properties);
            let row = RawEvent {
                event_id: identified.event_id,
                event_name: event.name,
                chat_id: event.chat_id,
                session_id: &session_id,
                properties: &properties,
                occurred_at: event.occurred_at,
                platform: &event.platform,
                content_hash: &identified.content_hash,
                stream_seq: deliveries[identified.delivery].stream_seq(),
            };
            row.encode(&mut rows);
        });
        let retries = events.deliveries().filter_map(|(delivery, event_id)| {
            let letter_id = deliveries[delivery].dead_letter()?;
            Some(Retried { delivery, event_id, letter_id })
        });
        let retries = retries.collect();
        let covered = covered(&deliveries);
        Self { deliveries, events, rows, letters, retries, outcomes, covered }
    }

    /// What lines of exported files hold, as it was stored. Only deliveries whose seals hold can come to a letter.
    pub(super) fn restore(lines: &[FileLine], keys: &Keys, refusals: &Refusals) -> Self {
        let (unsealed, outcomes) = restored::unseal(lines, &keys.content, refusals);
        let mut deliveries = vec![restored::nothing(); lines.len()];
        for line in &unsealed {
            deliveries[line.delivery] = restored::delivery(&line.event);
        }
        let mut rows = Rows::default();
        let events = Identities::of(unsealed).map(|identified| {
            let recorded = &identified.event;
            let row = RawEvent {
                event_id: recorded.event_id,
                event_name: &recorded.event_name,
                chat_id: recorded.chat_id,
                session_id: &recorded.session_id,
                properties: recorded.properties.as_bytes(),
                occurred_at: recorded.occurred_at,
                platform: &recorded.platform,
                content_hash: &recorded.content_hash,
                stream_seq: recorded.stream_seq,
            };
            row.encode(&mut rows);
        });
        Self { deliveries, events, rows, letters: Vec::new(), retries: Vec::new(), outcomes, covered: None }
    }

    /// How each delivery ends when `known` and `unstored` are what the store said.
    pub(super) fn judge(&self, known: &HashMap<Uuid, Vec<u8>>, unstored: &HashMap<usize, Outcome>) -> Vec<Outcome> {
        let mut outcomes = self.outcomes.clone();
        self.events.judge(known, unstored, &mut outcomes);
        outcomes
    }

    /// Letters for deliveries whose id is stored with other content.
    pub(super) fn conflict_letters(
        &self,
        known: &HashMap<Uuid, Vec<u8>>,
        unstored: &HashMap<usize, Outcome>,
    ) -> Vec<Letter> {
        if known.is_empty() && self.events.all_distinct() {
            return Vec::new();
        }
        let outcomes = self.judge(known, unstored);
        let conflicts = self.events.deliveries().filter(|(delivery, _)| outcomes[*delivery] == Outcome::Conflicting);
        conflicts
            .map(|(delivery, event_id)| {
                let reason = Reason {
                    reason: ReasonCode::ConflictingDuplicate,
                    path: "event_id".to_owned(),
                    expected: "an id of its own: this one is stored with other content".to_owned(),
                };
                self.accepted_letter(delivery, event_id, reason)
            })
            .collect()
    }

    /// Letters for all deliveries of a row's id, for a reason found after the contract. They end with the row, and may
    /// hold other bytes than it.
    pub(super) fn letters_of(&self, row: usize, reason: &Reason) -> impl Iterator<Item = Letter> {
        let event_id = self.events.first[row].event_id;
        self.events.deliveries_of(row).map(move |delivery| self.accepted_letter(delivery, event_id, reason.clone()))
    }

    fn accepted_letter(&self, delivery: usize, event_id: Uuid, reason: Reason) -> Letter {
        let delivery = &self.deliveries[delivery];
        let event_name = subject::event_name(&delivery.subject).map(str::to_owned);
        letter(delivery, event_id, event_name, vec![reason])
    }
}

fn rejected(delivery: &Delivery, rejection: Rejection) -> Letter {
    let event_id = rejection.event_id(delivery.header(valera_events::headers::MSG_ID), &delivery.arrival());
    let Rejection { reasons, event_name, .. } = rejection;
    letter(delivery, event_id, event_name, reasons)
}

fn letter(delivery: &Delivery, event_id: Uuid, event_name: Option<String>, reasons: Vec<Reason>) -> Letter {
    Letter {
        event_id,
        event_name,
        subject: delivery.subject.clone(),
        reasons,
        payload: delivery.body.clone(),
        headers: delivery.headers.clone(),
        stream_seq: delivery.stream_seq(),
        received_at: delivery.received_at,
        retry_of: delivery.dead_letter(),
    }
}
