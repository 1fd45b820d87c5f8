//! Dead letters: events that were refused, with their bytes and the reasons.
//!
//! A letter can always be inserted. Its payload is bytes; beside it every text is made storable (NUL and bad UTF-8
//! become U+FFFD) and cut, because hostile keys reach the reasons' paths and hostile headers the headers. A letter's
//! id is a hash of event and payload, so a redelivery or replay adds none. Writers close and reopen letters through `ends`,
//! operators work on them through `desk`. It does not decide that an event is refused.

pub mod desk;
pub mod ends;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, PgConnection, types::Json};
use std::collections::BTreeMap;
use uuid::Uuid;
use valera_events::{Reason, id};

/// The longest text beside a payload, in bytes.
const LONGEST: usize = 1024;
/// The most reasons and headers that are kept.
const MOST: usize = 64;

/// The statuses of a letter that waits for an end.
pub const UNFINISHED: [&str; 2] = ["open", "retried"];

/// A letter as it is inserted.
#[derive(Debug, Clone)]
pub struct Letter {
    pub event_id: Uuid,
    pub event_name: Option<String>,
    pub subject: String,
    /// At least one.
    pub reasons: Vec<Reason>,
    pub payload: bytes::Bytes,
    pub headers: Vec<(String, String)>,
    pub stream_seq: i64,
    pub received_at: DateTime<Utc>,
    /// The letter that the message names as the one it retries.
    pub retry_of: Option<Uuid>,
}

/// A letter as it is kept.
#[derive(Debug, Clone, FromRow)]
pub struct Kept {
    pub id: Uuid,
    pub event_id: Uuid,
    pub event_name: Option<String>,
    pub subject: String,
    pub reasons: Json<Vec<KeptReason>>,
    /// The body as it was sent; empty once it is cleared.
    pub payload: Vec<u8>,
    pub headers: Json<BTreeMap<String, Vec<String>>>,
    pub stream_seq: i64,
    /// When JetStream received the message that was refused.
    pub received_at: DateTime<Utc>,
    /// `open`, `retried`, `closed` or `discarded`.
    pub status: String,
    pub status_reason: Option<String>,
    /// Retries so far.
    pub attempts: i32,
    /// As which event the last of them was published.
    pub retried_as: Option<Uuid>,
    pub updated_at: DateTime<Utc>,
    /// Since when the payload is gone.
    pub payload_cleared_at: Option<DateTime<Utc>>,
}

/// The columns of [`Kept`].
macro_rules! columns {
    () => {
        "id, event_id, event_name, subject, reasons, payload, headers, stream_seq, received_at, status, status_reason,
            attempts, retried_as, updated_at, payload_cleared_at"
    };
}
use columns;

/// A reason as it is kept; its code may be one of a newer program.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeptReason {
    pub reason: String,
    pub path: String,
    pub expected: String,
}

impl Letter {
    /// A hash of the event's id and the payload.
    #[must_use]
    pub fn id(&self) -> Uuid {
        id::letter_id(self.event_id, &self.payload)
    }

    fn reasons_json(&self) -> serde_json::Value {
        let reasons = self.reasons.iter().take(MOST).map(|reason| {
            serde_json::json!({
                "reason": reason.reason,
                "path": storable(&reason.path),
                "expected": storable(&reason.expected),
            })
        });
        reasons.collect()
    }

    /// Each name with its values: a name may come more than once, and two may be alike once they are cut.
    fn headers_json(&self) -> serde_json::Value {
        let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in self.headers.iter().take(MOST) {
            headers.entry(storable(name)).or_default().push(storable(value));
        }
        serde_json::json!(headers)
    }
}

/// A text that Postgres takes, at most 1 KiB long.
fn storable(text: &str) -> String {
    let cut = text.floor_char_boundary(LONGEST);
    text[..cut].replace('\0', "\u{fffd}")
}

/// Inserts letters that are not there yet.
///
/// # Errors
/// Whatever Postgres refuses.
pub async fn insert(connection: &mut PgConnection, letters: &[Letter]) -> sqlx::Result<()> {
    if letters.is_empty() {
        return Ok(());
    }
    let mut sorted: Vec<_> = letters.iter().map(|letter| (letter.id(), letter)).collect();
    sorted.sort_by_key(|(id, _)| *id);
    sorted.dedup_by_key(|(id, _)| *id);
    let column = |text: fn(&Letter) -> Option<String>| -> Vec<_> { sorted.iter().map(|(_, l)| text(l)).collect() };
    sqlx::query(
        "INSERT INTO dead_letters
            (id, event_id, event_name, subject, reasons, payload, headers, stream_seq, received_at)
         SELECT *
         FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::jsonb[], $6::bytea[], $7::jsonb[],
            $8::bigint[], $9::timestamptz[])
         ON CONFLICT (id) DO NOTHING",
    )
    .bind(sorted.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, letter)| letter.event_id).collect::<Vec<_>>())
    .bind(column(|letter| letter.event_name.as_deref().map(storable)))
    .bind(column(|letter| Some(storable(&letter.subject))))
    .bind(sorted.iter().map(|(_, letter)| letter.reasons_json()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, letter)| letter.payload.as_ref()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, letter)| letter.headers_json()).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, letter)| letter.stream_seq).collect::<Vec<_>>())
    .bind(sorted.iter().map(|(_, letter)| letter.received_at).collect::<Vec<_>>())
    .execute(connection)
    .await
    .map(drop)
}

#[cfg(test)]
mod tests {
    use super::storable;

    #[test]
    fn a_hostile_text_is_made_storable() {
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
        assert_eq!(storable(&"я".repeat(2_000)).chars().count(), 512);
    }
}
