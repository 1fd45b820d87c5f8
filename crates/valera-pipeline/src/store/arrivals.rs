//! Whether events that somebody has sent have arrived: stored, or in the dead letters.
//!
//! Both are asked by ranges of ids, so the cost does not grow with history. It does not judge what it finds.

use anyhow::Context;
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{FromRow, PgConnection, types::Json};
use uuid::Uuid;
use valera_events::{Reason, id};

/// How far an id's time may be off the event's.
const DRIFT: TimeDelta = TimeDelta::days(1);

/// What is known of an event that was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// As in the body; without one an event is known by all else.
    pub event_id: Option<Uuid>,
    pub event_name: String,
    pub chat_id: i64,
    /// In microseconds; needed where there is no id.
    pub occurred_at: Option<DateTime<Utc>>,
}

/// What was found of it.
#[derive(Debug, Clone, FromRow)]
pub struct Found {
    /// Which of the events that were asked for, from 0.
    pub place: i64,
    /// Name and chat of the event that is stored under the id.
    pub event_name: Option<String>,
    pub chat_id: Option<i64>,
    /// Of its letter, if one is not closed.
    pub reasons: Option<Json<Vec<Reason>>>,
}

impl Sent {
    /// The first and the last id that an event may be stored under.
    fn ids(&self) -> (Option<Uuid>, Option<Uuid>) {
        let between = |at: DateTime<Utc>| (id::mint(at - DRIFT, [0; 10]), id::mint(at + DRIFT, [u8::MAX; 10]));
        let range = self.event_id.map(|id| (id, id)).or_else(|| self.occurred_at.map(between));
        range.unzip()
    }

    /// The first and the last id that its letter may have, where the event has no id that the contract takes.
    fn derived_ids(&self) -> (Option<Uuid>, Option<Uuid>) {
        let derived = self.occurred_at.filter(|at| !self.event_id.is_some_and(|id| is_taken(id, *at)));
        derived.map(|at| (id::mint(at, [0; 10]), id::mint(at, [u8::MAX; 10]))).unzip()
    }
}

fn is_taken(event_id: Uuid, at: DateTime<Utc>) -> bool {
    id::is_v7(event_id) && id::time(event_id).is_some_and(|time| (time - at).abs() <= DRIFT)
}

/// Those of the events of which something was found. A letter counts under the event's id, or, where that is none that
/// the contract takes and nothing is stored, under one derived from the event's time.
///
/// # Errors
/// When Postgres does not answer, or holds a reason that this program does not know.
pub async fn find(connection: &mut PgConnection, sent: &[Sent]) -> anyhow::Result<Vec<Found>> {
    let (first, last): (Vec<_>, Vec<_>) = sent.iter().map(Sent::ids).unzip();
    let (first_derived, last_derived): (Vec<_>, Vec<_>) = sent.iter().map(Sent::derived_ids).unzip();
    sqlx::query_as(
        "SELECT place - 1 AS place, stored.event_name, stored.chat_id, letter.reasons
         FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::timestamptz[], $5::uuid[], $6::uuid[], $7::uuid[], $8::uuid[])
            WITH ORDINALITY
            AS sent (event_id, event_name, chat_id, occurred_at, first, last, first_derived, last_derived, place)
         LEFT JOIN LATERAL (
            SELECT event.event_name, event.chat_id
            FROM analytics_events AS event
            WHERE event.event_id BETWEEN sent.first AND sent.last
                AND (sent.event_id IS NOT NULL
                    OR (event.event_name, event.chat_id, event.occurred_at)
                        = (sent.event_name, sent.chat_id, sent.occurred_at))
            LIMIT 1
         ) AS stored ON true
         LEFT JOIN LATERAL (
            SELECT reasons
            FROM dead_letters AS refused
            WHERE refused.status <> 'closed'
                AND (refused.event_id = sent.event_id
                    OR (stored.event_name IS NULL AND refused.event_name = sent.event_name
                        AND refused.event_id BETWEEN sent.first_derived AND sent.last_derived))
            ORDER BY refused.event_id = sent.event_id DESC, refused.received_at DESC
            LIMIT 1
         ) AS letter ON true
         WHERE stored.event_name IS NOT NULL OR letter.reasons IS NOT NULL",
    )
    .bind(sent.iter().map(|event| event.event_id).collect::<Vec<_>>())
    .bind(sent.iter().map(|event| event.event_name.as_str()).collect::<Vec<_>>())
    .bind(sent.iter().map(|event| event.chat_id).collect::<Vec<_>>())
    .bind(sent.iter().map(|event| event.occurred_at).collect::<Vec<_>>())
    .bind(first)
    .bind(last)
    .bind(first_derived)
    .bind(last_derived)
    .fetch_all(connection)
    .await
    .context("asking which events have arrived")
}
