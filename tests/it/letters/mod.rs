//! Dead letters come back: repaired, once, as the event they were, whatever is killed or done twice on the way.

mod clock;
mod crashes;
mod desk;
mod discarded;
mod ends;
mod history;
mod moved;
mod overtaken;

use crate::support::System;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::Row;
use uuid::Uuid;
use valera_events::{Arrival, Headers, Reason, ReasonCode, Verdict, check, headers};
use valera_pipeline::store::letters::{self, Letter};

const BOOKING: &str = "analytics.booking_request_created";

/// A booking as it was sent for months: without `services_count`.
fn lacking(chat: i64, occurred_at: DateTime<Utc>) -> Value {
    json!({
        "chat_id": chat,
        "occurred_at": occurred_at,
        "properties": {"booking_id": chat, "estimated_total": "15000.50"},
    })
}

const LETTERS: &str = "SELECT status, coalesce(status_reason, '-'), attempts, reasons->0->>'reason'
    FROM dead_letters ORDER BY stream_seq, id";

type LetterRow = (String, String, i32, String);

fn row(status: &str, status_reason: &str, attempts: i32, reason: &str) -> LetterRow {
    (status.to_owned(), status_reason.to_owned(), attempts, reason.to_owned())
}

/// The one letter there is.
async fn the_letter(system: &System) -> Uuid {
    let ids: Vec<(Uuid,)> = system.rows("SELECT id FROM dead_letters").await;
    let [(id,)] = ids[..] else { panic!("not one letter: {ids:?}") };
    id
}

/// A message that an older catalogue refused: today's accepts it.
struct Then {
    subject: &'static str,
    headers: Vec<(String, String)>,
    body: Bytes,
    received_at: DateTime<Utc>,
}

impl Then {
    /// Puts it into the dead letters as the persister of then did; gives the letter's id and the event's.
    async fn is_refused(&self, system: &System) -> (Uuid, Uuid) {
        let msg_id = self.headers.iter().find(|(name, _)| name == headers::MSG_ID).map(|(_, value)| value.as_str());
        let arrival = Arrival { stream: "ANALYTICS", sequence: 1, received_at: self.received_at };
        let head = Headers { msg_id, ..Headers::default() };
        let event_id = match check(self.subject, &head, &self.body, self.received_at) {
            Verdict::Accepted(event) => event.event_id(&arrival),
            Verdict::Rejected(rejection) => rejection.event_id(msg_id, &arrival),
        };
        let reason = Reason {
            reason: ReasonCode::MissingProperty,
            path: "properties.services_count".to_owned(),
            expected: "an integer; got nothing".to_owned(),
        };
        let letter = Letter {
            event_id,
            event_name: self.subject.strip_prefix("analytics.").map(str::to_owned),
            subject: self.subject.to_owned(),
            reasons: vec![reason],
            payload: self.body.clone(),
            headers: self.headers.clone(),
            stream_seq: 1,
            received_at: self.received_at,
            retry_of: None,
        };
        letters::insert(&mut system.postgres().await, std::slice::from_ref(&letter)).await.unwrap();
        (letter.id(), event_id)
    }
}

fn then(body: &Value, headers: &[(&str, &str)], received_at: DateTime<Utc>) -> Then {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    Then { subject: BOOKING, headers: headers.collect(), body: serde_json::to_vec(body).unwrap().into(), received_at }
}

/// Everything that a retry could have changed.
async fn everything(system: &System) -> Vec<String> {
    let mut all = Vec::new();
    for table in ["analytics_events", "dead_letters", "rollups.funnel_daily", "rollups.event_counts_hourly"] {
        let query = format!("SELECT to_jsonb(t)::text FROM {table} AS t ORDER BY 1");
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_all(&mut system.postgres().await).await.unwrap();
        all.extend(rows.iter().map(|row| row.get::<String, _>(0)));
    }
    all
}
